"""Who is this customer at Stripe, and what is the state? Reads only: two parallel rounds, and a third when needed.

Addresses are matched exactly, because Stripe's own filter is case-sensitive; the lower-case form is asked for beside
it, and the search index (which may lag) only when both find nobody. What cannot be read becomes a `Missing` part;
only when nobody can be looked up at all does a reading raise OutsideError.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from marshmallow import Schema, ValidationError

from billing.evidence import IdentifierKind, TicketEvidence
from billing.plan import Plan, SendCheckoutLink, SendInvoiceCopy, SendInvoiceLink, SendPortalLogin, Step
from billing.records import Charge, Customer, Invoice, PaymentIntent, PortalConfiguration, Price, Subscription
from billing.snapshot import BillingSnapshot, Hint, Missing, Why
from integrations import stripe_schemas as schemas
from integrations.errors import Forbidden, Garbled, NotFound, OutsideError, RateLimited, Unreachable
from integrations.http import CappedSession, capped_session
from integrations.stripe_calls import OTHER_MODE, open_client, translated

TOTAL_SECONDS = 8.0
PAGE, MOST_PAGES = 100, 3
MOST_CUSTOMERS, MOST_IDS = 5, 5
PORTAL_KEPT = timedelta(minutes=15)
WARNED_CHARGES = 3  # early fraud warnings are asked for the newest charges only
STRIPE_ID = re.compile(
    r"(?:sub_sched|cus|sub|si|in|ii|il|ch|py|pi|re|pyr|pm|seti|dp|du|cn|cs_test|cs_live)_[A-Za-z0-9]{1,80}"
)
_EXPANDED = {"cs_test": "cs", "cs_live": "cs"}
_BY_PREFIX: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cus": ("/v1/customers/{}", ()),
    "sub": ("/v1/subscriptions/{}", ("customer",)),
    "in": ("/v1/invoices/{}", ("customer",)),
    "ch": ("/v1/charges/{}", ("customer",)),
    "py": ("/v1/charges/{}", ("customer",)),
    "pi": ("/v1/payment_intents/{}", ("customer",)),
    "re": ("/v1/refunds/{}", ("charge.customer",)),
    "pyr": ("/v1/refunds/{}", ("charge.customer",)),
    "cs": ("/v1/checkout/sessions/{}", ("customer",)),
}
_DEFAULT_PORTAL = {"active": "true", "is_default": "true", "limit": 1}
_T = TypeVar("_T")
Params = dict[str, Any]


@dataclass(slots=True)
class _Lists:
    """What the rounds collect; every list is newest first within a customer."""

    found: dict[str, list[Any]] = field(default_factory=dict)
    missing: dict[str, Why] = field(default_factory=dict)

    def add(self, part: str, records: Iterable[Any]) -> None:
        self.found.setdefault(part, []).extend(records)

    def lack(self, part: str, why: Why) -> None:
        self.missing.setdefault(part, why)

    def of(self, part: str) -> tuple[Any, ...]:
        unique = {record.id: record for record in self.found.get(part, [])}
        return tuple(sorted(unique.values(), key=lambda record: (record.created, record.id), reverse=True))


class StripeReader:
    """Thread-safe. `observe` is told each request: method, path template, status or None, seconds."""

    def __init__(self, key: str, base: str, *, session: CappedSession | None = None, threads: int = 12) -> None:
        self._session = session or capped_session(
            total_seconds=TOTAL_SECONDS, concurrency=12, rate_per_second=30, burst=30
        )
        self._client = open_client(key, base, self._session)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stripe-read")
        self._livemode = "_live_" in key
        self._lock = threading.Lock()
        self._portal: tuple[datetime, PortalConfiguration | None] | None = None
        self._names: dict[str, str] = {}

    def snapshot(self, evidence: TicketEvidence, *, now: datetime, lookup: str | None = None) -> BillingSnapshot:
        """Everything the decision needs. `lookup`: an id or address that an operator typed, besides the ticket.

        Raises OutsideError when no customer could be looked up; any later failure is a Missing part instead.
        """
        email = evidence.requester.email
        customers, sessions, hints, portal, lists = self._first_round(evidence, lookup, now)
        named = evidence.requester.named_by_operator
        wanted = {hint.customer for hint in hints if hint.customer and (hint.same_email or named)}
        customers |= {c.id: c for c in self._retrieved(wanted - customers.keys(), lists)}
        kept = sorted(customers.values(), key=lambda c: (c.created, c.id), reverse=True)
        if len(kept) > MOST_CUSTOMERS:
            lists.lack("customers", Why.CUT_OFF)
        kept = kept[:MOST_CUSTOMERS]
        self._second_round([c for c in kept if not c.deleted], lists)
        lists.add(
            "checkout_sessions", (s for s in sessions if s.email is None or email is None or _same(s.email, email))
        )
        self._third_round(kept, lists, now)
        return self._build(kept, hints, portal, lists, now)

    def links(self, chosen: Plan) -> dict[str, str]:
        """Links for the reply of this plan, by placeholder: fetched now, never stored; one that fails is left out."""
        links: dict[str, str] = {}
        for planned in chosen.steps:
            name, link = self._link(planned.step)
            if name and link:
                links.setdefault(name, link)
        return links

    def _link(self, step: Step) -> tuple[str, str | None]:
        try:
            match step:
                case SendPortalLogin():
                    configurations = self._get("/v1/billing_portal/configurations", dict(_DEFAULT_PORTAL)).get("data")
                    portals, _ = _loaded(schemas.PORTAL, configurations)
                    return "portal_link", portals[0].login_page_url if portals else None
                case SendInvoiceLink() | SendInvoiceCopy():
                    return self._document_link(step.object or "")
                case SendCheckoutLink() if step.target and step.target.startswith("cs_"):
                    session = self._get(f"/v1/checkout/sessions/{quote(step.target, safe='')}", {})
                    recovery = (session.get("after_expiration") or {}).get("recovery") or {}
                    return "checkout_link", _https(session.get("url") or recovery.get("url"))
        except OutsideError:
            pass
        return "", None

    def _document_link(self, identifier: str) -> tuple[str, str | None]:
        if identifier.startswith(("ch_", "py_")):
            charge = self._get(f"/v1/charges/{quote(identifier, safe='')}", {})
            return "receipt_link", _https(charge.get("receipt_url"))
        invoice = self._get(f"/v1/invoices/{quote(identifier, safe='')}", {})
        return "invoice_link", _https(invoice.get("hosted_invoice_url") or invoice.get("invoice_pdf"))

    # --- round one: who ------------------------------------------------------------------------------------------

    def _first_round(
        self, evidence: TicketEvidence, lookup: str | None, now: datetime
    ) -> tuple[dict[str, Customer], list[Any], list[Hint], PortalConfiguration | None, _Lists]:
        lists = _Lists()
        email = evidence.requester.email or (lookup if lookup and "@" in lookup else None)
        login = lookup if lookup and "@" not in lookup and not STRIPE_ID.fullmatch(lookup) else None
        asked = {e: self._go(self._customers_of, e) for e in dict.fromkeys([email, email and email.lower()]) if e}
        checkouts = self._go(self._sessions_of, email) if email else None
        by_login = self._go(self._customers_with_login, login) if login else None
        hints = [self._go(self._hint, identifier, evidence.requester.email) for identifier in _ids(evidence, lookup)]
        portal = self._go(self._portal_configuration, now)
        customers = {c.id: c for answer in asked.values() for c in answer.result()}
        if email and not customers:
            customers = {c.id: c for c in self._guarded(lists, "customers", self._searched, email) or []}
        if by_login is not None:
            customers |= {c.id: c for c in by_login.result()}
        return (
            customers,
            self._settled(lists, "checkout_sessions", checkouts) or [] if checkouts else [],
            [hint for future in hints if (hint := self._settled(lists, "hints", future)) is not None],
            self._settled(lists, "portal", portal),
            lists,
        )

    def _customers_of(self, email: str) -> list[Customer]:
        listed, _ = self._list("/v1/customers", {"email": email}, schemas.CUSTOMER)
        return listed

    def _searched(self, email: str) -> list[Customer]:
        query = 'email:"{}"'.format(email.replace("\\", "\\\\").replace('"', '\\"'))
        answer = self._get("/v1/customers/search", {"query": query, "limit": 20})
        found, _ = _loaded(schemas.CUSTOMER, answer.get("data"))
        return [customer for customer in found if _same(customer.email, email)]

    def _customers_with_login(self, login: str) -> list[Customer]:
        value = login.removeprefix("@").replace("\\", "\\\\").replace("'", "\\'")
        answer = self._get("/v1/customers/search", {"query": f"metadata['github']:'{value}'", "limit": 20})
        return _loaded(schemas.CUSTOMER, answer.get("data"))[0]

    def _sessions_of(self, email: str) -> list[Any]:
        params = {"customer_details": {"email": email}, "limit": 20}
        return _loaded(schemas.CHECKOUT_SESSION, self._get("/v1/checkout/sessions", params).get("data"))[0]

    def _hint(self, identifier: str, email: str | None) -> Hint | None:
        prefix = identifier.rsplit("_", 1)[0]
        route = _BY_PREFIX.get(_EXPANDED.get(prefix, prefix))
        if route is None:
            return None
        path, expand = route
        try:
            answer = self._get(path.format(quote(identifier, safe="")), {"expand": list(expand)} if expand else {})
        except NotFound as error:
            return Hint(object=identifier, found=False, wrong_mode=_other_mode(error))
        holder = answer if prefix == "cus" else (answer.get("charge") if "re" in prefix or prefix == "pyr" else answer)
        customer = holder if prefix == "cus" else (holder or {}).get("customer") if isinstance(holder, dict) else None
        if not isinstance(customer, dict):
            found = customer if isinstance(customer, str) else None
            return Hint(object=identifier, found=True, customer=found)
        return Hint(
            object=identifier, found=True, customer=customer.get("id"), deleted=bool(customer.get("deleted")),
            same_email=_same(customer.get("email"), email),
        )  # fmt: skip

    def _retrieved(self, identifiers: Iterable[str], lists: _Lists) -> list[Customer]:
        asked = [self._go(self._get, f"/v1/customers/{quote(one, safe='')}", {}) for one in sorted(identifiers)]
        answers = [self._settled(lists, "customers", future) for future in asked]
        return [c for answer in answers if answer for c in _loaded(schemas.CUSTOMER, [answer])[0]]

    def _portal_configuration(self, now: datetime) -> PortalConfiguration | None:
        with self._lock:
            kept = self._portal
        if kept is not None and now - kept[0] < PORTAL_KEPT and now >= kept[0]:
            return kept[1]
        answer = self._get("/v1/billing_portal/configurations", dict(_DEFAULT_PORTAL))
        listed, unread = _loaded(schemas.PORTAL, answer.get("data"))
        if unread:
            raise Garbled(service="stripe", method="GET", path="/v1/billing_portal/configurations")
        portal = listed[0] if listed else None
        with self._lock:
            self._portal = (now, portal)
        return portal

    # --- round two: the state of each customer --------------------------------------------------------------------

    def _second_round(self, customers: list[Customer], lists: _Lists) -> None:
        asked = [(part, self._go(self._list, path, params, schema)) for part, path, params, schema in _parts(customers)]
        for part, future in asked:
            answer = self._settled(lists, part, future)
            if answer is not None:
                self._take(lists, part, answer)

    def _take(self, lists: _Lists, part: str, answer: tuple[list[Any], Why | None]) -> None:
        records, why = answer
        lists.add(part, records)
        if why is not None:
            lists.lack(part, why)

    # --- round three: what this state asks for ----------------------------------------------------------------------

    def _third_round(self, customers: list[Customer], lists: _Lists, now: datetime) -> None:
        asked = [
            (part, self._go(self._list, path, params, schema))
            for part, path, params, schema in _further_parts(customers, lists, now)
        ]
        products = {item.price.product for s in lists.of("subscriptions") for item in s.items}
        with self._lock:
            unnamed = sorted(products - self._names.keys())[:20]
        names = {product: self._go(self._get, f"/v1/products/{quote(product, safe='')}", {}) for product in unnamed}
        for part, future in asked:
            answer = self._settled(lists, part, future)
            if answer is not None:
                self._take(lists, part, answer)
        for product, future_name in names.items():
            answer_name = self._settled(_Lists(), "products", future_name)
            name = answer_name.get("name") if answer_name else None
            if isinstance(name, str) and name:
                with self._lock:
                    self._names[product] = name

    # --- putting it together --------------------------------------------------------------------------------------

    def _build(
        self, customers: list[Customer], hints: list[Hint], portal: PortalConfiguration | None, lists: _Lists,
        now: datetime,
    ) -> BillingSnapshot:  # fmt: skip
        charges, invoices, intents = _joined(lists.of("charges"), lists.of("invoices"), lists.of("payment_intents"))
        own = {customer.id for customer in customers}
        return BillingSnapshot(
            taken_at=now,
            livemode=self._livemode,
            customers=tuple(customers),
            hints=tuple(hints),
            subscriptions=tuple(self._with_names(s) for s in lists.of("subscriptions")),
            invoices=invoices,
            charges=charges,
            payment_methods=lists.of("payment_methods"),
            payment_intents=intents,
            checkout_sessions=tuple(s for s in lists.of("checkout_sessions") if s.customer in own or not s.customer),
            disputes=lists.of("disputes"),
            early_fraud_warnings=lists.of("early_fraud_warnings"),
            credit_notes=lists.of("credit_notes"),
            balance_transactions=lists.of("balance_transactions"),
            pending_items=lists.of("pending_items"),
            portal=portal,
            missing=tuple(Missing(part=part, why=why) for part, why in sorted(lists.missing.items())),
        )

    def _with_names(self, subscription: Subscription) -> Subscription:
        with self._lock:
            names = dict(self._names)

        def named(price: Price) -> Price:
            return replace(price, product_name=names.get(price.product, price.product_name))

        return replace(subscription, items=tuple(replace(i, price=named(i.price)) for i in subscription.items))

    # --- one request ----------------------------------------------------------------------------------------------

    def _list(self, path: str, params: Params, schema: Schema) -> tuple[list[Any], Why | None]:
        """Up to 300 objects, newest first, and why the list is not whole."""
        records: list[Any] = []
        why: Why | None = None
        after: Params = {}
        for _ in range(MOST_PAGES):
            answer = self._get(path, {"limit": PAGE, **params, **after})
            page = answer.get("data")
            found, unread = _loaded(schema, page)
            records += found
            why = Why.UNREADABLE if unread else why
            if not answer.get("has_more") or not isinstance(page, list) or not page:
                return records, why
            after = {"starting_after": str(page[-1].get("id"))}
        return records, Why.CUT_OFF

    def _get(self, path: str, params: Params) -> dict[str, Any]:
        """One GET, tried twice when the first got no clean answer. Raises OutsideError."""
        template = _template(path)
        for last in (False, True):
            try:
                with translated("GET", template):
                    answer = self._client.raw_request("get", path, **params).data
            except OutsideError as error:
                if last or not error.retryable or isinstance(error, RateLimited):
                    raise
                continue
            if not isinstance(answer, dict):
                raise Garbled(service="stripe", method="GET", path=template, status=200)
            return answer
        raise AssertionError("unreachable")

    def _go(self, call: Callable[..., _T], *args: Any) -> Future[_T]:
        return self._pool.submit(call, *args)

    def _guarded(self, lists: _Lists, part: str, call: Callable[..., _T], *args: Any) -> _T | None:
        return self._settled(lists, part, self._go(call, *args))

    def _settled(self, lists: _Lists, part: str, future: Future[_T]) -> _T | None:
        """The result, or None with the part noted as missing."""
        try:
            return future.result()
        except OutsideError as error:
            lists.lack(part, _why(error))
            return None


def _parts(customers: list[Customer]) -> Iterable[tuple[str, str, Params, Schema]]:
    for customer in customers:
        of = {"customer": customer.id}
        expand = ["data.discounts", "data.schedule"]
        yield "subscriptions", "/v1/subscriptions", {**of, "status": "all", "expand": expand}, schemas.SUBSCRIPTION
        yield "invoices", "/v1/invoices", {**of, "expand": ["data.payments"]}, schemas.INVOICE
        yield "charges", "/v1/charges", {**of, "expand": ["data.refunds"]}, schemas.CHARGE
        path = f"/v1/customers/{quote(customer.id, safe='')}/payment_methods"
        yield "payment_methods", path, {"limit": 20}, schemas.PAYMENT_METHOD
        yield "checkout_sessions", "/v1/checkout/sessions", {**of, "limit": 20}, schemas.CHECKOUT_SESSION


def _further_parts(
    customers: list[Customer], lists: _Lists, now: datetime
) -> Iterable[tuple[str, str, Params, Schema]]:
    charges: tuple[Charge, ...] = lists.of("charges")
    invoices: tuple[Invoice, ...] = lists.of("invoices")
    live = {s.customer for s in lists.of("subscriptions") if s.live}
    unfinished = {s.customer for s in lists.of("subscriptions") if s.status in {"incomplete", "past_due"}}
    unfinished |= {i.customer for i in invoices if i.status == "open"}
    unfinished |= {s.customer for s in lists.of("checkout_sessions") if s.payment_status == "unpaid" and s.customer}
    credited = {i.customer for i in invoices if i.pre_payment_credit_notes_amount or i.post_payment_credit_notes_amount}
    used_balance = {i.customer for i in invoices if i.starting_balance}
    for charge in charges:
        if charge.disputed:
            yield "disputes", "/v1/disputes", {"charge": charge.id}, schemas.DISPUTE
    recent = [c for c in charges if c.status == "succeeded" and c.refundable and now - c.created < timedelta(days=60)]
    for charge in recent[:WARNED_CHARGES]:
        path = "/v1/radar/early_fraud_warnings"
        yield "early_fraud_warnings", path, {"charge": charge.id}, schemas.EARLY_FRAUD_WARNING
    for customer in customers:
        of = {"customer": customer.id}
        if customer.id in credited:
            yield "credit_notes", "/v1/credit_notes", of, schemas.CREDIT_NOTE
        if customer.balance or customer.id in used_balance or any(i.amount_overpaid for i in invoices):
            path = f"/v1/customers/{quote(customer.id, safe='')}/balance_transactions"
            yield "balance_transactions", path, {}, schemas.BALANCE_TRANSACTION
        if customer.id in unfinished:
            yield "payment_intents", "/v1/payment_intents", of, schemas.PAYMENT_INTENT
        if customer.id in live:
            yield "pending_items", "/v1/invoiceitems", {**of, "pending": "true"}, schemas.PENDING_ITEM


def _joined(
    charges: tuple[Charge, ...], invoices: tuple[Invoice, ...], intents: tuple[PaymentIntent, ...]
) -> tuple[tuple[Charge, ...], tuple[Invoice, ...], tuple[PaymentIntent, ...]]:
    """The link between charges and invoices left the API: join them over the invoices' payments."""
    by_charge: dict[str, str] = {}
    by_intent: dict[str, str] = {}
    for invoice in invoices:
        for payment in invoice.payments:
            if payment.charge:
                by_charge[payment.charge] = invoice.id
            if payment.payment_intent:
                by_intent[payment.payment_intent] = invoice.id
    return (
        tuple(replace(c, invoice=by_charge.get(c.id) or by_intent.get(c.payment_intent or "")) for c in charges),
        invoices,
        tuple(replace(i, invoice=by_intent.get(i.id)) for i in intents),
    )


