"""How do the core's sentences read to an agent who does not read English?

Said anew from what the card carries as data: codes of closed lists and the objects they name. The English sentence is
never taken apart; what the catalogue (`messages/core/<language>.toml`) does not know stays as the core said it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from billing.replies.rendering import render
from billing.steps import KINDS
from zendesk.summary import summary
from zendesk.wording import LANGUAGES, Wording

Card = dict[str, Any]
Row = Mapping[str, Any]
_DUPLICATES = frozenset(
    {
        "duplicate_same_price", "duplicate_across_customers", "duplicate_email_case", "monthly_and_annual",
        "two_tiers", "duplicate_in_trial", "duplicate_already_ending",
    }
)  # fmt: skip
_STUCK = frozenset(
    {
        "bank_confirmation_needed", "card_replaced", "card_expired", "hard_decline", "payment_blocked", "soft_decline",
        "past_due",
    }
)  # fmt: skip
_WOULD = {
    **dict.fromkeys(_DUPLICATES, "duplicate"), **dict.fromkeys(_STUCK, "stuck"),
    **dict.fromkeys(("separate_workspaces", "separate_users"), "separate"),
    "seats_on_one_subscription": "seats", "seats_change_wanted": "seats",
}  # fmt: skip
_TENSES = ("title", "running", "done", "detail")
_PRICED = ("subscriptions", "invoices", "charges", "disputes", "refunds")
_QUIET = frozenset({"write_internal_note", "file_issue", "explain"})


@cache
def texts(lang: str) -> Mapping[str, str]:
    """All sentences of a language by their dotted id; none for English, which the core speaks itself."""
    if lang == LANGUAGES[0]:
        return {}
    source = resources.files("zendesk").joinpath("messages", "core", f"{lang}.toml").read_text(encoding="utf-8")
    return dict(_flat(tomllib.loads(source), ""))


def _moves(step: Row) -> bool:
    kind = KINDS.get(str(step.get("kind")))
    return kind is not None and kind.moves


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, str):
            yield prefix + key, value
        else:
            yield from _flat(value, f"{prefix}{key}.")


def localized(card: Row, say: Wording) -> Row:
    """The card with its sentences in the reader's language; the card itself stays as it is."""
    return _Teller(card, say).card() if texts(say.lang) else _with_amounts(card, say)


def _with_amounts(card: Row, say: Wording) -> Row:
    """The core's own English, with the amounts it names (`29.00 USD`) written as everywhere else on the card."""
    state, decision, plan = (card.get(key) or {} for key in ("billing_state", "decision", "plan"))
    priced = [row for kind in _PRICED for row in state.get(kind) or ()] + list(plan.get("steps") or ())
    known = frozenset(str(row["currency"]).upper() for row in priced if row.get("currency"))

    def shown(row: Row, *keys: str) -> dict[str, Any]:
        return {**row, **{key: say.amounts(row[key], known) for key in keys if isinstance(row.get(key), str)}}

    fresh = dict(card)
    if decision:
        told = {side: [shown(row, "says") for row in decision.get(side) or ()] for side in ("for", "against")}
        fresh["decision"] = {**shown(decision, "headline", "lede", "why", "would_change"), **told}
    if plan:
        steps = [shown(step, *_TENSES) for step in plan.get("steps") or ()]
        fresh["plan"] = {**shown(plan, "untouched"), "steps": steps}
    if earlier := card.get("earlier"):
        fresh["earlier"] = {**earlier, "steps": [shown(step, *_TENSES) for step in earlier.get("steps") or ()]}
    if state:
        fresh["billing_state"] = {**state, "anomalies": [shown(row, "says") for row in state.get("anomalies") or ()]}
    return fresh


