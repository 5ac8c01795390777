"""How does an agent open a ticket in the demo?  A small workspace on the loopback around the real sidebar.

The page is static; what it shows comes as JSON from here. Frames and messages follow Zendesk's Apps Framework:
https://developer.zendesk.com/documentation/apps/build-an-app/building-a-server-side-app/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from integrations.twins.demo_world import World, announce, renew
from integrations.twins.faults import Fault
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import StripeTwin
from integrations.twins.workspace.changes import Changes
from integrations.twins.workspace.wire import Wiretap
from integrations.twins.zendesk_twin import ZendeskTwin

STATIC = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html", ".txt": "text/plain"}
APP_GUID = "b1111e5d-0000-4000-8000-00000000d35c"
FAULTS = ("off", "late", "lost", "twice", "down")
_TICKET = re.compile(r"/tickets/(\d+)(/launch|/reply)?")


class Workspace(Twin):
    """The workspace over three seeded twins.

    `product_url` may be set after `start`: the product has to know our `url` and `sdk_url` before it can run.
    `on_reset` is called after the twins were seeded again and before their tickets are announced again.
    """

    service = "workspace"

    def __init__(
        self, stripe: StripeTwin, zendesk: ZendeskTwin, github: GitHubTwin, *, world: World, product_url: str = "",
        agent_id: int | None = None, port: int = 0, on_reset: Callable[[], object] = lambda: None,
        now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(port=port, clock=now or zendesk.now)
        self.stripe, self.zendesk, self.github = stripe, zendesk, github
        self.world, self.product_url, self.on_reset = world, product_url, on_reset
        self.agent_id = agent_id or world.agent_id
        self.wiretap = Wiretap((stripe, zendesk, github), zendesk)
        self.changes = Changes(stripe, zendesk, github, world)
        self.fault = "off"
        self._armed: list[Fault] = []
        self._flaked = False

    @property
    def sdk_url(self) -> str:
        """Where the sidebar finds Zendesk's SDK, for pages of any origin."""
        return f"{self.url}/zaf_sdk.js"

    def announce(self) -> None:
        """Let Zendesk deliver every seeded ticket to its registered webhooks."""
        announce(self.zendesk, self.world)

    def start_over(self) -> None:
        """Seed again; what the product remembers is for `on_reset` to forget."""
        with self.lock:
            self.set_fault("off")
            self._flaked = False
            self.world = renew(self.stripe, self.zendesk, self.github, now=self.now())
            self.wiretap.forget()
            self.changes.begin(self.world)
            self.on_reset()
            self.announce()

    def set_fault(self, name: str) -> None:
        """One of FAULTS, for Stripe; faults that somebody else armed stay. Raises ValueError."""
        if name not in FAULTS:
            raise ValueError(f"the fault is one of {', '.join(FAULTS)}")
        faults = self.stripe.faults
        with faults.lock:
            faults.armed[:] = [each for each in faults.armed if not any(each is mine for mine in self._armed)]
        self.fault, self._armed = name, []
        body = {"error": {"message": "An unknown error occurred", "type": "api_error"}}
        match name:
            case "late":
                self._armed = [faults.add("latency", method="POST", times=None, seconds=3.0)]
            case "lost":
                self._armed = [faults.add("reset_after", method="POST")]
            case "twice":
                self._armed = [faults.add("status", method="POST", times=2, status=500, body=body)]
            case "down":
                self._armed = [faults.add("status", times=None, status=500, body=body)]

    # -- requests ---------------------------------------------------------------------------------------------------
    def record(self, *_: object) -> None:
        """The workspace is no outside service: its own requests are no part of the story."""

    def handle(self, request: Request) -> Response:
        if refused := self._check(request):
            return refused
        try:
            response = self._route(request)
        except LookupError:
            return Response(404, {"error": "there is nothing at this address"})
        except (ValueError, TypeError) as wrong:
            return Response(400, {"error": str(wrong)})
        response.headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | response.headers
        return response

    def _check(self, request: Request) -> Response | None:
        """Launch tokens speak for an agent: no other site may fetch one, not even under a name that leads to us."""
        host = request.headers.get("host", "")
        if host == f"localhost:{self.port}" and request.method == "GET":
            return Response(307, b"", {"Location": self.url + request.raw_target})
        if host != f"127.0.0.1:{self.port}":
            return Response(421, {"error": "this address is not ours"})
        plain = request.headers.get("content-type", "").partition(";")[0] != "application/json"
        if request.method not in {"GET", "HEAD"} and plain:  # a foreign page cannot send JSON without asking first
            return Response(415, {"error": "send JSON"})
        return None

    def _route(self, request: Request) -> Response:
        path, reading = request.path, request.method in {"GET", "HEAD"}
        if reading and (path == "/" or re.fullmatch(r"/agent/tickets/\d+", path)):
            return self._page()
        if reading and path == "/zaf_sdk.js":
            return _file(path[1:], {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"})
        if reading and path.startswith("/static/"):
            return _file(path.removeprefix("/static/"))
        if reading and path == "/tickets":
            return Response(200, self._overview())
        if reading and path == "/wire":
            return self._wire(dict(request.query))
        if request.method == "POST" and path == "/reset":
            self.start_over()
            return Response(200, {"ok": True})
        if request.method == "POST" and path == "/fault":
            self.set_fault(str(request.json().get("name")))
            return Response(200, {"name": self.fault})
        found = _TICKET.fullmatch(path)
        if found is None:
            raise LookupError(path)
        return self._ticket(request, int(found[1]), found[2])

    def _ticket(self, request: Request, ticket_id: int, action: str | None) -> Response:
        match request.method, action:
            case "GET" | "HEAD", None:
                return Response(200, self._conversation(ticket_id))
            case "POST", "/launch":
                return Response(200, self._launch(ticket_id))
            case "POST", "/reply":
                self._reply(ticket_id, request.json())
                return Response(200, self._conversation(ticket_id))
        raise LookupError(request.path)

    def _page(self) -> Response:
        product = self.product_url or "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            f"frame-src {product}; form-action {product}; base-uri 'none'; frame-ancestors 'none'"
        )
        return _file("host.html", {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})

    def _overview(self) -> dict[str, Any]:
        with self.zendesk.lock:
            agent = self.zendesk.desk.users[self.agent_id]
            status = {ticket.id: self.zendesk.desk.tickets[ticket.id]["status"] for ticket in self.world.tickets}
        return {
            "tickets": [
                {
                    "id": ticket.id,
                    "subject": ticket.subject,
                    "requester": ticket.requester,
                    "minutes_ago": ticket.minutes_ago,
                    "status": status[ticket.id],
                }
                for ticket in self.world.tickets
            ],
            "agent": {name: agent[name] for name in ("id", "name", "email", "role", "locale")},
            "account": {"subdomain": self.zendesk.subdomain},
            "app": {"id": self.zendesk.app_id, "installation": self.zendesk.installation_id, "guid": APP_GUID},
        }

    def _conversation(self, ticket_id: int) -> dict[str, Any]:
        seeded = self.world.ticket(ticket_id)
        with self.zendesk.lock:
            desk = self.zendesk.desk
            ticket, requester = desk.tickets[ticket_id], desk.users[seeded.requester_id]
            comments = [
                {
                    "author": desk.users[each["author_id"]]["name"],
                    "from_requester": each["author_id"] == seeded.requester_id,
                    "public": each["public"],
                    "at": each["created_at"],
                    "body": each["plain_body"],
                }
                for each in desk.comments[ticket_id]
            ]
            shown = {name: ticket[name] for name in ("id", "subject", "status", "tags", "updated_at")}
        people = {"requester": {name: requester[name] for name in ("id", "name", "email", "locale")}}
        return {**shown, **people, "channel": "email", "comments": comments, "highlight": seeded.highlight}

    def _launch(self, ticket_id: int) -> dict[str, Any]:
        """What the page posts into the frame; every token is good for one launch."""
        seeded = self.world.ticket(ticket_id)
        if seeded.id == self.world.flaky_ticket and self.fault == "off" and not self._flaked:
            self._flaked = True
            self.set_fault("twice")
        elif seeded.id != self.world.flaky_ticket and self.fault == "twice":
            self.set_fault("off")
        query = urlencode({"origin": self.url, "app_guid": APP_GUID})
        return {
            "action": f"{self.product_url}/zendesk/sidebar?{query}",
            "token": self.zendesk.launch_token(self.agent_id),
            "fault": self.fault,
        }

    def _reply(self, ticket_id: int, wanted: Any) -> None:
        """What the agent submits: the text of the reply box, and the ticket is solved."""
        text, public = str(wanted.get("text", "")).strip(), bool(wanted.get("public", True))
        self.world.ticket(ticket_id)
        with self.zendesk.lock:
            if text:
                self.zendesk.add_comment(ticket_id, self.agent_id, text, public=public, channel="web")
            self.zendesk.desk.tickets[ticket_id]["status"] = "solved"

    def _wire(self, query: dict[str, str]) -> Response:
        """Everything that moves, in one answer: new lines, this ticket's changes, and whether to read it again."""
        after, ticket_id = int(query.get("after", "0")), int(query.get("ticket", "0"))
        if self._armed and all(fault.spent for fault in self._armed):
            self.set_fault("off")
        lines = self.wiretap.after(after if int(query.get("epoch", self.wiretap.epoch)) == self.wiretap.epoch else 0)
        answer: dict[str, Any] = {"epoch": self.wiretap.epoch, "entries": lines, "fault": self.fault}
        if ticket_id:
            answer["changes"] = self.changes.of(ticket_id)
            answer["updated_at"] = self.zendesk.desk.tickets[ticket_id]["updated_at"]
        return Response(200, answer)


def _file(name: str, headers: dict[str, str] | None = None) -> Response:
    """One of our static files by its plain name. Raises LookupError."""
    found = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}[name]
    kind = {"Content-Type": f"{TYPES[found.suffix]}; charset=utf-8"}
    return Response(200, found.read_bytes(), kind | (headers or {}))
