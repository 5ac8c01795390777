"""Is money already on its way back, disputed, or was something paid and not delivered?"""

from __future__ import annotations

from collections.abc import Iterator

from billing.evidence import Bucket, Wish
from billing.records import Charge, Dispute, Refund
from billing.situations.scene import Scene
from billing.situations.situation import Situation, situations_of
from billing.situations.wording import day, plain

_situation = situations_of(Bucket.OTHER_BILLING, 4.5)

_MONEY_BACK = ("TXT_REFUND_STATUS", "TXT_WANTS_REFUND", "TXT_DISPUTE", "TXT_OVER_REFUNDED")


def recognise(scene: Scene) -> Iterator[Situation]:
    yield from _disputes(scene)
    yield from _warning(scene)
    yield from _refunds(scene)
    yield from _connected(scene)
    yield from _no_access(scene)
    yield from _nothing_behind(scene)


def _money_back(scene: Scene) -> bool:
    return scene.speaks(*_MONEY_BACK) or scene.wants(Wish.REFUND, Wish.REFUND_STATUS)


def _disputes(scene: Scene) -> Iterator[Situation]:
    for code in ("dispute_open", "dispute_inquiry", "dispute_closed"):
        names = scene.objects(code)
        found = [d for d in scene.disputes.values() if d.id in names]
        for dispute in found[:1]:
            yield _dispute(scene, code, dispute)


def _dispute(scene: Scene, code: str, dispute: Dispute) -> Situation:
    due = f"; reply by {day(dispute.due_by, scene.snapshot.taken_at)}" if dispute.due_by else ""
    sum_of = plain(dispute.amount, dispute.currency)
    subscription = scene.subscription_behind(dispute.charge)
    charge = scene.charges[dispute.charge]
    headline, says, strength = {
        "dispute_open": ("Dispute open: don't refund here", f"The bank holds {sum_of} in a dispute{due}.", 5.5),
        "dispute_inquiry": ("Bank inquiry, no dispute yet", f"The bank asks about {sum_of}{due}.", 5.0),
        "dispute_closed": ("Dispute closed", f"The dispute over {sum_of} is closed: {dispute.status}.", 2.0),
    }[code]
    return _situation(
        code,
        headline,
        says,
        strength=strength,
        affinity=1.0 if _money_back(scene) else 0.0,
        objects=(dispute.id, dispute.charge),
        charges=(dispute.charge,),
        dispute=dispute.id,
        owed=((charge.id, charge.amount_captured),) if code == "dispute_inquiry" else (),
        subscription=subscription.id if subscription else None,
        customer=scene.customer_of(dispute.charge),
        would_change="When the dispute closes, refunds can be judged again." if code == "dispute_open" else None,
    )


def _warning(scene: Scene) -> Iterator[Situation]:
    names = scene.objects("early_fraud_warning")
    found = [
        w for w in scene.snapshot.early_fraud_warnings if w.id in names and w.actionable and w.charge in scene.charges
    ]
    for warning in sorted(found, key=lambda w: (w.created, w.id), reverse=True)[:1]:
        charge = scene.charges[warning.charge]
        subscription = scene.subscription_behind(warning.charge)
        yield _situation(
            "early_fraud_warning",
            "Bank warning on a charge",
            "The card's bank reports the charge; giving it back now usually avoids a dispute.",
            strength=4.8,
            affinity=0.5,
            objects=(warning.id, charge.id),
            charges=(charge.id,),
            owed=((charge.id, charge.amount_captured),),
            subscription=subscription.id if subscription else None,
            customer=scene.customer_of(charge.id),
        )


def _refunds(scene: Scene) -> Iterator[Situation]:
    """The newest refund first: what was given back once is not given back again."""
    codes = {"refund_failed": 4.0, "refund_pending": 3.2, "already_refunded": 2.2, "partly_refunded": 1.2}
    for code, strength in codes.items():
        behind = _refunded(scene, code)
        if not behind:
            continue
        charge = scene.charges[behind]
        refund = max(charge.refunds, key=lambda r: (r.created, r.id), default=None)
        when = day(refund.created, scene.snapshot.taken_at) if refund else "an earlier day"
        sum_of = plain(refund.amount if refund else charge.amount_refunded, charge.currency)
        headline, says = {
            "refund_failed": ("Refund did not arrive", f"The refund of {sum_of} from {when} failed and came back."),
            "refund_pending": ("Refund on its way", f"A refund of {sum_of} was started on {when} and is on its way."),
            "already_refunded": ("Refunded already", f"{sum_of} was refunded on {when}."),
            "partly_refunded": ("Refunded in part", f"{sum_of} of the charge was refunded on {when}."),
        }[code]
        yield _situation(
            code,
            headline,
            says,
            strength=strength,
            affinity=_meant(scene, charge, refund),
            objects=(behind,),
            charges=(behind,),
            gap="no_refund_status" if scene.speaks("TXT_REFUND_STATUS") or scene.wants(Wish.REFUND_STATUS) else None,
            invoice=charge.invoice,
            customer=scene.customer_of(behind),
            dispute=refund.id if refund and code in {"refund_failed", "refund_pending"} else None,
        )
        return


