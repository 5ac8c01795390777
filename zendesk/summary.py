"""How does the handoff read in the agent's language? The six sections of `billing.handoff`, from what the card carries.

The core's own text is English and goes into notes; this one is what an agent copies. It shows no more than that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing.plan import TELLING
from zendesk import sections
from zendesk.sections import Card, Row, part, rows
from zendesk.timeline import interval_name, price
from zendesk.wording import Wording, moment

_MOST = 8  # subscriptions and anomalies that are listed, as in the core's handoff
_LIVE = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
_SHOWN = frozenset({"verified", "matched"})


def summary(card: Card, say: Wording, words: Mapping[str, str]) -> dict[str, list[str]]:
    """Section names and lines. `card` is in the reader's language already; `words` are the texts of `summary.*`."""
    tell = {key.removeprefix("summary."): text for key, text in words.items() if key.startswith("summary.")}
    shown = part(card, "customer").get("identity") in _SHOWN
    state = list(_state(card, say, tell)) if shown else [tell["hidden"]]
    body = str(part(card, "follow_up").get("body") or "")
    gap = part(card, "product_gap")
    found = {
        "customer": list(_customer(part(card, "customer"), shown, tell)),
        "state": state,
        "decision": list(_decision(part(card, "decision"), sections.needs_person(card), say, tell)),
        "actions": list(_actions(card, say, tell)),
        "reply": [line for line in body.split("\n") if line],
        "gap": [f"{gap.get('kind')}: {gap.get('title')}"] if gap else [tell["none"]],
    }
    return {tell[f"head_{name}"]: lines for name, lines in found.items()}


def _customer(customer: Mapping[str, Any], shown: bool, tell: Mapping[str, str]) -> Iterator[str]:
    yield " / ".join(filter(None, (customer.get("name"), customer.get("email")))) or tell["nobody"]
    level = tell.get(f"level_{customer.get('identity')}", "")
    if not shown:
        yield level
    candidates = rows(customer, "candidates") if shown else ()
    for one in candidates:
        several = len(candidates) > 1 and one.get("id") == customer.get("chosen")
        yield f"{one.get('id')} ({level})" + (f", {tell['chosen']}" if several else "")
    yield from (customer.get("why") or ())[1 if shown else 0 :]


def _state(card: Card, say: Wording, tell: Mapping[str, str]) -> Iterator[str]:
    state = part(card, "billing_state")
    found = sorted(rows(state, "subscriptions"), key=lambda row: row.get("status") not in _LIVE)
    yield from (_subscription(row, say, tell) for row in found[:_MOST])
    if len(found) > _MOST:
        yield tell["more"].format(n=len(found) - _MOST)
    if not found:
        yield tell["no_subscriptions"]
    invoices = rows(state, "invoices")
    owed = [row for row in invoices if row.get("status") == "open" and row.get("amount_remaining")]
    open_sum = say.moneys(sections.moved_sum(owed, "amount_remaining"))
    paid = sum(row.get("status") == "paid" for row in invoices)
    yield tell["invoices"].format(paid=paid, open=len(owed), sum=f" ({open_sum})" if open_sum else "")
    refunds = say.moneys(sections.moved_sum(rows(state, "refunds"), "amount")) or tell["none"]
    disputes = ", ".join(str(row.get("id")) for row in rows(state, "disputes")) or tell["none"]
    yield tell["given_back"].format(refunds=refunds, disputes=disputes)
    yield from (tell["anomaly"].format(says=row.get("says")) for row in rows(state, "anomalies")[:_MOST])
    for row in rows(state, "missing"):
        yield tell["unread"].format(part=say.known("part", row.get("part")), why=say.known("why", row.get("why")))


def _subscription(row: Row, say: Wording, tell: Mapping[str, str]) -> str:
    live = row.get("status") in _LIVE
    ending = row.get("cancel_at") or (row.get("current_period_end") if row.get("cancel_at_period_end") else None)
    end = ("ends", ending) if ending else ("renews", row.get("current_period_end"))
    key, at = end if live else ("ended", row.get("ended_at") or row.get("canceled_at"))
    dates = [tell["since"].format(date=say.date(row.get("created")))]
    dates += [tell[key].format(date=say.date(at))] if moment(at) else []
    plan = " ".join(filter(None, (str(row.get("product_name") or row.get("product") or ""), interval_name(row, say))))
    status = str(say.known("sub", row.get("status")))
    return "  ".join(filter(None, (str(row.get("id")), plan, price(row, say), status, ", ".join(dates))))


def _decision(decision: Mapping[str, Any], person: bool, say: Wording, tell: Mapping[str, str]) -> Iterator[str]:
    band = "person" if person else decision.get("band") or "check"
    yield f"{say.known('bucket', decision.get('bucket'))} ({say.known('band', band)})"
    said = {str(decision.get("why") or "")}
    yield tell["why"].format(says=decision.get("why"))
    for side, most in (("for", 3), ("against", 2)):
        fresh = [one for one in dict.fromkeys(str(row.get("says")) for row in rows(decision, side)) if one not in said]
        said |= set(fresh)
        yield from (tell[side].format(says=one) for one in fresh[:most])
    if decision.get("would_change"):
        yield tell["would"].format(says=decision["would_change"])


def _actions(card: Card, say: Wording, tell: Mapping[str, str]) -> Iterator[str]:
    plan = part(card, "plan")
    steps = sorted(rows(plan, "steps"), key=lambda row: row.get("kind") in TELLING)
    yield tell["planned"].format(n=len(steps)) if steps else tell["nothing"]
    for number, row in enumerate(steps, 1):
        amount = say.money(row["amount"], row["currency"]) if isinstance(row.get("amount"), int) else ""
        yield "  ".join(filter(None, (f"{number} {row.get('title')}", amount, _way_back(row, say))))
    yield from (str(line.striptags()) for line in sections.blocked(card, say))
    refund = say.moneys(part(plan, "revenue_impact").get("refund"))
    yield tell["impact"].format(refund=refund or tell["no_money"], revenue=sections.revenue(card, say))
    if plan.get("untouched"):
        yield str(plan["untouched"])


def _way_back(row: Row, say: Wording) -> str:
    if row.get("final"):
        return str(say("plan.final"))
    until: Sequence[str] = say.date(row.get("undo_until"))
    return str(say("plan.undo_until", date=until)) if until else ""
