"""Is it another question about money: renewals, trials, prices, credit, tax, usage?"""

from __future__ import annotations

from collections.abc import Iterator

from billing.evidence import Bucket, Wish
from billing.records import Charge, Subscription
from billing.situations.scene import Scene
from billing.situations.seats import TEAM_WORDS
from billing.situations.situation import Situation, situations_of
from billing.situations.wording import day, plain

_situation = situations_of(Bucket.OTHER_BILLING, 2.5)

_REGRET = ("TXT_RENEWAL_SURPRISE", "TXT_FORGOT_CANCEL", "TXT_UNUSED", "TXT_MISTAKE", "TXT_UNKNOWN_CHARGE")

_PLAN_CHANGES = ("proration_charge", "plan_changed")

# explained from an invoice, nothing to change: anomaly, headline, what happened, words that ask about it, gap
_EXPLAINED = (
    ("price_changed", 2.6, "Price rose at renewal", "The price of the plan changed between the last two invoices.",
     ("TXT_PRICE_ROSE", "TXT_EXPLAIN"), "no_price_change_notice"),
    ("discount_ended", 2.6, "Discount ended", "A discount ended, so the last invoice was higher than the one before.",
     ("TXT_PRICE_ROSE", "TXT_COUPON", "TXT_EXPLAIN"), "no_price_change_notice"),
    ("proration_charge", 2.2, "Plan change, billed by day", "The invoice bills the days of a plan change.",
     ("TXT_PLAN_PRORATION", "TXT_DUP_TWICE", "TXT_EXPLAIN"), None),
    ("plan_changed", 1.8, "Plan changed recently", "The plan was changed within the last 30 days.",
     ("TXT_PLAN_PRORATION", "TXT_DUP_TWICE", "TXT_PRICE_ROSE", "TXT_EXPLAIN"), None),
    ("metered_usage", 1.8, "Usage makes the amount", "Usage explains the amount of the invoice.",
     ("TXT_USAGE", "TXT_EXPLAIN"), "no_usage_visibility"),
    ("credit_balance", 1.8, "Credit on the account", "Credit on the account explains the amount.",
     ("TXT_CREDIT", "TXT_EXPLAIN"), None),
    ("tax_on_invoice", 1.8, "Tax makes the difference", "Tax explains the difference in the amount.",
     ("TXT_TAX", "TXT_EXPLAIN"), None),
    ("other_currency_shown", 1.5, "Shown in another currency", "The customer saw the amount in another currency.",
     ("TXT_EXPLAIN", "TXT_PRICE_ROSE"), None),
    ("several_currencies", 1.0, "Billed in two currencies", "Live subscriptions are billed in two currencies.",
     ("TXT_EXPLAIN",), None),
)  # fmt: skip


def recognise(scene: Scene) -> Iterator[Situation]:
    yield from _annual_renewal(scene)
    yield from _trial_converted(scene)
    yield from _canceled_after_trial(scene)
    yield from _recent_renewal(scene)
    yield from _explained(scene)
    yield from _trialing(scene)


def _regret(scene: Scene) -> bool:
    return scene.speaks(*_REGRET) or scene.wants_refund


def _stop(scene: Scene, subscription: Subscription) -> tuple[str, ...]:
    """The renewal is stopped where money back or an end was asked for (or is said to be made), and it would come."""
    told = scene.speaks(*_REGRET[:-1], "TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL")
    wanted = (told or scene.wants_refund or scene.wants_cancel) and not scene.wants_to_stay
    return (subscription.id,) if wanted and subscription.live and not subscription.ending else ()


def _owed(scene: Scene, charge: Charge | None) -> tuple[tuple[str, int], ...]:
    return ((charge.id, charge.amount_captured),) if charge and scene.wants_refund else ()


def _annual_renewal(scene: Scene) -> Iterator[Situation]:
    for name in scene.objects("annual_renewal"):
        invoice = scene.invoices.get(name)
        subscription = scene.subscription_behind(name)
        if invoice is None or subscription is None:
            continue
        charge = next(iter(scene.charges_for(name)), None)
        blocked = scene.speaks("TXT_CANNOT_CANCEL", "TXT_CLAIMS_CANCELLED")
        paid = day(invoice.paid_at or invoice.created, scene.snapshot.taken_at)
        yield _situation(
            "annual_renewal",
            "Yearly renewal, not expected",
            f"{plain(invoice.amount_paid, invoice.currency)} for another year was paid on {paid}.",
            bucket=Bucket.SELF_SERVE_GAP if blocked else Bucket.OTHER_BILLING,
            strength=3.5 if blocked else 3.0,
            affinity=2.0 if _regret(scene) or blocked else (1.0 if scene.silent else 0.0),
            objects=(name, subscription.id),
            subscription=subscription.id,
            extra=_stop(scene, subscription),
            invoice=name,
            charges=(charge.id,) if charge else (),
            owed=_owed(scene, charge),
            customer=subscription.customer,
            gap="no_renewal_notice" if _regret(scene) or blocked or scene.silent else None,
            would_change="A cancellation that was tried before the renewal would make it a self-serve question.",
        )
        return


