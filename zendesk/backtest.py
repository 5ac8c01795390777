"""Would we have decided what people decided? Past tickets through identify, diagnose and propose; reads only."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate
from sqlalchemy.exc import DBAPIError

from billing import steps
from billing.decision import Decision, decide
from billing.evidence import Bucket, Requester, TicketText, Verification
from billing.money import Money, totals
from billing.reading import read_ticket
from billing.snapshot import BillingSnapshot
from integrations import stripe_money_schemas as money
from integrations import stripe_schemas as stripe
from integrations.errors import OutsideError
from integrations.stripe_parts import completed, joined, with_lines
from integrations.stripe_requests import loaded
from zendesk.commands import DONE, NO, UPSTREAM, USAGE, Stop
from zendesk.desk import Desk
from zendesk.overruled import Overruled, by_agents

MOST_LINE = 4 * 1024 * 1024
SHOWN = 20
_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "customers": stripe.CUSTOMER.load, "subscriptions": stripe.SUBSCRIPTION.load, "invoices": money.INVOICE.load,
    "charges": money.CHARGE.load, "payment_methods": money.PAYMENT_METHOD.load,
    "payment_intents": money.PAYMENT_INTENT.load, "checkout_sessions": stripe.CHECKOUT_SESSION.load,
    "disputes": money.DISPUTE.load, "early_fraud_warnings": money.EARLY_FRAUD_WARNING.load,
    "credit_notes": money.CREDIT_NOTE.load, "balance_transactions": money.BALANCE_TRANSACTION.load,
    "pending_items": money.PENDING_ITEM.load, "portal": stripe.PORTAL.load,
}  # fmt: skip
Refunds = tuple[tuple[str, Money], ...]  # (charge, amount), sorted


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Requester(_Strict):
    email = fields.Email(load_default=None, allow_none=True)
    name = fields.Str(load_default=None, allow_none=True)
    locale = fields.Str(load_default=None, allow_none=True)
    verification = fields.Enum(Verification, by_value=True, load_default=Verification.NONE)
    author_is_requester = fields.Bool(load_default=True)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> Requester:
        return Requester(**data)


class _Refund(_Strict):
    charge = fields.Str(required=True, validate=validate.Length(1, 255))
    amount = fields.Int(required=True, strict=True, validate=validate.Range(min=1))
    currency = fields.Str(required=True, validate=validate.Regexp(r"[a-z]{3}\Z"))

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> tuple[str, Money]:
        return data["charge"], Money(data["amount"], data["currency"])


class _Done(_Strict):
    bucket = fields.Enum(Bucket, by_value=True, required=True)
    refunds = fields.List(fields.Nested(_Refund), load_default=list)


class LineSchema(_Strict):
    """One past ticket. `email` names whom a person looked up then; `requester` says what the ticket proved."""

    id = fields.Raw(required=True, validate=lambda value: isinstance(value, str | int) and not isinstance(value, bool))
    email = fields.Email(load_default=None)
    requester = fields.Nested(_Requester, load_default=None)
    subject = fields.Str(load_default="", allow_none=True)
    text = fields.Str(required=True)
    at = fields.AwareDateTime(format="iso", default_timezone=UTC, load_default=None)
    snapshot = fields.Dict(keys=fields.Str(validate=validate.OneOf(list(_PARTS))), load_default=None)
    done = fields.Nested(_Done, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTicket:
    """`snapshot` None: Stripe is read as it is today."""

    line: int
    id: str
    requester: Requester
    text: TicketText
    at: datetime
    snapshot: BillingSnapshot | None
    bucket: Bucket
    refunds: Refunds


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done and what we would propose. `rules`: the codes of what spoke for the bucket."""

    ticket: PastTicket
    bucket: Bucket
    refunds: Refunds
    rules: tuple[str, ...] = ()

    @property
    def same_bucket(self) -> bool:
        return self.bucket is self.ticket.bucket

    @property
    def same_money(self) -> bool:
        return self.refunds == self.ticket.refunds