class _Teller:
    """One card, one reader."""

    def __init__(self, card: Row, say: Wording) -> None:
        self.source, self.say, self.known = card, say, texts(say.lang)
        state = card.get("billing_state") or {}
        self.objects = {row["id"]: row for kind in _PRICED for row in state.get(kind) or () if row.get("id")}
        self.decision = card.get("decision") or {}
        self.plan = card.get("plan") or {}

    def card(self) -> Card:
        card = dict(self.source)
        if self.plan:
            card["plan"] = self.plan = self._plan()
        if earlier := card.get("earlier"):
            card["earlier"] = {**earlier, "steps": [self._step(step) for step in earlier.get("steps") or ()]}
        if self.decision:
            card["decision"] = self._decision()
        if state := card.get("billing_state"):
            card["billing_state"] = {**state, "anomalies": [self._anomaly(row) for row in state.get("anomalies") or ()]}
        if reply := card.get("follow_up"):
            card["follow_up"] = self._reply(reply)
        if customer := card.get("customer"):
            card["customer"] = self._customer(customer)
        if gap := card.get("product_gap"):
            card["product_gap"] = self._gap(gap)
        if card.get("handoff"):
            card["handoff"] = {"sections": summary(card, self.say, self.known)}
        return card

    def _gap(self, gap: Row) -> dict[str, Any]:
        """What is filed stays English, and is shown as it is filed."""
        title = self._text(f"gap.{gap.get('kind')}", gap.get("title"))
        return {**gap, "title": title, "issue_title": gap.get("title") if title != gap.get("title") else None}

    def _customer(self, customer: Row) -> dict[str, Any]:
        siblings = [
            {**row, "says": self._text("sibling", "", id=row.get("id"))} for row in customer.get("siblings") or ()
        ]
        count, why = len(customer.get("candidates") or ()), customer.get("why") or ()
        codes = customer.get("reasons") or [None] * len(why)  # an older card names none
        told = [self._text(f"identity.{code}", says, n=count) for code, says in zip(codes, why, strict=False)]
        return {**customer, "why": told, "siblings": siblings}

    def _text(self, key: str, otherwise: Any, **values: object) -> str:
        """The sentence of an id; the core's own when there is none, or when what it speaks of is not on the card."""
        form = self.known.get(key)
        if form is None or any(f"{{{name}}}" in form and not value for name, value in values.items()):
            form = self.known.get(f"{key}_short")
        return form.format(**values) if form is not None else str(otherwise or "")

    # -- the decision ------------------------------------------------------------------------------------------------
    def _decision(self) -> dict[str, Any]:
        old, name = self.decision, self.decision.get("situation")
        return {
            **old,
            "headline": self._headline(name, old.get("headline")),
            "lede": self._lede(old.get("lede")),
            "why": self._why(name, old.get("why")),
            "would_change": self._would(name, old.get("would_change")) if old.get("would_change") else None,
            "for": [self._signal(row) for row in old.get("for") or ()],
            "against": [self._signal(row) for row in old.get("against") or ()],
        }

    def _headline(self, name: Any, otherwise: Any) -> str:
        product = self._product()
        if "situation" not in self.decision:  # an older card: what its headline was about is not known
            text = str(otherwise or "")
        elif name in _DUPLICATES:
            refunds = any(step.get("kind") == "refund_charge" for step in self.plan.get("steps") or ())
            text = self._text("headline.duplicate" if refunds else "headline.duplicate_tie", otherwise, product=product)
        elif name:
            text = self._text(f"headline.{name}", otherwise, product=product)
        else:
            bucket, level = self.decision.get("bucket"), (self.source.get("customer") or {}).get("identity")
            stranger = self.known.get(f"stranger.{level}") if bucket not in {"not_billing", "undecided"} else None
            text = stranger or self._text(f"no_situation.{bucket}", otherwise)
        return text

    def _lede(self, otherwise: Any) -> str:
        """What we would do, in one sentence; what happened, when nothing is to be done: as the core tells it."""
        steps = self.plan.get("steps") or ()
        titles = [str(step.get("title")) for step in steps if _moves(step)]
        if titles:
            more = "lede_more" if titles[1:] else "lede"
            return self._text(more, otherwise, last=titles[-1], first=", ".join(titles[:-1]))
        offered = [str(step.get("detail")) for step in steps if step.get("kind") not in _QUIET]
        return offered[0] if offered else self._why(self.decision.get("situation"), otherwise)

    def _why(self, name: Any, otherwise: Any) -> str:
        if name:
            return self._says(name, otherwise)
        bucket = self.decision.get("bucket")
        found = (self.source.get("customer") or {}).get("identity") in {"verified", "matched"}
        general = self._text(
            f"why_{'known' if found else 'unknown'}_customer", otherwise, bucket=self.say.known("bucket", bucket)
        )
        return self._text(f"why.{bucket}", general)

    def _would(self, name: Any, otherwise: Any) -> str:
        if name:
            return self._text(f"would.{_WOULD.get(name, name)}", otherwise)
        found = (self.source.get("customer") or {}).get("identity") in {"verified", "matched"}
        return self._text(f"would_{'known' if found else 'unknown'}_customer", otherwise)

    def _says(self, code: Any, otherwise: Any) -> str:
        return self._text(f"says.{'duplicate' if code in _DUPLICATES else code}", otherwise, product=self._product())

    def _signal(self, row: Row) -> dict[str, Any]:
        code = str(row.get("code") or "")
        says = self.known["words_of_ticket"] if code.startswith("TXT_") else self._says(code, row.get("says"))
        return {**row, "says": says}

    # -- what Stripe shows -------------------------------------------------------------------------------------------
    def _anomaly(self, row: Row) -> dict[str, Any]:
        says = self.known.get(f"anomaly.{row.get('code')}")
        if says is None:
            return dict(row)
        paid = [self.objects.get(n) or {} for n in row.get("objects") or () if n.startswith(("in_", "ch_", "py_"))]
        amount, date = (self._amount(paid[0]), self.say.date(paid[0].get("created"))) if len(paid) == 1 else ("", "")
        return {**row, "says": self._text("affected", says, says=says, amount=amount, date=date) or says}

    def _amount(self, row: Row) -> str:
        amounts = (row.get(name) for name in ("amount_remaining", "amount_paid", "amount") if "status" in row)
        amount = next((one for one in amounts if one), None)
        return self.say.money(amount, row["currency"]) if isinstance(amount, int) and row.get("currency") else ""

    def _product(self, name: Any = None) -> str:
        rows = self.objects.values() if name is None else [self.objects.get(name) or {}]
        found = [str(row["product_name"]) for row in rows if row.get("product_name")]
        return found[0] if found and (name is not None or len(set(found)) == 1) else ""

    # -- the plan ----------------------------------------------------------------------------------------------------
    def _plan(self) -> dict[str, Any]:
        steps = [self._step(step) for step in self.plan.get("steps") or ()]
        untouched = self.plan.get("untouched")
        if untouched and not any(map(_moves, steps)):
            untouched = self.known["untouched_none"]
        elif untouched:
            kept: Row = next((row for row in self.objects.values() if row.get("role") == "kept"), {})
            product, since = self._product(kept.get("id", "")), self.say.date(kept.get("created"))
            untouched = self._text("untouched_kept", untouched, product=product, date=since)
        return {**self.plan, "steps": steps, "untouched": untouched}

    def _step(self, step: Row) -> dict[str, Any]:
        values = self._values(step)
        return {**step, **{tense: self._tense(step, tense, values) for tense in _TENSES}}

    def _tense(self, step: Row, tense: str, values: Mapping[str, str]) -> str:
        kind, topic = step.get("kind"), step.get("topic") or step.get("flow")
        if kind == "explain" and tense == "detail" and self.decision.get("situation"):
            return self._says(self.decision["situation"], step.get("detail"))
        general = self._text(f"step.{kind}.{tense}", step.get(tense), **values)
        return self._text(f"step.{kind}.{topic}.{tense}", general, **values)

    def _values(self, step: Row) -> dict[str, str]:
        found = self.objects.get(step.get("object") or "") or {}
        ends = step.get("undo_until") or found.get("current_period_end")
        amount = self.say.money(step["amount"], step["currency"]) if isinstance(step.get("amount"), int) else ""
        return {
            "product": self._product(step.get("object")),
            "number": str(found.get("number") or ""),
            "date": self.say.date(found.get("created") if step.get("kind") == "refund_charge" else ends),
            "amount": amount,
        }

    def _reply(self, reply: Row) -> Row:
        """Beside a reply in another language its meaning in the agent's own, from the reply's facts."""
        if str(reply.get("locale") or "")[:2] == self.say.lang or not reply.get("facts"):
            return {**reply, "english": None}
        return {**reply, "english": render(reply["facts"], None, self.say.lang)[0], "meaning": self.say.lang}