def _trial_converted(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("trial_converted")[:1]:
        if _canceled_late(scene, subscription) or scene.speaks("TXT_NO_ACCESS", "TXT_QUALITY"):
            continue
        charge = scene.newest_paid(subscription.id)
        yield _situation(
            "trial_converted",
            "Trial became paid",
            f"The trial ended on {day(subscription.trial_end, scene.snapshot.taken_at)} and a first payment was taken.",
            bucket=Bucket.SELF_SERVE_GAP,
            strength=3.5,
            overrules=(Bucket.OTHER_BILLING,),
            affinity=2.0 if scene.speaks("TXT_TRIAL") or _regret(scene) or scene.wants_cancel else 0.0,
            objects=(subscription.id,),
            subscription=subscription.id,
            extra=_stop(scene, subscription),
            charges=(charge.id,) if charge else (),
            owed=_owed(scene, charge),
            customer=subscription.customer,
            gap="no_trial_end_notice",
        )


def _canceled_late(scene: Scene, subscription: Subscription) -> bool:
    """Cancelled after the trial had turned into a payment."""
    trial, canceled = subscription.trial_end, subscription.canceled_at
    return trial is not None and canceled is not None and canceled > trial


def _canceled_after_trial(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.subscriptions.values():
        paid = scene.charges_of(subscription.id)
        if not _canceled_late(scene, subscription) or len(paid) != 1 or not scene.within(subscription.trial_end, 60):
            continue
        ends = day(subscription.trial_end, scene.snapshot.taken_at)
        canceled = day(subscription.canceled_at, scene.snapshot.taken_at)
        told = scene.speaks("TXT_TRIAL", "TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL") or _regret(scene)
        yield _situation(
            "canceled_after_trial",
            "Cancelled after the trial",
            f"The trial ended on {ends}, the cancellation came on {canceled}; one payment lies between.",
            bucket=Bucket.SELF_SERVE_GAP,
            strength=3.5,
            overrules=(Bucket.OTHER_BILLING,),
            affinity=2.0 if told else 0.0,
            objects=(subscription.id, paid[0].id),
            subscription=subscription.id,
            charges=(paid[0].id,),
            owed=_owed(scene, paid[0]),
            customer=subscription.customer,
            gap="no_trial_end_notice",
        )
        return


def _recent_renewal(scene: Scene) -> Iterator[Situation]:
    """Regret over an ordinary payment: stopping is offered, money back is a person's decision."""
    if not _regret(scene) or len(scene.live) != 1 or scene.found("annual_renewal", "trial_converted"):
        return
    subscription = scene.live[0]
    charge = scene.newest_paid(subscription.id)
    another = ("TXT_CANNOT_CANCEL", "TXT_CLAIMS_CANCELLED", "TXT_QUALITY", "TXT_NO_ACCESS", "TXT_PLAN_CHANGED_BY_THEM")
    if charge is None or scene.speaks(*another):
        return
    stop = (subscription.id,) if scene.wants_cancel and not subscription.ending else ()
    yield _situation(
        "recent_payment_regretted",
        "Payment not wanted",
        f"{plain(charge.amount_captured, charge.currency)} was paid on {day(charge.created, scene.snapshot.taken_at)}"
        " as agreed; the customer did not want it.",
        strength=1.5,
        affinity=1.5 if scene.speaks(*_REGRET) else 0.0,
        objects=(subscription.id, charge.id),
        subscription=subscription.id,
        extra=stop,
        charges=(charge.id,),
        customer=subscription.customer,
    )


def _explained(scene: Scene) -> Iterator[Situation]:
    asked = scene.wants(Wish.EXPLAIN_CHARGE)
    for code, strength, headline, says, words, gap in _EXPLAINED:
        names = scene.objects(code)
        if not names:
            continue
        name = next((n for n in names if n in scene.invoices), names[0])
        told = scene.speaks(*(word for word in words if word != "TXT_EXPLAIN"))
        affinity = 2.0 if told else 1.0 if asked or scene.speaks("TXT_EXPLAIN") else 0.5 if scene.silent else -0.5
        if code in _PLAN_CHANGES and scene.speaks(*TEAM_WORDS):
            affinity -= 2.0  # it is the seats that are asked about
        if code in _PLAN_CHANGES and scene.speaks("TXT_PLAN_CHANGED_BY_THEM"):
            affinity = -1.5  # that it changed is what the words say; Stripe's records do not say by whom
        subscription = scene.subscription_behind(name)
        yield _situation(
            code,
            headline,
            says,
            strength=strength,
            affinity=affinity,
            objects=names,
            gap=gap,
            overrules=(Bucket.DUPLICATE_SUBSCRIPTION,),
            invoice=name if name in scene.invoices else None,
            customer=scene.customer_of(name),
            subscription=subscription.id if subscription else None,
            charges=(name,) if name in scene.charges else (),
        )


def _trialing(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("trialing")[:1]:
        ends = day(subscription.trial_end, scene.snapshot.taken_at)
        yield _situation(
            "trialing",
            "In trial, nothing paid",
            f"The trial runs until {ends}; nothing was charged for it.",
            strength=1.5,
            affinity=1.5 if scene.speaks("TXT_TRIAL") else 0.0,
            objects=(subscription.id,),
            subscription=subscription.id,
            customer=subscription.customer,
        )
