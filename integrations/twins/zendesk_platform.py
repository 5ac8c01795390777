"""How does Zendesk take in webhooks and private apps?  The calls an installer makes."""

from __future__ import annotations

import email.parser
import email.policy
import io
import json
import secrets
import uuid
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from integrations.twins.server import Response
from integrations.twins.zendesk_desk import Thing, text_of
from integrations.twins.zendesk_rules import (
    APP,
    INSTALLATION,
    NOTIFY,
    WEBHOOK,
    Call,
    Refused,
    listed,
    not_found,
    page_of,
    whole_number,
)

SUBSCRIPTIONS = frozenset({"conditional_ticket_events"})
_REQUIRED = ("name", "status", "endpoint", "http_method", "request_format")


# -- webhooks ------------------------------------------------------------------------------------------------
def new_secret() -> str:
    return secrets.token_urlsafe(32) + "="


def list_webhooks(call: Call) -> Response:
    wanted = call.query.get("filter[name_contains]", "").lower()
    held = [each for each in call.desk.webhooks.values() if wanted in each["name"].lower()]
    return Response(200, page_of(call, "webhooks", held, cursor_only=True))


def show_webhook(call: Call, webhook_id: str) -> Response:
    return Response(200, {"webhook": _webhook(call, webhook_id)})


def create_webhook(call: Call) -> Response:
    wanted = call.json(root="webhook", known=WEBHOOK)
    if missing := [name for name in _REQUIRED if name not in wanted]:
        raise listed(400, "MissingParameter", "Missing parameter", f"{', '.join(missing)} is required")
    made = make_webhook(call, wanted)
    call.effect(f"webhook {made['id']} created")
    return Response(201, {"webhook": made})


def make_webhook(call: Call, wanted: Thing) -> Thing:
    _check_webhook(wanted)
    number, moment = f"01{secrets.token_hex(12).upper()}", text_of(call.now)
    made: Thing = {
        "id": number,
        "description": "",
        "subscriptions": ["conditional_ticket_events"],
        "authentication": None,
        "custom_headers": None,
        "external_source": None,
    } | wanted
    made |= {
        "created_at": moment,
        "created_by": str(call.actor["id"]),
        "updated_at": moment,
        "updated_by": str(call.actor["id"]),
    }
    call.desk.webhooks[number], call.desk.signing_secrets[number] = made, new_secret()
    return made


def _check_webhook(wanted: Thing) -> None:
    subscriptions = wanted.get("subscriptions", [])
    for each in subscriptions:
        if each not in SUBSCRIPTIONS and not str(each).startswith("zen:event-type:"):
            raise listed(400, "InvalidSubscription", "Invalid subscription", f"{each} is not a subscription")
    events = [each for each in subscriptions if each not in SUBSCRIPTIONS]
    if events and (wanted.get("http_method", "POST"), wanted.get("request_format", "json")) != ("POST", "json"):
        raise listed(400, "InvalidParameter", "Invalid parameter", "event subscriptions need POST and json")
    if events and len(events) != len(subscriptions):
        raise listed(400, "InvalidSubscription", "Invalid subscription", "events and triggers cannot be mixed")
    if wanted.get("status", "active") not in {"active", "inactive"}:
        raise listed(400, "InvalidParameter", "Invalid parameter", "status must be active or inactive")
    parts = urlsplit(str(wanted.get("endpoint", "https://ok.example")))
    loopback = parts.hostname in {"127.0.0.1", "localhost"}  # the real one also refuses these; the demo needs them
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise listed(400, "InvalidParameter", "Invalid parameter", "endpoint must be an https address")


def change_webhook(call: Call, webhook_id: str) -> Response:
    held = _webhook(call, webhook_id)
    wanted = call.json(root="webhook", known=WEBHOOK)
    _check_webhook(wanted)
    kind = {each in SUBSCRIPTIONS for each in held["subscriptions"]}
    subscribed: list[str] = wanted.get("subscriptions") or held["subscriptions"]
    if {each in SUBSCRIPTIONS for each in subscribed} != kind:
        raise listed(400, "InvalidSubscription", "Invalid subscription", "the connection kind cannot be changed")
    held.update(wanted | {"updated_at": text_of(call.now), "updated_by": str(call.actor["id"])})
    call.effect(f"webhook {webhook_id} changed")
    return Response(204)


def delete_webhook(call: Call, webhook_id: str) -> Response:
    del call.desk.webhooks[_webhook(call, webhook_id)["id"]]
    call.effect(f"webhook {webhook_id} deleted")
    return Response(204)