def _meant(scene: Scene, charge: Charge, refund: Refund | None) -> float:
    """Whether the ticket is about this refund: asked where it is, or money is wanted that was just given back."""
    if scene.wants(Wish.REFUND_STATUS) or scene.speaks("TXT_REFUND_STATUS", "TXT_OVER_REFUNDED"):
        return 2.5
    if scene.wants_refund:
        newest = next((c for c in scene.charges.values() if c.status == "succeeded"), None)
        return 1.5 if charge is newest or (refund is not None and scene.within(refund.created, 14)) else -1.5
    return 0.0 if scene.silent else -2.0


def _refunded(scene: Scene, code: str) -> str | None:
    """The own charge that the anomaly's charge or refund leads to."""
    for name in scene.objects(code):
        for charge in scene.charges.values():
            if name == charge.id or any(name == refund.id for refund in charge.refunds):
                return charge.id
    return None


def _connected(scene: Scene) -> Iterator[Situation]:
    """Money of a connected account: whose it is has to be settled first."""
    names = [n for n in scene.objects("connected_account_charge") if n in scene.charges]
    if names and (scene.wants_refund or scene.silent):
        yield _situation(
            "connected_charge",
            "Paid to a connected account",
            "The payment belongs to a connected account as well.",
            strength=2.5,
            affinity=1.5 if scene.wants_refund else 0.0,
            objects=(names[0],),
            charges=(names[0],),
            owed=((names[0], scene.charges[names[0]].amount_captured),),
            customer=scene.customer_of(names[0]),
        )


def _no_access(scene: Scene) -> Iterator[Situation]:
    found = scene.named_subscriptions("paid_and_active")
    told = scene.speaks("TXT_NO_ACCESS") or scene.wants(Wish.RESTORE_ACCESS)
    if scene.speaks("TXT_QUALITY") and not scene.speaks("TXT_PAID") and not scene.wants(Wish.RESTORE_ACCESS):
        return  # it is there and disappoints: no access question
    if scene.speaks("TXT_LOGIN") and not scene.speaks("TXT_PAID", "TXT_CHARGED"):
        return  # a lost password is no missing plan
    if scene.speaks("TXT_GAME_MONEY"):
        return  # what is missing is a coin in a game
    for subscription in found[:1]:
        yield _situation(
            "paid_no_access",
            "Paid, but no access",
            f"{scene.product(subscription.id)} is paid and active in Stripe; the product does not let the customer in.",
            bucket=Bucket.PRODUCT_FAILURE,
            strength=3.5,
            affinity=_missing(scene) if told else 0.0,
            objects=(subscription.id,),
            subscription=subscription.id,
            customer=subscription.customer,
            keep=(subscription.id,),
            gap="access_not_granted",
            would_change="An open or failed payment would explain the missing access.",
        )


def _missing(scene: Scene) -> float:
    """How much of the complaint is about access: regret or a bill in the same text make it less."""
    beside = scene.speaks("TXT_USAGE", "TXT_PRICE_ROSE", "TXT_RENEWAL_SURPRISE", "TXT_UNUSED", "TXT_FORGOT_CANCEL")
    if beside or scene.doubled(*scene.live):
        return -1.5
    if scene.wants_refund and not scene.wants(Wish.RESTORE_ACCESS):
        return 0.0
    return 1.5 if scene.speaks("TXT_PAID", "TXT_CHARGED") else 0.5


def _nothing_behind(scene: Scene) -> Iterator[Situation]:
    names = [name for name in scene.objects("paid_without_subscription") if name in scene.charges]
    if names:
        told = scene.speaks("TXT_NO_ACCESS", "TXT_PAID") or scene.wants(Wish.RESTORE_ACCESS)
        yield _situation(
            "paid_nothing_behind",
            "Paid, nothing was set up",
            "A completed payment has no subscription or order behind it.",
            bucket=Bucket.PRODUCT_FAILURE,
            strength=3.0,
            affinity=-2.0 if scene.speaks("TXT_DUP_TWICE") else 1.5 if told else 0.0,
            objects=tuple(names),
            charges=(names[0],),
            customer=scene.customer_of(names[0]),
            gap="access_not_granted",
        )