@dataclass(slots=True)
class Report:
    outcomes: list[Outcome] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        asked = Counter(one.ticket.bucket for one in self.outcomes)
        agreed = Counter(one.bucket for one in self.outcomes if one.same_bucket)
        off = [one for one in self.outcomes if not (one.same_bucket and one.same_money)]
        return {
            "tickets": len(self.outcomes),
            "agreed": sum(agreed.values()),
            "buckets": {b.value: {"tickets": asked[b], "agreed": agreed[b]} for b in Bucket if asked[b]},
            "money": {
                "differences": sum(not one.same_money for one in self.outcomes),
                "done": totals(amount for one in self.outcomes for _, amount in one.ticket.refunds),
                "proposed": totals(amount for one in self.outcomes for _, amount in one.refunds),
            },
            "overruled": self._overruled().document(),
            "disagreements": [_disagreement(one) for one in off],
        }

    def _overruled(self) -> Overruled:
        found = Overruled()
        for one in self.outcomes:
            found.add(one.rules, one.bucket.value, one.ticket.bucket.value)
        return found


@click.command(
    help="Run past tickets read-only and compare with what was really done. Without a FILE: what agents corrected."
)
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def backtest(desk_of: Callable[[], Desk], file: TextIO | None, as_json: bool) -> None:
    desk = desk_of()
    document = _tried(desk, file) if file else {"agents": _corrected(desk)}
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for line in _shown(document) if file else _overruled(document["agents"], "Agents"):
            click.echo(line[:80])
    sys.exit(NO if file and document["money"]["differences"] else DONE)


def _tried(desk: Desk, file: TextIO) -> dict[str, Any]:
    report = Report()
    for ticket in list(read_lines(file, desk.now())):
        try:
            report.outcomes.append(run(desk, ticket))
        except OutsideError as error:
            where = f"Line {ticket.line}: {error.service.capitalize()} did not answer ({error.kind})."
            raise Stop(f"{where} Nothing was changed.", UPSTREAM) from error
    return report.document()


def _corrected(desk: Desk) -> dict[str, Any]:
    try:
        with desk.engine.connect() as connection:
            return by_agents(connection).document()
    except DBAPIError as error:
        raise Stop("The store does not answer, or was never set up: run billing-desk migrate.", UPSTREAM) from error


def run(desk: Desk, ticket: PastTicket) -> Outcome:
    """Decide as we would have. Raises OutsideError when Stripe has to be read and does not answer."""
    evidence = read_ticket(ticket.text, ticket.requester, None)
    snapshot = ticket.snapshot or desk.reader.snapshot(evidence, now=ticket.at)
    decision = decide(evidence, snapshot, desk.policy)
    rules = tuple(signal.code for signal in decision.diagnosis.signals_for)
    return Outcome(ticket=ticket, bucket=decision.diagnosis.bucket, refunds=proposed(decision), rules=rules)


def proposed(decision: Decision) -> Refunds:
    """The cash that the plan gives back, by charge; a credit note that refunds counts for its invoice's charge."""
    refunds = []
    for planned in decision.plan.steps:
        match planned.step:
            case steps.RefundCharge(charge=charge, amount=amount):
                refunds.append((charge, amount))
            case steps.CreateCreditNote(invoice=invoice, amount=amount, settle="refund"):
                paid_by = [one.id for one in decision.snapshot.charges if one.invoice == invoice and one.captured]
                refunds.append((paid_by[0] if paid_by else invoice, amount))
            case _:
                pass
    return _sorted(refunds)


# --- reading the file -----------------------------------------------------------------------------------------------


def read_lines(file: Iterable[str], now: datetime) -> Iterator[PastTicket]:
    """Every ticket of the file; empty lines are passed over. Raises Stop with the number of a line that is wrong."""
    seen = False
    try:
        for number, line in enumerate(file, 1):
            if line.strip():
                seen = True
                yield _read_line(number, line, now)
    except UnicodeDecodeError:
        raise Stop("The file is not UTF-8 text.", USAGE) from None
    if not seen:
        raise Stop("The file holds no ticket: write one JSON object a line.", USAGE)


def _read_line(number: int, line: str, now: datetime) -> PastTicket:
    if len(line) > MOST_LINE:
        raise Stop(f"Line {number} is longer than 4 MiB.", USAGE)
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise Stop(f"Line {number} is not JSON.", USAGE) from None
    if not isinstance(document, dict):
        raise Stop(f"Line {number} is not a JSON object.", USAGE)
    try:
        values = LineSchema().load(document)
    except ValidationError as error:
        raise Stop(f"Line {number}: {_path(error.messages)} is missing or wrong.", USAGE) from None
    if (values["email"] is None) == (values["requester"] is None):
        raise Stop(f"Line {number}: give either email or requester.", USAGE)
    at = values["at"] or now
    return PastTicket(
        line=number,
        id=str(values["id"]),
        requester=values["requester"] or Requester(email=values["email"], named_by_operator=True),
        text=TicketText(subject=values["subject"] or "", body=values["text"]),
        at=at,
        snapshot=_snapshot(number, values["snapshot"], at) if values["snapshot"] is not None else None,
        bucket=values["done"]["bucket"],
        refunds=_sorted(values["done"]["refunds"]),
    )


