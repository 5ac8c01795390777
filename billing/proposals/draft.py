"""How does a plan come together? Steps are gathered, gated by identity and contract, and put into the seed's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from billing.contract import shape
from billing.families import monthly_amount
from billing.identity import Level
from billing.money import Money, totals
from billing.plan import (
    Blocked,
    Fact,
    Impact,
    Plan,
    PlannedStep,
)
from billing.proposals.facts import facts
from billing.records import Subscription
from billing.situations.scene import Scene
from billing.situations.situation import Situation
from billing.situations.wording import day
from billing.steps import RefundCharge, Step

VERIFIED_FIRST = "requester_verified"
# safest and reversible first, what cannot be taken back last; a schedule is let go right before its subscription.
# The note and the issue can be taken back, so they stand before what cannot; whoever applies writes them last.
_ORDER = {
    kind: rank
    for rank, kinds in enumerate(
        (
            ("send_portal_login", "create_portal_session"),
            ("send_invoice_link", "send_invoice_copy", "send_checkout_link"),
            ("explain", "wait", "ask_customer", "hand_over"),
            ("write_internal_note",),
            ("file_issue",),
            ("release_schedule",),
            ("schedule_cancellation", "undo_cancellation", "resume_collection", "pause_collection", "hold_invoice",
             "resend_invoice"),
            ("cancel_subscription", "void_invoice", "mark_uncollectible", "expire_checkout_session"),
            ("pay_invoice",),
            ("resume_subscription",),
            ("reverse_balance_credit",),
            ("refund_charge", "create_credit_note"),
        )
    )
    for kind in kinds
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The three tenses of a step's title, and one sentence with its exact effect."""

    title: str
    running: str
    done: str
    says: str
    detail: str = ""


@dataclass(slots=True)
class Draft:
    """Gathers steps for one situation. `cautious`: a person has to decide, so nothing final is offered.

    `corrected`: an agent named the bucket, so what the words ask for besides does not hold anything back.
    """

    scene: Scene
    line: Situation | None
    cautious: bool = False
    corrected: bool = False
    steps: list[PlannedStep] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    stopped: list[Subscription] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.scene.snapshot.taken_at

    @property
    def trusted(self) -> bool:
        """Whether anything of Stripe may be written or opened for this requester."""
        foreign = bool(self.scene.found("identity_mismatch"))
        return self.scene.known and not self.scene.identity.distrusted and not foreign

    def add(
        self, step: Step, words: Words, about: Iterable[str | None] = (), *, more: tuple[Fact, ...] = (),
        undo_until: datetime | None = None, after: Step | None = None,
    ) -> bool:  # fmt: skip
        """Offer a step, or block it. `after`: a step of this plan without which this one must not run."""
        gated = step.moves or step.kind in {"send_portal_login", "create_portal_session"}
        if gated and not self.trusted:
            self.block(step.kind, step.object, "identity")
            return False
        if not step.reversible and self.cautious:
            return False
        self.steps.append(
            PlannedStep(
                id="",
                step=step,
                title=words.title,
                running=words.running,
                done=words.done,
                says=words.says,
                detail=words.detail,
                requires=self._requires(step, after),
                facts=(*facts(self.scene, (step.object, *about)), *more),
                undo_until=undo_until,
            )
        )
        return True

    def _requires(self, step: Step, after: Step | None) -> tuple[str, ...]:
        bearer = step.kind == "create_portal_session"
        unverified = self.scene.identity.level is not Level.VERIFIED and (step.moves or bearer)
        return (VERIFIED_FIRST,) * unverified + ((f"step:{after.kind}:{after.object}",) if after else ())

    def block(self, kind: str, name: str | None, why: str) -> None:
        self.blocked.append(Blocked(step=kind, object=name, why=why))

    def ruled_out(self, kind: str, subscription: Subscription) -> bool:
        """Whether the contract's shape forbids the step; then it is blocked with the shape's reason."""
        odd = "unknown_value" if self.scene.unknown(subscription.id) else None
        why = odd or shape(subscription, self.scene.snapshot, self.scene.policy).why_not(kind)
        if why is not None:
            self.block(kind, subscription.id, why)
        return why is not None

    def finish(self) -> Plan:
        """Ids in the order the steps run; ties keep the order in which they were offered."""
        ordered = sorted(self.steps, key=lambda planned: _ORDER[planned.step.kind])
        numbered = [replace(planned, id=f"s{number}") for number, planned in enumerate(ordered, start=1)]
        names = {f"step:{p.step.kind}:{p.step.object}": f"step:{p.id}" for p in numbered}
        steps = tuple(replace(p, requires=tuple(names.get(r, r) for r in p.requires)) for p in numbered)
        kept, extra = (self.line.keep, self.line.extra) if self.line else ((), ())
        return Plan(
            steps=steps,
            impact=self._impact(),
            blocked=tuple(sorted(set(self.blocked), key=lambda b: (b.step, b.object or "", b.why))),
            untouched=self._untouched(),
            affected_charges=tuple(p.step.charge for p in steps if isinstance(p.step, RefundCharge)),
            kept=kept,
            extra=extra,
        )

    def _impact(self) -> Impact:
        back = [p.step.money for p in self.steps if p.step.kind in {"refund_charge", "create_credit_note"}]
        monthly = [-monthly_amount(s) for s in self.stopped if s.status != "trialing"]
        return Impact(refund=totals(money for money in back if isinstance(money, Money)), mrr=totals(monthly))

    def _untouched(self) -> str | None:
        """What the agent can rely on to stay as it is."""
        if not any(planned.step.moves for planned in self.steps):
            return "Nothing changes in Stripe."
        if self.line is None or not self.line.keep:
            return None
        kept = self.scene.subscriptions[self.line.keep[0]]
        product, since = self.scene.product(kept.id), day(kept.created, self.now)
        return f"The {product} subscription of {since} and its payments are not touched."
