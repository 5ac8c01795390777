// The host's side of Zendesk's app messages: handshake, get, set, invoke, events. It knows nothing about the page;
// `read` and `write` are objects of functions by path, `actions` of functions by name.
export class Host {
  constructor({ frame, origin, describe, read, write, actions }) {
    Object.assign(this, { frame, origin, describe, read, write, actions });
    addEventListener('message', event => this.receive(event));
  }

  get window() { return this.frame()?.contentWindow; }

  send(message) { this.window?.postMessage(JSON.stringify(message), this.origin()); }

  tell(event, message) { this.send({ key: `zaf.${event}`, message }); }

  receive(event) {
    if (!this.window || event.source !== this.window || event.origin !== this.origin()) return;
    let message = event.data;
    try { if (typeof message === 'string') message = JSON.parse(message); } catch { return; }
    if (message?.key === 'iframe.handshake') {
      this.tell('app.registered', this.describe());
      this.tell('app.activated', {});
    } else if (message?.key?.startsWith('request:')) {
      this.tell(`${message.key}.fail`, { responseArgs: [{ status: 403, responseText: 'The sandbox proxies no requests.' }] });
    } else if (message?.request === 'get') {
      this.answer(message.id, message.params.map(path => [path, this.read[path]]));
    } else if (message?.request === 'set') {
      this.answer(message.id, Object.entries(message.params).map(([path, value]) => [path, this.write[path], value]));
    } else if (message?.request === 'invoke') {
      this.answer(message.id, Object.entries(message.params).map(([name, given]) => [name, this.actions[name], ...given]));
    }
  }

  // One answer for all paths of a request; what is not known becomes an error beside the rest.
  answer(id, calls) {
    const result = { errors: {} };
    for (const [path, work, ...given] of calls) {
      const failed = words => { result.errors[path] = { name: 'APIError', message: words, path }; };
      if (!work) failed('is not supported');
      else try { result[path] = work(...given) ?? null; } catch (error) { failed(error.message); }
    }
    this.send({ id, result });
  }
}
