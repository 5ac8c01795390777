"""What is the state at Stripe? Reads only: who is meant, then two parallel rounds, all within one deadline.

What cannot be read becomes a `Missing` part; only when nobody can be looked up at all does a reading raise
OutsideError. A first look at one customer with a live subscription costs 11 requests, 9 once the portal and the
product's name are known.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from urllib.parse import quote

from billing.evidence import TicketEvidence
from billing.identity import same_address
from billing.plan import Plan
from billing.records import Charge, Customer, InvoiceLine, PortalConfiguration
from billing.snapshot import BillingSnapshot, Hint, Missing, Why
from integrations import stripe_schemas as schemas
from integrations.errors import Garbled, OutsideError
from integrations.http import CappedSession, Observer, capped_session
from integrations.stripe_effects import Effect, effects_of
from integrations.stripe_fields import text
from integrations.stripe_hints import Finder
from integrations.stripe_links import PORTAL_PARAMS, PORTAL_PATH, links_of
from integrations.stripe_parts import (
    FEW,
    completed,
    further_queries,
    joined,
    lines_query,
    state_queries,
    warned,
    warning_query,
    with_lines,
)
from integrations.stripe_requests import Budget, Document, Listing, Lists, Query, StripeRequests, loaded, outcome

TOTAL_SECONDS = 8.0
MOST_CUSTOMERS = 5
MOST_NAMES = 20
LONG_INVOICES = 3  # of so many invoices with more than ten lines are the rest of the lines read
SINGLY_WARNED = 3
PORTAL_KEPT, NAMES_KEPT = timedelta(minutes=15), timedelta(hours=24)
_STATE = (
    "subscriptions", "invoices", "charges", "payment_methods", "payment_intents", "checkout_sessions", "disputes",
    "early_fraud_warnings", "credit_notes", "balance_transactions", "pending_items", "portal",
)  # fmt: skip
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_T]):
    at: datetime
    value: _T

    def fresh(self, now: datetime, kept: timedelta) -> bool:
        return timedelta() <= now - self.at < kept


class StripeReader:
    """Thread-safe. A reading takes no longer than the session's `total_seconds`."""

    def __init__(
        self, key: str, base: str, *, session: CappedSession | None = None, threads: int = 12, per_second: int = 30,
        observer: Observer | None = None,
    ) -> None:  # fmt: skip
        session = session or capped_session(
            total_seconds=TOTAL_SECONDS, concurrency=threads, rate_per_second=per_second, burst=per_second,
            observer=("stripe", observer) if observer else None,
        )  # fmt: skip
        self._seconds = session.total_seconds
        self._requests = StripeRequests(key, base, session, threads)
        self._livemode = "_live_" in key
        self._lock = threading.Lock()
        self._portal: _Kept[PortalConfiguration | None] | None = None
        self._names: dict[str, _Kept[str]] = {}

    @property
    def requests_made(self) -> int:
        """How many requests this reader made so far: Stripe grants reads by the month."""
        return self._requests.count

    def who(self, evidence: TicketEvidence, *, now: datetime) -> BillingSnapshot:
        """The quick tier, two requests: whose ticket it is and nothing of their state. Raises OutsideError."""
        lists = Lists()
        found = Finder(self._requests, evidence, None).find(lists, Budget.of(self._seconds))
        customers = sorted(found.customers.values(), key=lambda c: (c.created, c.id), reverse=True)
        for part in _STATE:
            lists.lack(part, Why.NOT_READ)
        return self._build(customers[:MOST_CUSTOMERS], tuple(found.hints), None, lists, {}, now)

    def snapshot(self, evidence: TicketEvidence, *, now: datetime, lookup: str | None = None) -> BillingSnapshot:
        """Everything the decision needs.

        `lookup`: the id, address, invoice number or GitHub login that an operator typed, besides the ticket.
        Raises OutsideError when no customer could be looked up; any later failure is a Missing part instead.
        """
        budget, lists = Budget.of(self._seconds), Lists()
        email = evidence.requester.email
        portal = self._requests.go(self._portal_configuration, now, budget.rest)
        sessions = self._requests.go(self._sessions_of, email, budget.state) if email else None
        who = Finder(self._requests, evidence, lookup).find(lists, budget)
        customers = sorted(who.customers.values(), key=lambda c: (c.created, c.id), reverse=True)
        if len(customers) > MOST_CUSTOMERS:
            lists.lack("customers", Why.CUT_OFF)
        customers = customers[:MOST_CUSTOMERS]
        clipped = self._requests.collect(lists, state_queries(c for c in customers if not c.deleted), budget.state)
        self._add_sessions(lists, sessions, customers, email, budget)
        lines = self._third_round(customers, lists, clipped, now, budget)
        settings = self._requests.settled(lists, "portal", portal, budget.rest)
        return self._build(customers, tuple(who.hints), settings, lists, lines, now)

    def links(self, chosen: Plan) -> dict[str, str]:
        """Links for the reply of this plan, by placeholder: fetched now, never stored; one that fails is left out."""
        return links_of(self._requests, chosen, self._seconds)

    def effects(self, installation: str, since: datetime) -> tuple[Effect, ...]:
        """What this installation's own writes did at Stripe since then, oldest first. Raises OutsideError."""
        return effects_of(self._requests, installation, since, self._seconds)

    # --- beside the rounds -------------------------------------------------------------------------------------------

    def _sessions_of(self, email: str, ends: float) -> Listing:
        params = {"customer_details": {"email": email}, "limit": FEW}
        query = Query(
            part="checkout_sessions", path="/v1/checkout/sessions", params=params, load=schemas.CHECKOUT_SESSION.load,
            pages=1,
        )  # fmt: skip
        return self._requests.listed(query, ends)

    def _add_sessions(
        self, lists: Lists, asked: Future[Listing] | None, customers: list[Customer], email: str | None, budget: Budget
    ) -> None:
        """Sessions of the address: of its customers, and of guests that gave this very address."""
        listing = self._requests.settled(lists, "checkout_sessions", asked, budget.state) if asked else None
        if listing is None:
            return
        own = {customer.id for customer in customers}
        lists.add(
            "checkout_sessions",
            (s for s in listing.records if s.customer in own or (not s.customer and same_address(s.email, email))),
        )
        lists.lack("checkout_sessions", listing.why)

    def _portal_configuration(self, now: datetime, ends: float) -> PortalConfiguration | None:
        with self._lock:
            kept = self._portal
        if kept is not None and kept.fresh(now, PORTAL_KEPT):
            return kept.value
        answer = self._requests.get(PORTAL_PATH, dict(PORTAL_PARAMS), ends)
        found, unread = loaded(schemas.PORTAL.load, answer.get("data"))
        if unread:
            raise Garbled(service="stripe", method="GET", path=PORTAL_PATH)
        portal = found[0] if found else None
        with self._lock:
            self._portal = _Kept(now, portal)
        return portal

    # --- round three ------------------------------------------------------------------------------------------------

    def _third_round(
        self, customers: list[Customer], lists: Lists, clipped: list[tuple[str, str]], now: datetime, budget: Budget
    ) -> dict[str, tuple[InvoiceLine, ...]]:
        """What this state asks for, all at once; the lines of long invoices by invoice."""
        ends = budget.rest
        charges = warned(lists.of("charges"), now)
        warnings = self._requests.go(self._warnings, charges, ends) if charges else None
        names = self._ask_names(lists, now, ends)
        long = self._long_invoices(lists, clipped)
        lines = {name: self._requests.go(self._requests.listed, lines_query(name), ends) for name in long}
        self._requests.collect(lists, further_queries(customers, lists), ends)
        if warnings is not None:
            listing = self._requests.settled(lists, "early_fraud_warnings", warnings, ends)
            lists.add("early_fraud_warnings", listing.records if listing else ())
            lists.lack("early_fraud_warnings", listing.why if listing else None)
        self._keep_names(names, now, ends)
        answers = {name: self._requests.settled(lists, "invoice_lines", one, ends) for name, one in lines.items()}
        for answer in answers.values():
            lists.lack("invoice_lines", answer.why if answer else None)
        return {name: answer.records for name, answer in answers.items() if answer is not None}

    def _warnings(self, charges: list[Charge], ends: float) -> Listing:
        """The warnings of these charges. Where the account has more than a page of them, the newest charges' own."""
        own = {charge.id for charge in charges}
        listing = self._requests.listed(warning_query(charges), ends)
        found = [warning for warning in listing.records if warning.charge in own]
        if listing.why is not Why.CUT_OFF:
            return Listing(tuple(found), listing.why)
        for charge in charges[:SINGLY_WARNED]:
            found += self._requests.listed(warning_query([charge]), ends).records
        return Listing(tuple(warning for warning in found if warning.charge in own))

    def _long_invoices(self, lists: Lists, clipped: list[tuple[str, str]]) -> list[str]:
        """The newest invoices with unread lines; what stays unread of older ones, and of other lists, is noted."""
        unread = {name for inner, name in clipped if inner == "lines"}
        long = [invoice.id for invoice in lists.of("invoices") if invoice.id in unread]
        if len(long) > LONG_INVOICES:
            lists.lack("invoice_lines", Why.CUT_OFF)
        for inner, part in (("refunds", "refunds"), ("payments", "invoice_payments")):
            if any(name == inner for name, _ in clipped):
                lists.lack(part, Why.CUT_OFF)
        return long[:LONG_INVOICES]

    def _ask_names(self, lists: Lists, now: datetime, ends: float) -> dict[str, Future[Document]]:
        """Requests for the names of products that no price brought along and that are not known from before."""
        prices = [item.price for subscription in lists.of("subscriptions") for item in subscription.items]
        with self._lock:
            known = {product for product, name in self._names.items() if name.fresh(now, NAMES_KEPT)}
        wanted = {price.product for price in prices if price.product_name == price.product} - known
        return {
            product: self._requests.go(self._requests.get, f"/v1/products/{quote(product, safe='')}", {}, ends)
            for product in sorted(wanted)[:MOST_NAMES]
        }

    def _keep_names(self, asked: dict[str, Future[Document]], now: datetime, ends: float) -> None:
        """A product whose name cannot be had is called by its id; nothing depends on the name."""
        for product, future in asked.items():
            try:
                name = text(outcome(future, ends).get("name"))
            except OutsideError:
                continue
            if name:
                with self._lock:
                    self._names[product] = _Kept(now, name)

    # --- putting it together --------------------------------------------------------------------------------------

    def _build(
        self, customers: list[Customer], hints: tuple[Hint, ...], portal: PortalConfiguration | None, lists: Lists,
        lines: dict[str, tuple[InvoiceLine, ...]], now: datetime,
    ) -> BillingSnapshot:  # fmt: skip
        with self._lock:
            names = {product: kept.value for product, kept in self._names.items()}
        subscriptions = tuple(completed(one, names, now) for one in lists.of("subscriptions"))
        invoices = with_lines(lists.of("invoices"), lines, subscriptions)
        charges, intents = joined(lists.of("charges"), invoices, lists.of("payment_intents"))
        plain = ("payment_methods", "checkout_sessions", "disputes", "early_fraud_warnings", "credit_notes",
                 "balance_transactions", "pending_items")  # fmt: skip
        return BillingSnapshot(
            taken_at=now, livemode=self._livemode, customers=tuple(customers), hints=hints,
            subscriptions=subscriptions, invoices=invoices, charges=charges, payment_intents=intents, portal=portal,
            missing=_missing(lists), **{part: lists.of(part) for part in plain},
        )  # fmt: skip


def _missing(lists: Lists) -> tuple[Missing, ...]:
    return tuple(Missing(part=part, why=why) for part, why in sorted(lists.missing.items()))
