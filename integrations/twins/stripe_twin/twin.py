"""How does the Stripe twin take a request from authentication to the answer?"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import (
    acts,
    routes_account,
    routes_checkout,
    routes_credit,
    routes_customers,
    routes_invoices,
    routes_payments,
    routes_refunds,
    routes_subscriptions,
)
from integrations.twins.stripe_twin.dump import dump
from integrations.twins.stripe_twin.expand import check_paths, expanded
from integrations.twins.stripe_twin.form import parse_body, parse_tree
from integrations.twins.stripe_twin.idempotency import IdempotencyStore, Kept
from integrations.twins.stripe_twin.keys import Key, check_permission, key_of, new_key
from integrations.twins.stripe_twin.refusals import Refusal, invalid
from integrations.twins.stripe_twin.request_types import decode
from integrations.twins.stripe_twin.response_types import Obj, empty_branch, problems, skeleton
from integrations.twins.stripe_twin.routing import Call, Route, matching
from integrations.twins.stripe_twin.seeds import take_in
from integrations.twins.stripe_twin.store import Store
from integrations.twins.stripe_twin.webhooks import Webhooks

_caused_by: ContextVar[Obj | None] = ContextVar("caused_by", default=None)  # an event's `request`
API_VERSION = "2026-10-28.endive"
DEFAULT_KEY = "sk_test_twin0000000000000000"
ACCOUNT = "acct_1TwinA0000000000"
HANDLERS = (
    routes_account,
    routes_checkout,
    routes_credit,
    routes_customers,
    routes_invoices,
    routes_payments,
    routes_refunds,
    routes_subscriptions,
)


class StripeTwin(Twin):
    """Stripe under API version 2026-10-28.endive, in memory.

    `search_lag` is in seconds of the twin's clock. `check_responses` checks every answer against the SDK's classes.
    """

    service = "stripe"

    def __init__(
        self, *, port: int = 0, clock: Callable[[], datetime] | None = None, check_responses: bool = True
    ) -> None:
        super().__init__(port=port, clock=clock)
        self.check_responses = check_responses
        self.search_lag = 0
        self.webhooks = Webhooks()
        self._request_numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        self.store = Store()
        self.idempotency = IdempotencyStore()
        self.keys: dict[str, Key] = {DEFAULT_KEY: Key(DEFAULT_KEY)}
        self.broken: list[tuple[str, str, bool]] = []
        self.account = {
            **skeleton("account"),
            "id": ACCOUNT,
            "type": "standard",
            "country": "US",
            "default_currency": "usd",
            "charges_enabled": True,
            "payouts_enabled": True,
        }

    # -- what tests set ---------------------------------------------------------------------------------------------
    def add_key(self, text: str, permissions: Iterable[str] | None = None) -> str:
        """Register a key; a restricted one needs its permissions ("rak_charge_read", …)."""
        self.keys[text] = new_key(text, permissions)
        return text

    def add_webhook_endpoint(self, url: str, events: Iterable[str], *, status: str = "enabled") -> Obj:
        """A webhook endpoint as the Dashboard makes it, in test mode. Nothing is delivered to it: see `webhooks`."""
        with self.lock:
            made = {**skeleton("webhook_endpoint"), "id": self.store.fresh_id("webhook_endpoint"), "url": url}
            made |= {"enabled_events": list(events), "status": status, "created": self.unix(), "livemode": False}
            return self.store.put(made, live=False, at=self.unix())

    def break_next(self, path: str, *, method: str = "POST", after_effect: bool = True) -> None:
        """The next such call ends in a 500 of Stripe's own, which its idempotency key remembers."""
        self.broken.append((method, path, after_effect))

    def unix(self) -> int:
        return int(self.now().timestamp())

    def refunds(self) -> list[Obj]:
        """The money ledger: every refund, oldest first."""
        return sorted(self.store.of_kind("refund"), key=lambda made: int(made["created"]))

    def state(self) -> dict[str, Any]:
        return dump(self.store)

    def seed(self, wanted: Any) -> dict[str, Any]:
        return take_in(self, wanted)

    def copy_state(self) -> object:
        return copy.deepcopy(self.store)

    def swap_state(self, state: object) -> object:
        before = self.store
        if isinstance(state, Store):
            self.store = state
        return before

    def settle_refund(self, refund: str, status: str, **fields: Any) -> Obj:
        """Move a refund later on, as the bank would: succeeded, failed (with failure_reason=…), canceled."""
        with self.lock:
            made = self.store.objects[refund]
            self.store.touch(made, self.unix())
            made |= {"status": status, **fields}
            acts.settle_charge(self.store, self.store.objects[made["charge"]])
            event = "refund.failed" if status == "failed" else "refund.updated"
            self.emit(event, copy.deepcopy(made), live=self.store.live[refund])
            return made

    def usual_headers(self) -> dict[str, str]:
        return {"Request-Id": self._request_id()}

    def _request_id(self) -> str:
        return f"req_twin{next(self._request_numbers):012d}"

    # -- idempotency in flight ------------------------------------------------------------------------------------
    def admit(self, request: Request) -> Response | None:
        owner, key = request.headers.get("authorization", ""), request.headers.get("idempotency-key")
        if request.method != "POST" or key is None:
            return None
        try:
            self.idempotency.begin(owner, key)
        except Refusal as refused:
            return self._refused(refused, self._request_id())
        return None

    def release(self, request: Request) -> None:
        key = request.headers.get("idempotency-key")
        if key is not None:
            self.idempotency.end(request.headers.get("authorization", ""), key)

    # -- one request ------------------------------------------------------------------------------------------------
    def ripen(self) -> None:
        """Let the refunds end whose time has come (the directive `ends`)."""
        for refund, directives in list(self.store.directives.items()):
            ends = directives.get("ends")
            if ends is not None and ends["at"] <= self.unix():
                del directives["ends"]
                self.settle_refund(refund, ends["status"], failure_reason=ends.get("failure_reason"))

    def handle(self, request: Request) -> Response:
        self.ripen()
        request_id = self._request_id()
        try:
            key = key_of(request.headers, self.keys)
            _check_version(request)
            route, call, paths = self._decoded(request, key)
            causing = _caused_by.set({"id": request_id, "idempotency_key": request.headers.get("idempotency-key")})
            try:
                return self._once(request, request_id, key, lambda: self._run(route, call, paths))
            finally:
                _caused_by.reset(causing)
        except Refusal as refused:
            return self._refused(refused, request_id)

    def _decoded(self, request: Request, key: Key) -> tuple[Route, Call, list[str]]:
        found = matching(request.method, request.path)
        if found is None:
            raise Refusal(
                404,
                f"Unrecognized request URL ({request.method}: {request.path}). Please see "
                "https://stripe.com/docs or we can help at https://support.stripe.com/.",
                stored=False,
            )
        route, ids = found
        check_permission(key, route.permission, self.account["id"])
        pairs = request.query + (parse_body(request.body) if request.method != "GET" else [])
        params = decode(route.params, parse_tree(pairs))
        paths = params.pop("expand", [])
        route.refuse_unmodelled(params)
        check_paths(paths, route.kind, listed=route.lists)
        return route, Call(self, params, ids, request.path, key.live, self.unix()), paths

    def _run(self, route: Route, call: Call, paths: list[str]) -> tuple[int, Obj]:
        broken = next((item for item in self.broken if item[0] == route.method and call.url.startswith(item[1])), None)
        if broken is not None:
            self.broken.remove(broken)
            if broken[2]:
                route.handler(call)
            return 500, {"error": {"message": "An unknown error occurred", "type": "api_error"}}
        answer = expanded(self.store, route.handler(call), paths)
        if self.check_responses and (wrong := problems(answer)):
            raise AssertionError(f"{route.method} {route.template} answers against the SDK: {wrong[:5]}")
        return 200, answer

    def _once(self, request: Request, request_id: str, key: Key, run: Callable[[], tuple[int, Obj]]) -> Response:
        """Run a call, or replay what its idempotency key already got. Refusals of a handler are stored too."""
        token = request.headers.get("idempotency-key")
        if request.method != "POST" or token is None:
            status, body = run()
            return self._respond(status, json.dumps(body).encode(), request_id)
        now = self.unix()
        fingerprint = (request.method, request.path, tuple(sorted(request.query + parse_body(request.body))))
        kept = self.idempotency.recall(key.text, token, fingerprint, now)
        if kept is not None:
            more = {"Idempotent-Replayed": "true", "Idempotency-Key": token, "Original-Request": kept.request_id}
            return self._respond(kept.status, kept.body, request_id, more)
        try:
            status, answer = run()
        except Refusal as refused:
            if not refused.stored:
                raise
            status, answer = refused.status, _error_body(refused, request_id)
        encoded = json.dumps(answer).encode()
        self.idempotency.keep(key.text, token, Kept(fingerprint, status, encoded, request_id, now))
        return self._respond(status, encoded, request_id, {"Idempotency-Key": token, "Original-Request": request_id})

    def _refused(self, refused: Refusal, request_id: str) -> Response:
        return self._respond(refused.status, json.dumps(_error_body(refused, request_id)).encode(), request_id)

    def _respond(self, status: int, body: bytes, request_id: str, more: dict[str, str] | None = None) -> Response:
        headers = {"Content-Type": "application/json", "Request-Id": request_id, "Stripe-Version": API_VERSION}
        return Response(status, body, {**headers, **(more or {})})

    def emit(self, event: str, changed: Obj, *, live: bool) -> Obj:
        """Record an event and, with a webhook address, deliver it."""
        before = self.store.before_change.get(changed["id"], {})
        previous = {name: value for name, value in before.items() if changed.get(name) != value}
        body = {
            **skeleton("event"),
            "id": self.store.fresh_id("event"),
            "type": event,
            "created": self.unix(),
            "api_version": API_VERSION,
            "livemode": live,
            "request": _caused_by.get(),
            "data": {**empty_branch("event", "data"), "object": changed, "previous_attributes": previous or None},
        }
        self.store.put(body, live=live, at=self.unix())
        self.webhooks.deliver(body, self.unix())
        return body


def _error_body(refused: Refusal, request_id: str) -> Obj:
    return {"error": {**refused.error, "request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}"}}


def _check_version(request: Request) -> None:
    asked = request.headers.get("stripe-version", API_VERSION)
    if asked != API_VERSION:
        raise invalid(f"Invalid Stripe API version: {asked}. The twin speaks {API_VERSION} only.")