def _loaded(schema: Schema, page: Any) -> tuple[list[Any], bool]:
    """The records of a page, and whether any object could not be read."""
    if not isinstance(page, list):
        return [], True
    records, unread = [], False
    for document in page:
        try:
            records.append(schema.load(document))
        except (ValidationError, ValueError, TypeError, KeyError):
            unread = True
    return records, unread


def _ids(evidence: TicketEvidence, lookup: str | None) -> list[str]:
    quoted = [one.value for one in evidence.identifiers if one.kind is IdentifierKind.STRIPE_ID]
    typed = [lookup] if lookup and STRIPE_ID.fullmatch(lookup) else []
    return list(dict.fromkeys([*typed, *(one for one in quoted if STRIPE_ID.fullmatch(one))]))[:MOST_IDS]


def _same(one: object, other: str | None) -> bool:
    return isinstance(one, str) and other is not None and one.casefold() == other.casefold()


def _other_mode(error: NotFound) -> bool:
    return error.code == OTHER_MODE


def _template(path: str) -> str:
    """The path with ids as `{id}`."""
    return "/".join("{id}" if "_" in part and part not in _WORDS else part for part in path.split("/"))


_WORDS = {
    "payment_methods", "balance_transactions", "payment_intents", "early_fraud_warnings", "credit_notes",
    "billing_portal", "subscription_schedules", "invoice_payments",
}  # fmt: skip


def _why(error: OutsideError) -> Why:
    if isinstance(error, Forbidden):
        return Why.NOT_PERMITTED
    return Why.NO_ANSWER if isinstance(error, Unreachable | RateLimited) or error.retryable else Why.UNREADABLE


def _https(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith("https://") else None