def signing_secret(call: Call, webhook_id: str) -> Response:
    """GET shows it, POST replaces it."""
    number, created = _webhook(call, webhook_id)["id"], call.request.method == "POST"
    if created:
        call.desk.signing_secrets[number] = new_secret()
        call.effect(f"webhook {number} secret reset")
    shown = {"algorithm": "SHA256", "secret": call.desk.signing_secrets[number]}
    return Response(201 if created else 200, {"signing_secret": shown})


def _webhook(call: Call, webhook_id: str) -> Thing:
    if webhook_id not in call.desk.webhooks:
        raise listed(404, "WebhookNotFound", "Webhook not found", f"Webhook {webhook_id} does not exist")
    return call.desk.webhooks[webhook_id]


def list_triggers(call: Call) -> Response:
    wanted = call.query.get("active")
    held = [one for one in call.desk.triggers.values() if wanted is None or one["active"] == (wanted == "true")]
    return Response(200, page_of(call, "triggers", held))


def make_trigger(call: Call, webhook_id: str, active: bool) -> Thing:
    number, moment = call.desk.number(), text_of(call.now)
    body = '{"ticket_id":"{{ticket.id}}","source":"trigger"}'
    made: Thing = {
        "id": number,
        "title": "Tell billing-desk",
        "raw_title": "Tell billing-desk",
        "active": active,
        "position": 1,
        "conditions": {"all": [{"field": "update_type", "operator": "is", "value": "Create"}], "any": []},
        "actions": [{"field": "notification_webhook", "value": [webhook_id, body]}],
        "created_at": moment,
        "updated_at": moment,
    }
    call.desk.triggers[number] = made
    return made


# -- apps ----------------------------------------------------------------------------------------------------
def upload(call: Call) -> Response:
    package = _part(call, "uploaded_data")
    _check_package(package)
    number = call.desk.number()
    call.desk.uploads[number] = package
    call.effect(f"app upload {number}")
    return Response(201, {"id": number})


def validate(call: Call) -> Response:
    """What zcli asks before it packs: 200 {} or 400 with the first fault."""
    _check_package(_part(call, "file"))
    return Response(200, {})


def _part(call: Call, name: str) -> bytes:
    kind = call.request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused(415, {"error": "UnsupportedMediaType", "description": "multipart/form-data is needed"})
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + call.request.body)
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        if part.get_param("name", header="content-disposition") == name and isinstance(content, bytes):
            return content
    raise Refused(400, {"error": "InvalidParameter", "description": f"{name} is missing"})


def _check_package(package: bytes) -> None:
    def refuse(says: str) -> Refused:
        return Refused(400, {"error": "ValidationError", "description": says})

    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            names = set(archive.namelist())
            if "manifest.json" not in names:
                raise refuse("Could not find manifest.json")
            manifest: Any = json.loads(archive.read("manifest.json"))
    except (zipfile.BadZipFile, ValueError):
        raise refuse("The package is not a zip with a JSON manifest") from None
    if not isinstance(manifest, dict) or manifest.get("frameworkVersion") != "2.0":
        raise refuse("frameworkVersion must be 2.0")
    if missing := [name for name in ("author", "defaultLocale", "location") if name not in manifest]:
        raise refuse(f"Missing required fields in manifest: {', '.join(missing)}")
    if f"translations/{manifest['defaultLocale']}.json" not in names:
        raise refuse(f"Missing translation file for locale '{manifest['defaultLocale']}'")


def create_app(call: Call) -> Response:
    wanted = call.json(known=APP)
    package = call.desk.uploads.get(whole_number(wanted.get("upload_id"), "upload_id"))
    if package is None or not wanted.get("name"):
        raise Refused(422, {"error": "RecordInvalid", "description": "name and a known upload_id are needed"})
    number = call.desk.number()
    call.desk.apps[number] = _app(call, number, str(wanted["name"]), str(wanted.get("short_description", "")))
    call.effect(f"app {number} created")
    return Response(202, {"job_id": _job(call, number)})


def replace_app(call: Call, app_id: str) -> Response:
    held, wanted = _held_app(call, app_id), call.json(known=APP)
    if whole_number(wanted.get("upload_id"), "upload_id") not in call.desk.uploads:
        raise Refused(422, {"error": "RecordInvalid", "description": "a known upload_id is needed"})
    held |= {name: value for name, value in wanted.items() if name != "upload_id"}
    held["updated_at"] = text_of(call.now)
    call.effect(f"app {app_id} replaced")
    return Response(202, {"job_id": _job(call, int(app_id))})


def _born(call: Call) -> Thing:
    return {"created_at": text_of(call.now), "updated_at": text_of(call.now)}


