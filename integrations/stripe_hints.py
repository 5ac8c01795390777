"""Who is meant? The customers of the requester's address, and what ids, numbers and names lead to.

Addresses are matched here too, because Stripe's own filter minds letter case and its search index may lag: the
lower-case form is asked for beside the exact one, and the index only when both find nobody. What leads to a customer
with another address stays a hint: nothing of that customer is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from billing.evidence import IdentifierKind, TicketEvidence
from billing.identity import same_address
from billing.records import Customer
from billing.snapshot import Hint, Why
from integrations import stripe_schemas as schemas
from integrations.errors import Garbled, NotFound, OutsideError, Refused
from integrations.stripe_calls import OTHER_MODE
from integrations.stripe_fields import dig, reference, text
from integrations.stripe_requests import Budget, Lists, Query, StripeRequests, loaded, outcome, why_of

MOST_IDS = 5
STRIPE_ID = re.compile(
    r"(sub_sched|cus|sub|si|in|ii|il|ch|py|pi|re|pyr|pm|seti|dp|du|cn|cs_test|cs_live)_[A-Za-z0-9_]{1,80}"
)
INVOICE_NUMBER = re.compile(r"[A-Za-z0-9]{3,20}-\d{3,12}")
LOGIN_KEYS = ("github", "github_login", "github_username")  # where merchants keep it in the customer's metadata
_ROUTES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cus": ("/v1/customers/{}", ()),
    "sub": ("/v1/subscriptions/{}", ("customer",)),
    "sub_sched": ("/v1/subscription_schedules/{}", ("customer",)),
    "in": ("/v1/invoices/{}", ("customer",)),
    "ii": ("/v1/invoiceitems/{}", ("customer",)),
    "ch": ("/v1/charges/{}", ("customer",)),
    "py": ("/v1/charges/{}", ("customer",)),
    "pi": ("/v1/payment_intents/{}", ("customer",)),
    "re": ("/v1/refunds/{}", ("charge", "customer")),
    "pyr": ("/v1/refunds/{}", ("charge", "customer")),
    "pm": ("/v1/payment_methods/{}", ("customer",)),
    "seti": ("/v1/setup_intents/{}", ("customer",)),
    "dp": ("/v1/disputes/{}", ("charge", "customer")),
    "du": ("/v1/disputes/{}", ("charge", "customer")),
    "cn": ("/v1/credit_notes/{}", ("customer",)),
    "cs_test": ("/v1/checkout/sessions/{}", ("customer",)),
    "cs_live": ("/v1/checkout/sessions/{}", ("customer",)),
}
Look = Callable[[str, float], list[Hint]]


@dataclass(slots=True)
class Who:
    """The customers whose state may be read, and the hints."""

    customers: dict[str, Customer] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)

    def add(self, customers: Iterable[Customer]) -> None:
        self.customers |= {customer.id: customer for customer in customers}


class Finder:
    """One search for one ticket."""

    def __init__(self, requests: StripeRequests, evidence: TicketEvidence, lookup: str | None) -> None:
        self._requests = requests
        self._evidence = evidence
        self._email = evidence.requester.email
        self._lookup = lookup.strip() if lookup else None

    def find(self, lists: Lists, budget: Budget) -> Who:
        """Raises OutsideError when no customer was found because Stripe's list of customers could not be read."""
        who, failures, doubts = Who(), list[OutsideError](), list[OutsideError]()
        by_email = [self._requests.go(self._of_address, one, budget.who) for one in _spellings(self._email)]
        looks = [self._requests.go(look, name, budget.who) for look, name in self._looks()]
        for answer in by_email:
            who.add(self._own(self._kept(failures, answer, budget.who) or []))
        if self._email and not who.customers and not failures:
            searched = self._requests.go(self._searched, self._email, budget.named)
            who.add(self._own(self._kept(doubts, searched, budget.named) or []))
        missed = failures if not self._email else list[OutsideError]()
        for look_answer in looks:
            looked = self._kept(missed, look_answer, budget.who) or []
            who.hints += [replace(hint, typed=hint.object == self._lookup) for hint in looked]
        if not who.customers and not failures:
            who.hints += self._told(missed, budget)
        self._follow(who, lists, budget)
        if failures and not who.customers:
            raise failures[0]
        for part, errors in (("customers", failures + doubts), ("hints", missed)):
            for error in errors:
                lists.lack(part, why_of(error))
        return who

    def _kept(self, failures: list[OutsideError], future: Future[list[Any]], ends: float) -> list[Any] | None:
        try:
            return outcome(future, ends)
        except OutsideError as error:
            failures.append(error)
            return None

    def _own(self, customers: Iterable[Customer]) -> list[Customer]:
        """Those with the requester's address, as billing/identity.py sees it: no look-alike letters."""
        return [customer for customer in customers if same_address(customer.email, self._email)]

    # --- by address -------------------------------------------------------------------------------------------------

    def _of_address(self, email: str, ends: float) -> list[Customer]:
        query = Query(part="customers", path="/v1/customers", params={"email": email}, load=schemas.CUSTOMER.load)
        listing = self._requests.listed(query, ends)
        if listing.why is Why.UNREADABLE and not listing.records:  # "nobody" would be a lie: somebody is there
            raise Garbled(service="stripe", method="GET", path="/v1/customers", status=200)
        return list(listing.records)

    def _searched(self, email: str, ends: float) -> list[Customer]:
        try:
            return self._search("/v1/customers/search", f'email:"{_escaped(email)}"', ends)
        except Refused:
            return []  # the search is not offered everywhere, and only a second chance

    def _search(self, path: str, query: str, ends: float) -> list[Customer]:
        answer = self._requests.get(path, {"query": query, "limit": 20}, ends)
        return loaded(schemas.CUSTOMER.load, answer.get("data"))[0]

    # --- by what is named -------------------------------------------------------------------------------------------

    def _looks(self) -> list[tuple[Look, str]]:
        """What to follow at once: what the operator typed, and the ids of the text."""
        quoted = [one.value for one in self._evidence.identifiers if one.kind is IdentifierKind.STRIPE_ID]
        looks: list[tuple[Look, str]] = []
        typed = self._lookup
        if typed and not STRIPE_ID.fullmatch(typed):
            by_number = INVOICE_NUMBER.fullmatch(typed) is not None
            looks.append((self._by_address if "@" in typed[1:] else self._by_number if by_number else self._by_login,
                          typed))  # fmt: skip
        ids = dict.fromkeys(one for one in [typed, *quoted] if one and STRIPE_ID.fullmatch(one))
        return looks + [(self._by_id, one) for one in list(ids)[:MOST_IDS]]

    def _told(self, missed: list[OutsideError], budget: Budget) -> list[Hint]:
        """Numbers and names of the text: asked for only when nothing else led anywhere."""
        routes: dict[IdentifierKind, Look] = {
            IdentifierKind.INVOICE_NUMBER: self._by_number, IdentifierKind.GITHUB_LOGIN: self._by_login,
        }  # fmt: skip
        told = [(routes[one.kind], one.value) for one in self._evidence.identifiers if one.kind in routes]
        asked = [self._requests.go(look, value, budget.named) for look, value in dict.fromkeys(told[:2])]
        found = [self._kept(missed, answer, budget.named) or [] for answer in asked]
        return [hint for hints in found for hint in hints if hint.found]

    def _by_address(self, email: str, ends: float) -> list[Hint]:
        found = {c.id: c for spelled in _spellings(email) for c in self._of_address(spelled, ends)}
        return self._hints(email, [c for c in found.values() if same_address(c.email, email)])

    def _by_login(self, login: str, ends: float) -> list[Hint]:
        name = _escaped(login.removeprefix("@"))
        query = " OR ".join(f'metadata["{key}"]:"{name}"' for key in LOGIN_KEYS)
        return self._hints(login, self._search("/v1/customers/search", query, ends))

    def _by_number(self, number: str, ends: float) -> list[Hint]:
        params = {"query": f'number:"{_escaped(number.upper())}"', "limit": 2, "expand": ["data.customer"]}
        found = self._requests.get("/v1/invoices/search", params, ends).get("data")
        holders = [dig(one, "customer") for one in found] if isinstance(found, list) else []
        return [self._hint(number, holder, ends) for holder in holders] or self._hints(number, [])

    def _by_id(self, identifier: str, ends: float) -> list[Hint]:
        kind = STRIPE_ID.fullmatch(identifier)
        if kind is None or kind.group(1) not in _ROUTES:
            return []
        path, steps = _ROUTES[kind.group(1)]
        try:
            answer = self._retrieved(path.format(quote(identifier, safe="")), ".".join(steps), ends)
        except NotFound as error:
            return [Hint(object=identifier, found=False, wrong_mode=error.code == OTHER_MODE)]
        return [self._hint(identifier, dig(answer, *steps), ends)]

    def _retrieved(self, path: str, expand: str, ends: float) -> dict[str, Any]:
        try:
            return self._requests.get(path, {"expand": [expand]} if expand else {}, ends)
        except Refused as error:
            if not expand or error.status not in {400, 403}:
                raise
            return self._requests.get(path, {}, ends)

    def _hint(self, named: str, holder: object, ends: float) -> Hint:
        if isinstance(holder, str):  # not expanded: one more request tells whose it is
            try:
                holder = self._requests.get(f"/v1/customers/{quote(holder, safe='')}", {}, ends)
            except NotFound:
                return Hint(object=named, found=True, customer=reference(holder))
        return Hint(
            object=named, found=True, customer=reference(holder), deleted=dig(holder, "deleted") is True,
            same_email=same_address(text(dig(holder, "email")), self._email),
        )  # fmt: skip

    def _hints(self, named: str, customers: list[Customer]) -> list[Hint]:
        return [
            Hint(object=named, found=True, customer=one.id, deleted=one.deleted,
                 same_email=same_address(one.email, self._email))
            for one in customers
        ] or [Hint(object=named, found=False)]  # fmt: skip

    # --- to the customers ----------------------------------------------------------------------------------------

    def _follow(self, who: Who, lists: Lists, budget: Budget) -> None:
        """Retrieve the customers that hints lead to: those of the same address, and those looked up by hand."""
        wanted = {hint.customer for hint in who.hints if hint.customer and (hint.same_email or hint.typed)}
        asked = [
            self._requests.go(self._requests.get, f"/v1/customers/{quote(one, safe='')}", {}, budget.named)
            for one in sorted(wanted - who.customers.keys())
        ]
        for future in asked:
            answer = self._requests.settled(lists, "customers", future, budget.named)
            if answer is not None:
                who.add(loaded(schemas.CUSTOMER.load, [answer])[0])
        typed = {hint.customer for hint in who.hints if hint.typed and hint.customer}.intersection(who.customers)
        if any(not same_address(who.customers[one].email, self._email) for one in typed):
            who.customers = {one: who.customers[one] for one in sorted(typed)}  # a look-up replaces the search


def _spellings(email: str | None) -> list[str]:
    """The address as written, and in lower case where that is still the same address."""
    if not email:
        return []
    lower = email.lower()
    return [email, lower] if lower != email and lower.isascii() == email.isascii() else [email]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
