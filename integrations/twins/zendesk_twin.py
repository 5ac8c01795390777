"""How does Zendesk behave towards billing-desk?  Its REST API, its webhooks and its signed launches, on the loopback.

The tables are in zendesk_desk, the routes below name their handlers. Not copied: views, macros, triggers, merging.
Field names follow Zendesk's Support OAS of 2025-04; limits follow
https://developer.zendesk.com/api-reference/introduction/rate-limits/
"""

from __future__ import annotations

import copy
import functools
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from integrations.twins import zendesk_people as people
from integrations.twins import zendesk_platform as platform
from integrations.twins import zendesk_tickets as tickets
from integrations.twins.outgoing import app_key, in_background, public_pem
from integrations.twins.server import Request, Response, Twin
from integrations.twins.zendesk_auth import ANONYMOUS, add_client, allows, authenticate, current_token, grant_token
from integrations.twins.zendesk_delivery import (
    EVENT,
    TRIGGER,
    Delivery,
    launch_token,
    prepare,
    send,
    spoil,
)
from integrations.twins.zendesk_desk import (
    Desk,
    Thing,
    fill_custom_statuses,
    new_comment,
    new_field,
    new_group,
    new_identity,
    new_ticket,
    new_user,
    text_of,
    touch,
    via_of,
)
from integrations.twins.zendesk_rules import (
    Call,
    Refused,
    access_denied,
    no_endpoint,
    not_authenticated,
    scope_missing,
    too_many,
)
from integrations.twins.zendesk_seeding import seed_desk

Handler = Callable[..., Response]
_ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", r"tickets", "tickets:read", tickets.list_tickets),
    ("POST", r"tickets", "tickets:write", tickets.create),
    ("GET", r"tickets/(\d+)", "tickets:read", tickets.show),
    ("PUT", r"tickets/(\d+)", "tickets:write", tickets.update),
    ("GET", r"tickets/(\d+)/tags", "tickets:read", tickets.show_tags),
    ("POST|PUT|DELETE", r"tickets/(\d+)/tags", "tickets:write", tickets.change_tags),
    ("GET", r"tickets/(\d+)/comments", "tickets:read", tickets.list_comments),
    ("GET", r"tickets/(\d+)/audits", "read", tickets.list_audits),  # no narrower scope works for audits
    ("GET", r"incremental/tickets/cursor", "tickets:read", tickets.export),
    ("GET", r"users/(\d+)/tickets/requested", "tickets:read", tickets.requested_by),
    ("GET", r"users/me", "", people.show_me),
    ("GET", r"users/(\d+)", "users:read", people.show_user),
    ("GET", r"users/(\d+)/identities", "users:read", people.list_identities),
    ("GET", r"users/(\d+)/group_memberships", "users:read", people.list_memberships),
    ("GET", r"users/(\d+)/groups", "users:read", people.list_groups_of),
    ("GET", r"groups", "users:read", people.list_groups),
    ("GET", r"groups/(\d+)", "users:read", people.show_group),
    ("GET", r"ticket_fields", "tickets:read", people.list_fields),
    ("POST", r"ticket_fields", "tickets:write", people.create_field),
    ("GET", r"ticket_fields/(\d+)", "tickets:read", people.show_field),
    ("GET", r"custom_statuses", "tickets:read", people.list_custom_statuses),
    ("GET", r"webhooks", "webhooks:read", platform.list_webhooks),
    ("POST", r"webhooks", "webhooks:write", platform.create_webhook),
    ("GET", r"webhooks/(\w+)", "webhooks:read", platform.show_webhook),
    ("PATCH|PUT", r"webhooks/(\w+)", "webhooks:write", platform.change_webhook),
    ("DELETE", r"webhooks/(\w+)", "webhooks:write", platform.delete_webhook),
    ("GET", r"webhooks/(\w+)/signing_secret", "webhooks:read", platform.signing_secret),
    ("POST", r"webhooks/(\w+)/signing_secret", "webhooks:write", platform.signing_secret),
    ("POST", r"apps/uploads", "apps:write", platform.upload),
    ("POST", r"apps/validate", "apps:write", platform.validate),
    ("POST", r"apps/notify", "apps:write", platform.notify),
    ("GET", r"apps|apps/owned", "apps:read", platform.list_apps),
    ("POST", r"apps", "apps:write", platform.create_app),
    ("GET", r"apps/(\d+)", "apps:read", platform.show_app),
    ("PUT", r"apps/(\d+)", "apps:write", platform.replace_app),
    ("GET", r"apps/job_statuses/(\w+)", "apps:read", platform.job_status),
    ("GET", r"apps/installations/job_statuses/(\w+)", "apps:read", platform.job_status),
    ("GET", r"apps/installations", "apps:read", platform.list_installations),
    ("POST", r"apps/installations", "apps:write", platform.install_app),
    ("GET", r"apps/installations/(\d+)", "apps:read", platform.installation),
    ("PUT|DELETE", r"apps/installations/(\d+)", "apps:write", platform.installation),
)
_COMPILED = tuple((methods.split("|"), re.compile(path), scope, handler) for methods, path, scope, handler in _ROUTES)


