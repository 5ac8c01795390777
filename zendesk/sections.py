"""What do the sections of the card say before an approval? Reads the card, decides no money, knows no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

from billing.plan import TELLING
from zendesk.wording import Wording, moment

Card = Mapping[str, Any]
Row = Mapping[str, Any]
BUCKETS = (
    "duplicate_subscription",
    "team_seats",
    "failed_payment",
    "self_serve_gap",
    "product_failure",
    "other_billing",
    "not_billing",
)
_TONES = {
    "duplicate_subscription": "warning",
    "failed_payment": "danger",
    "product_failure": "danger",
    "undecided": "danger",
    "team_seats": "info",
    "self_serve_gap": "info",
}
_BARS = {"suggest": 3, "check": 2, "decides": 2, "person": 1}
_APART = 0.5  # two readings whose chances are nearer than this are both told
_TELLS = 0.6
CHARGES = frozenset({"pay_invoice"})
GIVES_BACK = frozenset({"refund_charge"})
_GRAVE = ("danger", "warning", "info")
_CALLS = {
    **dict.fromkeys(
        (
            "dispute_open", "dispute_inquiry", "early_fraud_warning", "hard_decline", "payment_blocked", "past_due",
            "unpaid_after_retries", "card_expired", "refund_failed", "charged_after_cancellation", "identity_mismatch",
        ), "danger",
    ),
    **dict.fromkeys(
        (
            "paid_and_active", "multiple_seats", "separate_workspaces", "separate_users", "already_refunded",
            "partly_refunded", "refund_pending", "trialing", "credit_balance", "tax_on_invoice", "metered_usage",
            "plan_changed", "proration_charge", "seat_proration", "pending_proration", "recovered_on_retry",
            "dispute_closed", "cancellation_scheduled", "already_canceled", "several_currencies",
            "other_currency_shown", "annual_renewal", "trial_converted", "no_customer", "list_truncated",
        ), "info",
    ),
}  # fmt: skip
_OPEN_DISPUTE = frozenset({"needs_response", "under_review", "warning_needs_response", "warning_under_review"})
_LIVE = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
_ENDS_NOW = frozenset({"cancel_subscription"})
_ENDS_LATER = frozenset({"schedule_cancellation"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    bucket: Markup
    tone: str
    bars: int
    strength: Markup
    headline: str
    lede: str
    two: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    kind: str  # for, against, neutral
    says: str
    quote: str
    source: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    kind: str  # ok, final, undo, bad, or empty
    says: Markup | str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    id: str
    number: int
    kind: str
    title: str
    detail: str
    amount: str
    final: bool
    optional: bool
    chips: tuple[Chip, ...]

    @property
    def weighty(self) -> bool:
        """Whether what the button says depends on it."""
        return bool(self.amount) or self.final


def rows(parent: Mapping[str, Any] | None, key: str) -> Sequence[Row]:
    """The list under a key; empty when the key or its value is absent."""
    return (parent or {}).get(key) or ()


def texts(parent: Mapping[str, Any] | None, key: str) -> Sequence[str]:
    """The list of texts under a key; empty when the key or its value is absent."""
    return (parent or {}).get(key) or ()


def part(card: Card, key: str) -> Mapping[str, Any]:
    """The mapping under a key; empty when the key or its value is absent."""
    return card.get(key) or {}


def link(address: Any) -> str:
    """The address when a browser may open it from here (https, or loopback in the demo), else empty."""
    if not isinstance(address, str):
        return ""
    try:
        split = urlsplit(address)
    except ValueError:
        return ""
    loopback = split.scheme == "http" and split.hostname in _LOOPBACK
    return address if (split.scheme == "https" and split.hostname) or loopback else ""


def first_name(card: Card) -> str:
    return str(part(card, "customer").get("name") or "").split(" ")[0]


def initials(name: str) -> str:
    words = [word for word in name.split() if word[:1].isalpha()]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def needs_person(card: Card) -> bool:
    decision = part(card, "decision")
    return (
        decision.get("band") == "person"
        or card.get("state") == "needs_human"
        or any(step.get("kind") == "hand_over" for step in rows(part(card, "plan"), "steps"))
    )


def verdict(card: Card, say: Wording) -> Verdict:
    decision = part(card, "decision")
    bucket = str(decision.get("bucket") or "undecided")
    person = needs_person(card)
    band = "person" if person else str(decision.get("band") or "check")
    sure, second = decision.get("confidence") or 0, (decision.get("second") or {}).get("confidence")
    two = person and second is not None and sure - second < _APART
    if person and not two and sure >= _TELLS:  # what happened is clear, and is not ours alone to settle
        band = "decides"
    return Verdict(
        bucket=say("bucket.undecided") if person else say.known("bucket", bucket),
        tone="danger" if person else _TONES.get(bucket, ""),
        bars=_BARS.get(band, 1),
        strength=say("band.two") if two else say.known("band", band),
        headline=str(decision.get("headline") or say.known("bucket", bucket)),
        lede=str((person and not two and decision.get("why")) or decision.get("lede") or decision.get("why") or ""),
        two=two,
    )


def currency_of(card: Card) -> str:
    """The currency to write a zero in: the plan's, else the account's."""
    state = part(card, "billing_state")
    for source in (
        rows(part(card, "plan"), "steps"),
        *(rows(state, k) for k in ("subscriptions", "charges", "invoices")),
    ):
        for row in source:
            if row.get("currency"):
                return str(row["currency"])
    return "usd"


def several_currencies(card: Card) -> bool:
    state = part(card, "billing_state")
    found = {row.get("currency") for key in ("subscriptions", "charges") for row in rows(state, key)}
    return len(found - {None}) > 1


def moved_by(steps: Sequence[Row], kinds: frozenset[str]) -> dict[str, int]:
    """What steps of these kinds move, per currency in minor units."""
    sums: dict[str, int] = {}
    for step in steps:
        if step.get("kind") in kinds and isinstance(step.get("amount"), int):
            currency = str(step.get("currency") or "usd")
            sums[currency] = sums.get(currency, 0) + step["amount"]
    return sums


def effects(card: Card, say: Wording) -> list[tuple[Markup, Markup | str]]:
    """Exactly three cells: what moves, what it does to revenue, what it does to access."""
    state, plan = part(card, "billing_state"), part(card, "plan")
    steps, zero = rows(plan, "steps"), say.money(0, currency_of(card))
    impact = part(plan, "revenue_impact")
    refund = say.moneys(impact.get("refund"))
    charged = say.moneys(moved_by(steps, CHARGES))
    disputes = [row for row in rows(state, "disputes") if row.get("status") in _OPEN_DISPUTE]
    owed = [row for row in rows(state, "invoices") if row.get("status") == "open" and row.get("amount_remaining")]
    cell_access = (say("effect.access"), _access(card, say))
    if disputes and not refund:
        amount = say.moneys(moved_sum(disputes, "amount"))
        due = say.date(disputes[0].get("due_by")) or say("effect.unknown")
        return [(say("effect.disputed"), amount), (say("effect.reply_by"), due), cell_access]
    if owed and not refund:
        open_amount = say.moneys(moved_sum(owed, "amount_remaining"))
        return [(say("effect.charged"), charged or zero), (say("effect.recovers"), open_amount), cell_access]
    money = (say("effect.charged"), charged) if charged and not refund else (say("effect.gets"), refund or zero)
    return [money, (say("effect.revenue"), revenue(card, say)), cell_access]


def revenue(card: Card, say: Wording) -> Markup | str:
    """The change in recurring revenue a month, signed."""
    mrr = part(part(card, "plan"), "revenue_impact").get("mrr") or {}
    text = say.moneys(mrr)
    gains = all(amount >= 0 for amount in mrr.values())
    return (f"+{text}" if gains else text) if text else say("effect.same")


def moved_sum(items: Sequence[Row], key: str) -> dict[str, int]:
    """The sum of one amount over rows, per currency in minor units."""
    sums: dict[str, int] = {}
    for row in items:
        if isinstance(row.get(key), int) and row.get("currency"):
            sums[row["currency"]] = sums.get(row["currency"], 0) + row[key]
    return sums


def _access(card: Card, say: Wording) -> Markup | str:
    subscriptions = {row.get("id"): row for row in rows(part(card, "billing_state"), "subscriptions")}
    live = [row for row in subscriptions.values() if row.get("status") in _LIVE]
    stays = {row.get("id") for row in live}
    last: str = ""
    for step in rows(part(card, "plan"), "steps"):
        if step.get("kind") in _ENDS_NOW | _ENDS_LATER and step.get("object") in stays:
            stays.discard(step.get("object"))
            ends = subscriptions[step.get("object")].get("current_period_end")
            last = say.date(ends) if step.get("kind") in _ENDS_LATER else last
    if not live:
        return say("effect.inactive") if subscriptions else say("effect.unknown")
    if not stays:
        return say("effect.until", date=last) if last else say("effect.ends_now")
    return say("effect.same")


def facts(card: Card, say: Wording) -> list[tuple[bool, Markup]]:
    """The one line under the customer: (proven, text)."""
    customer = part(card, "customer")
    identity = customer.get("identity")
    keys = {"verified": "verified", "matched": "unverified", "mismatch": "mismatch"}
    line = [(identity == "verified", say(f"customer.{keys[identity]}"))] if identity in keys else []
    if since := moment(customer.get("since")):
        line.append((False, say("customer.since", year=since.astimezone(say.zone).year)))
    if paid := say.moneys(customer.get("paid")):
        line.append((False, say("customer.paid", amount=paid)))
    return line


def matched(card: Card, say: Wording) -> Markup:
    customer = part(card, "customer")
    candidates = rows(customer, "candidates")
    if len(candidates) > 1 and not customer.get("chosen"):
        return say("customer.many", n=len(candidates))
    keys = {"verified": "by_email", "matched": "by_email", "mismatch": "by_id"}
    return say(f"customer.{keys.get(customer.get('identity') or '', 'none')}")


def key_values(card: Card, say: Wording) -> list[tuple[Markup, Markup | str]]:
    """At most three rows: payment method, disputes, and the open invoice or the earlier refunds."""
    state = part(card, "billing_state")
    unread = {str(row.get("part") or "") for row in rows(state, "missing")}
    method, found = part(state, "payment_method"), list[tuple[Markup, Markup | str]]()
    if method:
        brand = str(method.get("brand") or method.get("type") or "").replace("_", " ").capitalize()
        month, year = method.get("exp_month"), method.get("exp_year")
        expires = f"{month:02d}/{year % 100:02d}" if isinstance(month, int) and isinstance(year, int) else ""
        key = "kv.card" if expires else "kv.card_short"
        last4 = method.get("last4")
        found.append((say("kv.pays_with"), say(key, brand=brand, last4=last4, expires=expires) if last4 else brand))
    disputes = sum(row.get("status") in _OPEN_DISPUTE for row in rows(state, "disputes"))
    none = say("kv.none")
    shown = say("kv.not_read") if "disputes" in unread else say("kv.open_n", n=disputes) if disputes else none
    attempts = [at for row in rows(state, "invoices") if (at := moment(row.get("next_payment_attempt")))]
    quiet = attempts and not disputes and "disputes" not in unread
    found.append((say("kv.next_try"), say.date(min(attempts))) if quiet else (say("kv.disputes"), shown))
    owed = [row for row in rows(state, "invoices") if row.get("status") == "open" and row.get("amount_remaining")]
    if owed:
        amount, due = say.moneys(moved_sum(owed, "amount_remaining")), say.date(owed[0].get("due_date"))
        found.append((say("kv.open_invoice"), say("kv.open_due", amount=amount, date=due) if due else amount))
    else:
        refunds = say.moneys(moved_sum(rows(state, "refunds"), "amount"))
        found.append((say("kv.refunds"), refunds or (say("kv.not_read") if "refunds" in unread else none)))
    return found


def reasons(card: Card, say: Wording) -> list[Reason]:
    """What speaks for the decision, then what speaks against it, each the heaviest first."""
    decision = part(card, "decision")
    found = []
    for side in ("for", "against"):
        ordered = sorted(rows(decision, side), key=lambda row: -abs(row.get("weight") or 0))
        for row in ordered:
            kind = side if abs(row.get("weight", 1) or 0) > 0.05 else "neutral"
            source = say.known("source", row["source"]) if row.get("source") else Markup("")
            quote = str(row.get("quote") or "")
            found.append(Reason(kind=kind, says=str(row.get("says") or ""), quote=quote, source=source))
    return found


def plan_steps(card: Card, say: Wording) -> list[PlanStep]:
    shown = sorted(rows(part(card, "plan"), "steps"), key=lambda row: row.get("kind") in TELLING)
    return [_plan_step(row, number, say, card) for number, row in enumerate(shown, 1)]


def _plan_step(row: Row, number: int, say: Wording, card: Card) -> PlanStep:
    final = bool(row.get("final", row.get("reversible") is False))
    amount = say.money(row["amount"], row["currency"]) if isinstance(row.get("amount"), int) else ""
    return PlanStep(
        id=str(row.get("id") or f"s{number}"),
        number=number,
        kind=str(row.get("kind") or ""),
        title=str(row.get("title") or say.known("kind", row.get("kind"))),
        detail=str(row.get("detail") or ""),
        amount=amount,
        final=final,
        optional=bool(row.get("optional")),
        chips=tuple(_chips(row, say, final, card)),
    )


def _chips(row: Row, say: Wording, final: bool, card: Card) -> Iterator[Chip]:
    if final:
        yield Chip(kind="final", says=say("plan.final"))
    elif until := say.date(row.get("undo_until")):
        yield Chip(kind="undo", says=say("plan.undo_until", date=until))
    elif row.get("kind") == "create_portal_session":
        yield Chip(kind="undo", says=say("plan.expires"))
    if key := _checked(row, part(card, "billing_state")):
        yield Chip(kind="ok", says=say(f"plan.{key}"))
    if "requester_verified" in texts(row, "requires") and part(card, "customer").get("identity") != "verified":
        yield Chip(kind="bad", says=say("plan.verified_first"))


def _checked(row: Row, state: Mapping[str, Any]) -> str | None:
    """What was just read of the object that a step changes, where it speaks for the step."""
    found = next(
        (x for k in ("subscriptions", "charges") for x in rows(state, k) if x.get("id") == row.get("object")), {}
    )
    if row.get("kind") in GIVES_BACK:
        return "not_given_back" if found.get("amount_refunded") == 0 and found.get("disputed") is False else None
    return "still_active" if row.get("kind") in _ENDS_NOW | _ENDS_LATER and found.get("status") == "active" else None


def plan_meta(card: Card, say: Wording) -> Markup:
    if needs_person(card):
        return say("plan.safe_only")
    moves = any(isinstance(step.get("amount"), int) for step in rows(part(card, "plan"), "steps"))
    return say("plan.safest") if moves else say("plan.no_money")


def blocked(card: Card, say: Wording) -> list[Markup]:
    """One line for each reason, naming all the steps that are off for it."""
    by_reason: dict[str, list[Markup]] = {}
    for row in rows(part(card, "plan"), "blocked"):
        what, names = say.known("kind", row.get("step")), by_reason.setdefault(str(row.get("why") or ""), [])
        if what not in names:
            names.append(what)
    return [
        say("plan.blocked", what=say.listed(names), why=say.known("blocked", why)) for why, names in by_reason.items()
    ]


def callouts(card: Card) -> list[tuple[str, str]]:
    """Tone and sentence of at most three anomalies, the gravest first, nothing said twice."""
    said = dict.fromkeys(
        (_CALLS.get(str(row.get("code")), "warning"), str(row.get("says") or ""))
        for row in rows(part(card, "billing_state"), "anomalies")
    )
    return sorted((one for one in said if one[1]), key=lambda one: _GRAVE.index(one[0]))[:3]