def _app(call: Call, number: int, name: str, short: str) -> Thing:
    return {
        "id": number,
        "name": name,
        "short_description": short,
        "default_locale": "en",
        "owner_id": call.actor["id"],
        "framework_version": "2.0",
        "state": "published",
        "visibility": "private",
        "products": ["support"],
        "single_install": False,
        **_born(call),
    }


def _job(call: Call, app_id: int | None, **more: Any) -> str:
    number = uuid.uuid4().hex
    call.desk.jobs[number] = {"id": number, "status": "queued", "message": "", "app_id": app_id, "progress": 0} | more
    return number


def job_status(call: Call, job_id: str) -> Response:
    """A job is seen once at work, then completed: whoever does not poll is found out."""
    job = call.desk.jobs.get(job_id)
    if job is None:
        raise not_found()
    step = {"queued": "working", "working": "completed"}.get(job["status"], job["status"])
    job |= {"status": step, "progress": 100 if step == "completed" else 50}
    return Response(200, dict(job))


def list_apps(call: Call) -> Response:
    return Response(200, {"apps": list(call.desk.apps.values())})


def show_app(call: Call, app_id: str) -> Response:
    return Response(200, _held_app(call, app_id))


def delete_app(call: Call, app_id: str) -> Response:
    _held_app(call, app_id)
    if any(one["app_id"] == int(app_id) for one in call.desk.installations.values()):
        raise Refused(422, {"error": "RecordInvalid", "description": "the app is installed"})
    del call.desk.apps[int(app_id)]
    call.effect(f"app {app_id} removed")
    return Response(204)


def public_key(call: Call, app_id: str, pem: Callable[[], str]) -> Response:
    _held_app(call, app_id)
    return Response(200, pem(), {"Content-Type": "text/plain; charset=utf-8"})


def _held_app(call: Call, app_id: str) -> Thing:
    if int(app_id) not in call.desk.apps:
        raise not_found()
    return call.desk.apps[int(app_id)]


def list_installations(call: Call) -> Response:
    shown: Thing = {"installations": list(call.desk.installations.values())}
    if call.query.get("include") == "app":
        shown["apps"] = list(call.desk.apps.values())
    return Response(200, shown)


def install_app(call: Call) -> Response:
    wanted = call.json(known=INSTALLATION)
    app = _held_app(call, str(whole_number(wanted.get("app_id"), "app_id")))
    _check_restrictions(call, wanted)
    if not isinstance(wanted.get("settings"), dict) or not wanted["settings"].get("name"):
        raise Refused(422, {"error": "RecordInvalid", "description": "settings.name is needed"})
    made = make_installation(call, app["id"], wanted)
    call.effect(f"installation {made['id']} created")
    return Response(201, made | {"pending_job_id": _job(call, app["id"], installation_id=made["id"])})


def _check_restrictions(call: Call, wanted: Thing) -> None:
    for name in ("role_restrictions", "group_restrictions"):
        numbers = wanted.get(name) or []
        known = not isinstance(numbers, list) or name.startswith("role") or set(numbers) <= set(call.desk.groups)
        if not isinstance(numbers, list) or not known or not all(type(one) is int for one in numbers):
            raise Refused(422, {"error": "RecordInvalid", "description": f"{name} is no list of known ids"})


def make_installation(call: Call, app_id: int, wanted: Thing, number: int | None = None) -> Thing:
    number = number or call.desk.number()
    made = {
        "id": number,
        "app_id": app_id,
        "product": "support",
        "enabled": wanted.get("enabled", True),
        "settings": wanted.get("settings", {}),
        "role_restrictions": wanted.get("role_restrictions"),
        "group_restrictions": wanted.get("group_restrictions", []),
        "collapsible": True,
        "paid": None,
        "created_at": text_of(call.now),
        "updated_at": text_of(call.now),
    }
    call.desk.installations[number] = made
    return made


def installation(call: Call, installation_id: str) -> Response:
    """GET shows, PUT changes, DELETE removes."""
    held = call.desk.installations.get(int(installation_id))
    if held is None:
        raise not_found()
    if call.request.method == "PUT":
        wanted = call.json(known=INSTALLATION)
        _check_restrictions(call, wanted)
        held.update(wanted | {"updated_at": text_of(call.now)})
        call.effect(f"installation {installation_id} changed")
    if call.request.method == "DELETE":
        del call.desk.installations[int(installation_id)]
        call.effect(f"installation {installation_id} removed")
        return Response(204)
    return Response(200, held)


def notify(call: Call) -> Response:
    wanted = call.json(known=NOTIFY)
    _held_app(call, str(whole_number(wanted.get("app_id"), "app_id")))
    call.desk.pushed.append(wanted | {"at": text_of(call.now)})
    call.effect(f"notified app {wanted['app_id']}: {wanted.get('event')}")
    return Response(200, {})
