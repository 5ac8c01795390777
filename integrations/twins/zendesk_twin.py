"""How does Zendesk behave towards billing-desk?  Its REST API, its webhooks and its signed launches, on the loopback.

The tables are in zendesk_desk, the routes below name their handlers. Not copied: views, macros, merging;
triggers are listed and do nothing.
Field names follow Zendesk's Support OAS of 2025-04; limits follow
https://developer.zendesk.com/api-reference/introduction/rate-limits/
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import timedelta

from integrations.twins import zendesk_people as people
from integrations.twins import zendesk_platform as platform
from integrations.twins import zendesk_tickets as tickets
from integrations.twins.outgoing import in_background
from integrations.twins.server import Request, Response
from integrations.twins.zendesk_account import ZendeskAccount
from integrations.twins.zendesk_auth import ANONYMOUS, allows, authenticate, current_token, grant_token
from integrations.twins.zendesk_delivery import (
    EVENT,
    TRIGGER,
    Delivery,
    prepare,
    send,
    spoil,
)
from integrations.twins.zendesk_desk import (
    Thing,
)
from integrations.twins.zendesk_rules import (
    Refused,
    access_denied,
    no_endpoint,
    not_authenticated,
    scope_missing,
    too_many,
)

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
    ("DELETE", r"ticket_fields/(\d+)", "tickets:write", people.delete_field),
    ("GET", r"custom_statuses", "tickets:read", people.list_custom_statuses),
    ("GET", r"webhooks", "webhooks:read", platform.list_webhooks),
    ("POST", r"webhooks", "webhooks:write", platform.create_webhook),
    ("GET", r"webhooks/(\w+)", "webhooks:read", platform.show_webhook),
    ("PATCH|PUT", r"webhooks/(\w+)", "webhooks:write", platform.change_webhook),
    ("DELETE", r"webhooks/(\w+)", "webhooks:write", platform.delete_webhook),
    ("GET", r"webhooks/(\w+)/signing_secret", "webhooks:read", platform.signing_secret),
    ("POST", r"webhooks/(\w+)/signing_secret", "webhooks:write", platform.signing_secret),
    ("GET", r"triggers", "triggers:read", platform.list_triggers),
    ("POST", r"apps/uploads", "apps:write", platform.upload),
    ("POST", r"apps/validate", "apps:write", platform.validate),
    ("POST", r"apps/notify", "apps:write", platform.notify),
    ("GET", r"apps|apps/owned", "apps:read", platform.list_apps),
    ("POST", r"apps", "apps:write", platform.create_app),
    ("GET", r"apps/(\d+)", "apps:read", platform.show_app),
    ("PUT", r"apps/(\d+)", "apps:write", platform.replace_app),
    ("DELETE", r"apps/(\d+)", "apps:write", platform.delete_app),
    ("GET", r"apps/job_statuses/(\w+)", "apps:read", platform.job_status),
    ("GET", r"apps/installations/job_statuses/(\w+)", "apps:read", platform.job_status),
    ("GET", r"apps/installations", "apps:read", platform.list_installations),
    ("POST", r"apps/installations", "apps:write", platform.install_app),
    ("GET", r"apps/installations/(\d+)", "apps:read", platform.installation),
    ("PUT|DELETE", r"apps/installations/(\d+)", "apps:write", platform.installation),
)
_FOR_ADMINS = (
    platform.list_webhooks,
    platform.create_webhook,
    platform.show_webhook,
    platform.change_webhook,
    platform.delete_webhook,
    platform.signing_secret,
    platform.upload,
    platform.create_app,
    platform.replace_app,
    platform.delete_app,
    platform.install_app,
)
_COMPILED = tuple((methods.split("|"), re.compile(path), scope, handler) for methods, path, scope, handler in _ROUTES)


class ZendeskTwin(ZendeskAccount):
    """One Zendesk account that answers requests and calls webhooks; seeds and switches are in ZendeskAccount."""

    # -- deliveries ------------------------------------------------------------------------------------------
    def deliver_webhook(
        self,
        ticket_id: int,
        url: str | None = None,
        *,
        kind: str = "event",
        secret: str | None = None,
        invocation_id: str | None = None,
        timestamp: str | None = None,
        tamper: str | None = None,
        body: bytes | None = None,
        actor_id: int | None = None,
        retries: bool = False,
    ) -> Delivery:
        """Deliver now, in this thread. tamper: body, signature, timestamp, account, or "without <header>"."""
        with self.lock:
            webhook = self._webhook(url, kind)
            number = webhook["id"] if webhook else "01HTWIN0000000000000000000"
            address = url or (webhook or {}).get("endpoint")
            signed_with = secret or self.desk.signing_secrets.get(number)
            if address is None or signed_with is None:
                raise ValueError("no webhook is registered: url and secret are needed")
            delivery = prepare(
                self.desk,
                self.desk.tickets[ticket_id],
                address,
                self.now(),
                kind=kind,
                secret=signed_with,
                webhook_id=number,
                invocation_id=invocation_id,
                timestamp=timestamp,
                body=body,
                actor_id=actor_id,
            )
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
        fits = [
            each
            for each in self.desk.webhooks.values()
            if each["status"] == "active" and wanted in each["subscriptions"] and url in {None, each["endpoint"]}
        ]
        return fits[0] if fits else None

    def announce(self, ticket_id: int) -> None:
        """Call every registered webhook for this new ticket, each in a thread of its own, with retries."""
        for webhook in list(self.desk.webhooks.values()):
            kind = "event" if EVENT in webhook["subscriptions"] else "trigger"
            if webhook["status"] != "active" or not {EVENT, TRIGGER}.intersection(webhook["subscriptions"]):
                continue
            delivery = prepare(
                self.desk,
                self.desk.tickets[ticket_id],
                webhook["endpoint"],
                self.now(),
                kind=kind,
                secret=self.desk.signing_secrets[webhook["id"]],
                webhook_id=webhook["id"],
            )
            self.deliveries.append(delivery)
            self._threads.append(in_background(functools.partial(self._send, delivery, retries=True)))

    def _send(self, delivery: Delivery, *, retries: bool) -> None:
        send(
            delivery, retries=retries, wait=self.delivery_wait, timeout=self.delivery_timeout, context=self.delivery_tls
        )

    # -- requests --------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        try:
            response = self._route(request)
        except Refused as refused:
            response = refused.response
        response.body = response.encoded()  # now, under the lock: the objects in it live on
        return self._with_limits(response, request)

    def _route(self, request: Request) -> Response:
        if request.path == "/oauth/tokens" and request.method == "POST":
            return grant_token(self.desk, request, self.now())
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
                if handler in _FOR_ADMINS and actor["role"] != "admin":
                    raise access_denied()
                return handler(call, *found.groups())
        raise no_endpoint()

    def _demand(self, scopes: frozenset[str], scope: str, actor: Thing) -> None:
        if scope and not allows(scopes, scope):
            raise scope_missing([scope.rpartition(":")[2], scope])
        if scope and actor["role"] == "end-user":
            raise access_denied()

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
            "x-rate-limit": str(limit),
            "x-rate-limit-remaining": str(left),
            "ratelimit-limit": str(limit),
            "ratelimit-remaining": str(left),
            "ratelimit-reset": str(60 - self.now().second),
            "x-zendesk-request-id": f"twin-{len(self.wire) + 1}",
        } | response.headers
        if request.method == "PUT" and re.match(r"/api/v2/tickets/\d+", request.path):
            used = len([at for at, _, _ in self.desk.updates if self.now() - at < timedelta(minutes=1)])
            response.headers["zendesk-ratelimit-tickets-update"] = (
                f"total=100; remaining={max(0, 100 - used)}; resets={60 - self.now().second}"
            )
        return response