class ZendeskTwin(Twin):
    """One Zendesk account. Attributes marked (switch) may be set at any time."""

    service = "zendesk"

    def __init__(self, *, port: int = 0, clock: Callable[[], datetime] | None = None, subdomain: str = "acme") -> None:
        super().__init__(port=port, clock=clock)
        self.subdomain = subdomain
        self.client_id, self.client_secret = "billing_desk", "zdsecret_" + "5" * 40
        self.api_token = "zdapitoken" + "6" * 30
        self.app_id, self.installation_id = 905, 4471
        self.update_limit = True                     # (switch) 30 per 10 minutes, 100 a minute
        self.account_limit: int | None = None        # (switch) requests a minute; None counts but never refuses
        self.search_lag = timedelta(minutes=1)       # (switch) how long search stays blind
        self.auto_deliver = True                     # (switch) call registered webhooks when a ticket is created
        self.delivery_wait: Callable[[float], object] = time.sleep  # (switch) the pause between tries
        self.delivery_timeout = 10.0                 # (switch)
        self.delivery_tls: ssl.SSLContext | None = None
        self.deliveries: list[Delivery] = []
        self._threads: list[threading.Thread] = []
        self.reset()

    # -- state -----------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """A fresh account: one service agent with an OAuth client, an API token and the installed private app."""
        self.desk = desk = Desk(self.subdomain)
        self.deliveries = []
        now = self.now()
        fill_custom_statuses(desk, now)
        service = new_user(desk, now, "Billing Desk", f"billing-desk@{self.subdomain}.example", role="admin")
        desk.service_user = service["id"]
        add_client(desk, now, self.client_id, self.client_secret, service["id"])
        desk.api_tokens.add(self.api_token)
        desk.apps[self.app_id] = {"id": self.app_id, "name": "Billing desk", "framework_version": "2.0",
                                  "visibility": "private", "created_at": text_of(now), "updated_at": text_of(now)}
        platform.make_installation(self._call(_NOTHING, service), self.app_id, {"settings": {"name": "Billing desk"}},
                                   self.installation_id)

    def copy_state(self) -> object:
        return copy.deepcopy(self.desk)

    def swap_state(self, state: object) -> object:
        if not isinstance(state, Desk):
            raise TypeError("a Zendesk twin swaps desks only")
        self.desk, before = state, self.desk
        return before

    def state(self) -> dict[str, Any]:
        desk = self.desk
        shown = [ticket | {"comments": desk.comments[number],
                           "fields": {desk.fields[each["id"]]["title"]: each["value"]
                                      for each in ticket["custom_fields"]}}
                 for number, ticket in desk.tickets.items()]
        return copy.deepcopy({
            "tickets": shown, "users": list(desk.users.values()), "mails": desk.mails, "pushed": desk.pushed,
            "webhooks": list(desk.webhooks.values()), "deliveries": [each.as_json() for each in self.deliveries],
            "client_id": self.client_id, "client_secret": self.client_secret, "api_token": self.api_token,
            "app_id": self.app_id, "installation_id": self.installation_id, "account_id": desk.account_id,
            "service_user": desk.service_user, "public_key": self.public_key_pem,
            "signing_secrets": desk.signing_secrets, "crashes": self.crashes,
        })

    def seed(self, wanted: Any) -> dict[str, Any]:
        """JSON with groups, users, ticket_fields, webhooks, tickets; `{"launch": agent id}` also answers a token."""
        if not isinstance(wanted, dict):
            raise ValueError("a seed is an object")
        answer = seed_desk(self, wanted)
        if "launch" in wanted:
            answer["token"] = self.launch_token(int(wanted["launch"]))
        return answer

    # -- seeding in Python -----------------------------------------------------------------------------------
    def add_group(self, name: str, group_id: int | None = None) -> Thing:
        with self.lock:
            return new_group(self.desk, self.now(), name, group_id=group_id)

    def add_user(self, name: str, email: str | None, **more: Any) -> Thing:
        """`more`: user_id, role, verification_method, groups, and any field of the API's user."""
        with self.lock:
            return new_user(self.desk, self.now(), name, email, **more)

    def add_agent(self, name: str, email: str, **more: Any) -> Thing:
        return self.add_user(name, email, **({"role": "agent"} | more))

    def add_identity(self, user_id: int, value: str, **more: Any) -> Thing:
        with self.lock:
            return new_identity(self.desk, self.now(), user_id, value, **more)

    def add_field(self, title: str, kind: str = "text", **more: Any) -> Thing:
        with self.lock:
            return new_field(self.desk, self.now(), title, kind, **more)

    def add_webhook(self, endpoint: str, *, secret: str | None = None, kind: str = "event", name: str = "Billing desk"
                    ) -> Thing:
        with self.lock:
            call = self._call(_NOTHING, self.desk.users[self.desk.service_user])
            made = platform.make_webhook(call, {
                "name": name, "status": "active", "endpoint": endpoint, "http_method": "POST",
                "request_format": "json", "subscriptions": [EVENT if kind == "event" else TRIGGER]})
            if secret is not None:
                self.desk.signing_secrets[made["id"]] = secret
            return made

    def add_ticket(self, subject: str, text: str, requester_id: int, *, channel: str = "email",
                   flags: Iterable[int] = (), author_id: int | None = None, deliver: bool | None = None, **more: Any
                   ) -> Thing:
        """A ticket as its requester opens it; registered webhooks are called unless `deliver` is false."""
        with self.lock:
            desk, now = self.desk, self.now()
            sender = desk.users[author_id or requester_id]
            via = more.pop("via", None) or via_of(channel, sender, to=f"support@{desk.subdomain}.zendesk.com")
            ticket = new_ticket(desk, now, subject, requester_id, via=via, **more)
            new_comment(desk, now, ticket["id"], sender["id"], text, via=via, flags=flags)
            if self.auto_deliver if deliver is None else deliver:
                self.announce(ticket["id"])
            return ticket

    def add_comment(self, ticket_id: int, author_id: int, text: str, *, public: bool = True, channel: str = "email",
                    flags: Iterable[int] = (), via: Thing | None = None) -> Thing:
        """What a person writes on a ticket; it moves updated_at, as any update does."""
        with self.lock:
            sender = self.desk.users[author_id]
            via = via or via_of(channel, sender, to=f"support@{self.subdomain}.zendesk.com")
            made = new_comment(self.desk, self.now(), ticket_id, author_id, text, public=public, via=via, flags=flags)
            touch(self.desk.tickets[ticket_id], self.now())
            return made

    def may_see(self, agent_id: int, ticket_id: int) -> bool:
        with self.lock:
            call = self._call(_NOTHING, self.desk.users[agent_id])
            return tickets.may_see(call, call.actor, self.desk.tickets[ticket_id])

    def revoke_tokens(self) -> None:
        with self.lock:
            self.desk.tokens.clear()

    # -- Zendesk's browser and delivery side -----------------------------------------------------------------
    @property
    def public_key_pem(self) -> str:
        return public_pem(app_key(0))

    def launch_token(self, agent_id: int, *, key_number: int = 0, leave_out: tuple[str, ...] = (),
                     headers: dict[str, Any] | None = None, **overrides: Any) -> str:
        """The RS256 token of a first page load; `overrides` replace claims, key_number 1 is a stranger's key."""
        return launch_token(self.desk, agent_id, self.installation_id, self.now(), key=app_key(key_number),
                            leave_out=leave_out, headers=headers, overrides=overrides)

    def deliver_webhook(
        self, ticket_id: int, url: str | None = None, *, kind: str = "event", secret: str | None = None,
        invocation_id: str | None = None, timestamp: str | None = None, tamper: str | None = None,
        body: bytes | None = None, actor_id: int | None = None, retries: bool = False,
    ) -> Delivery:
        """Deliver now, in this thread. tamper: body, signature, timestamp, account, or "without <header>"."""
        with self.lock:
            webhook = self._webhook(url, kind)
            number = webhook["id"] if webhook else "01HTWIN0000000000000000000"
            address = url or (webhook or {}).get("endpoint")
            signed_with = secret or self.desk.signing_secrets.get(number)
            if address is None or signed_with is None:
                raise ValueError("no webhook is registered: url and secret are needed")
            delivery = prepare(self.desk, self.desk.tickets[ticket_id], address, self.now(), kind=kind,
                               secret=signed_with, webhook_id=number, invocation_id=invocation_id,
                               timestamp=timestamp, body=body, actor_id=actor_id)
            if tamper is not None:
                spoil(delivery, tamper)
            self.deliveries.append(delivery)
        self._send(delivery, retries=retries)
        return delivery

    def redeliver(self, delivery: Delivery, *, retries: bool = False) -> None:
        """The very same invocation once more, byte for byte."""
        self._send(delivery, retries=retries)

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until all automatic deliveries have ended."""
        for thread in list(self._threads):
            thread.join(seconds)

    def _webhook(self, url: str | None, kind: str) -> Thing | None:
        wanted = EVENT if kind == "event" else TRIGGER
        fits = [each for each in self.desk.webhooks.values() if each["status"] == "active"
                and wanted in each["subscriptions"] and url in {None, each["endpoint"]}]
        return fits[0] if fits else None

    def announce(self, ticket_id: int) -> None:
        """Call every registered webhook for this new ticket, each in a thread of its own, with retries."""
        for webhook in list(self.desk.webhooks.values()):
            kind = "event" if EVENT in webhook["subscriptions"] else "trigger"
            if webhook["status"] != "active" or not {EVENT, TRIGGER}.intersection(webhook["subscriptions"]):
                continue
            delivery = prepare(self.desk, self.desk.tickets[ticket_id], webhook["endpoint"], self.now(), kind=kind,
                               secret=self.desk.signing_secrets[webhook["id"]], webhook_id=webhook["id"])
            self.deliveries.append(delivery)
            self._threads.append(in_background(functools.partial(self._send, delivery, retries=True)))

    def _send(self, delivery: Delivery, *, retries: bool) -> None:
        send(delivery, retries=retries, wait=self.delivery_wait, timeout=self.delivery_timeout,
             context=self.delivery_tls)

    # -- requests --------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        try:
            response = self._route(request)
        except Refused as refused:
            response = refused.response
        return self._with_limits(response, request)

    def _route(self, request: Request) -> Response:
        if request.path == "/oauth/tokens" and request.method == "POST":
            response = grant_token(self.desk, request, self.now())
            self.effect("token granted")
            return response
        if request.path == "/ips":
            return Response(200, {"ips": {"ingress": {"all": []}, "egress": {"all": ["192.0.2.0/24"]}}})
        path = request.path.removesuffix(".json").removeprefix("/api/v2/")
        actor, scopes = authenticate(self.desk, request, self.now())
        if actor is ANONYMOUS and path != "users/me":
            raise not_authenticated()
        if not request.path.startswith("/api/v2/"):
            raise no_endpoint()
        self._count_call()
        if actor["suspended"] or (not actor["active"] and actor is not ANONYMOUS):
            raise not_authenticated()
        return self._dispatch(request, path, actor, scopes)

    def _dispatch(self, request: Request, path: str, actor: Thing, scopes: frozenset[str]) -> Response:
        call = self._call(request, actor)
        if path == "oauth/tokens/current" and request.method == "GET":
            return current_token(self.desk, request)
        if path == "search" and request.method == "GET":
            self._demand(scopes, "tickets:read", actor)
            return people.search(call, self.search_lag)
        if key_of := re.fullmatch(r"apps/(\d+)/public_key(?:\.pem)?", path):
            self._demand(scopes, "apps:read", actor)
            return platform.public_key(call, key_of[1], lambda: self.public_key_pem)
        for methods, pattern, scope, handler in _COMPILED:
            found = pattern.fullmatch(path)
            if found and request.method in methods:
                self._demand(scopes, scope, actor)
                return handler(call, *found.groups())
        raise no_endpoint()

    def _demand(self, scopes: frozenset[str], scope: str, actor: Thing) -> None:
        if scope and not allows(scopes, scope):
            raise scope_missing([scope.rpartition(":")[2], scope])
        if scope and actor["role"] == "end-user":
            raise access_denied()

    def _call(self, request: Request, actor: Thing) -> Call:
        return Call(self.desk, request, actor, self.now(), self.effect, self.url, self._created, self.update_limit)

    def _created(self, ticket_id: int) -> None:
        if self.auto_deliver:
            self.announce(ticket_id)

    def _count_call(self) -> None:
        now = self.now()
        self.desk.calls = [at for at in self.desk.calls[-3000:] if now - at < timedelta(minutes=1)]
        if self.account_limit is not None and len(self.desk.calls) >= self.account_limit:
            wait = int((self.desk.calls[0] + timedelta(minutes=1) - now).total_seconds()) + 1
            raise too_many(wait, "Number of allowed API requests per minute exceeded")
        self.desk.calls.append(now)

    def _with_limits(self, response: Response, request: Request) -> Response:
        limit = self.account_limit or 700
        left = max(0, limit - len(self.desk.calls))
        response.headers = {
            "x-rate-limit": str(limit), "x-rate-limit-remaining": str(left), "ratelimit-limit": str(limit),
            "ratelimit-remaining": str(left), "ratelimit-reset": str(60 - self.now().second),
            "x-zendesk-request-id": f"twin-{len(self.wire) + 1}",
        } | response.headers
        if request.method == "PUT" and re.match(r"/api/v2/tickets/\d+", request.path):
            used = len([at for at, _, _ in self.desk.updates if self.now() - at < timedelta(minutes=1)])
            response.headers["zendesk-ratelimit-tickets-update"] = (
                f"total=100; remaining={max(0, 100 - used)}; resets={60 - self.now().second}")
        return response


_NOTHING = Request("GET", "/", [], {}, b"", "/")