def _snapshot(number: int, parts: Mapping[str, Any], at: datetime) -> BillingSnapshot:
    """The picture in a line, joined as a reading of Stripe is. A part that is not named is taken as empty."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, load in _PARTS.items():
        given = parts.get(name)
        page = given.get("data") if isinstance(given, dict) and "data" in given else given
        page = [page] if name == "portal" and isinstance(page, dict) else page
        records, unread = loaded(load, page) if page is not None else ([], False)
        if unread:
            raise Stop(f"Line {number}: snapshot.{name} holds an object that cannot be read.", USAGE)
        found[name] = tuple(records)
    portal = found.pop("portal")
    found["subscriptions"] = tuple(completed(one, {}, at) for one in found["subscriptions"])
    found["invoices"] = with_lines(found["invoices"], {}, found["subscriptions"])
    found["charges"], found["payment_intents"] = joined(found["charges"], found["invoices"], found["payment_intents"])
    livemode = any(one.livemode for one in found["customers"])
    return BillingSnapshot(taken_at=at, livemode=livemode, portal=portal[0] if portal else None, **found)


def _path(messages: Any) -> str:
    """`done.refunds.0.amount`: the first thing that is wrong."""
    names = []
    while isinstance(messages, Mapping) and messages:
        name = next(iter(messages))
        names.append(str(name)[:40])
        messages = messages[name]
    return ".".join(names)


def _sorted(refunds: Iterable[tuple[str, Money]]) -> Refunds:
    return tuple(sorted(refunds, key=lambda one: (one[0], one[1].currency, one[1].amount)))


# --- showing the result ---------------------------------------------------------------------------------------------


def _disagreement(one: Outcome) -> dict[str, Any]:
    return {
        "line": one.ticket.line,
        "id": one.ticket.id,
        "done": {"bucket": one.ticket.bucket.value, "refunds": _refunds(one.ticket.refunds)},
        "proposed": {"bucket": one.bucket.value, "refunds": _refunds(one.refunds)},
    }


def _refunds(refunds: Refunds) -> list[dict[str, Any]]:
    return [{"charge": charge, "amount": one.amount, "currency": one.currency} for charge, one in refunds]


def _shown(document: Mapping[str, Any]) -> Iterator[str]:
    cash = document["money"]
    yield f"Money differs on {cash['differences']} of {document['tickets']} tickets."
    yield f"  done      {_sums(cash['done'])}"
    yield f"  proposed  {_sums(cash['proposed'])}"
    yield f"The bucket agrees on {document['agreed']} of {document['tickets']} tickets."
    for bucket, counts in document["buckets"].items():
        yield f"  {bucket:<24} {counts['agreed']:>4} of {counts['tickets']}"
    off = document["disagreements"]
    if off:
        yield "Where we differ (done -> proposed):"
    for one in off[:SHOWN]:
        done, ours = one["done"], one["proposed"]
        yield f"  line {one['line']}, {one['id'][:20]}: {_short(done)} -> {_short(ours)}"
    if len(off) > SHOWN:
        yield f"  and {len(off) - SHOWN} more: --json shows them all"
    yield from _overruled(document["overruled"], "The past")


def _overruled(found: Mapping[str, Any], who: str) -> Iterator[str]:
    yield f"{who} overruled our bucket on {found['overruled']} of {found['tickets']} tickets."
    for change in found["changes"][:SHOWN]:
        yield f"  {change['ours']} -> {change['theirs']}: {change['tickets']}"
    if found["rules"]:
        yield "Rules that spoke for a bucket that was overruled, most often first:"
    for rule in found["rules"][:SHOWN]:
        yield f"  {rule['rule']:<32} {rule['overruled']:>4} of {rule['tickets']}"


def _short(side: Mapping[str, Any]) -> str:
    paid = totals(Money(one["amount"], one["currency"]) for one in side["refunds"])
    return f"{side['bucket']} {_sums(paid)}" if paid else str(side["bucket"])


def _sums(sums: Mapping[str, int]) -> str:
    return " + ".join(Money(amount, currency).plain() for currency, amount in sums.items()) or "no refund"
