"""Is it something the customer should be able to do alone, or a cancellation that did not take?"""

from __future__ import annotations

from collections.abc import Iterator

from billing.evidence import Bucket, IdentifierKind, Wish
from billing.records import Charge, Invoice, Subscription
from billing.situations.duplicates import DUPLICATE_WORDS
from billing.situations.scene import Scene
from billing.situations.seats import TEAM_WORDS
from billing.situations.situation import Situation, situations_of
from billing.situations.wording import day

_situation = situations_of(Bucket.SELF_SERVE_GAP, 3.0)

_SURPRISE = ("TXT_RENEWAL_SURPRISE", "TXT_FORGOT_CANCEL", "TXT_MISTAKE", "TXT_UNUSED", "TXT_QUALITY")

# an invoice that is spoken of beside one of these is no invoice that is asked for
_NOT_A_COPY = ("TXT_EXPLAIN", "TXT_DUP_TWICE", "TXT_PAST_DUE", "TXT_NO_ACCESS", "TXT_CHARGED")


def recognise(scene: Scene) -> Iterator[Situation]:
    yield from _charged_after_cancellation(scene)
    yield from _ending(scene)
    yield from _account_deleted(scene)
    yield from _cancel(scene)
    yield from _already_ended(scene)
    yield from _open_after_end(scene)
    yield from _collection_paused(scene)
    yield from _documents(scene)
    yield from _settings(scene)


def portal_gap(scene: Scene, feature: str = "") -> str | None:
    """The gap when the portal is missing or lacks a feature; unknown when it was not read."""
    portal = scene.snapshot.portal
    if scene.snapshot.lacks("portal"):
        return None
    if portal is None:
        return "no_billing_portal"
    gaps = {
        "cancel": "no_cancellation_flow",
        "invoice_history": "no_invoice_access",
        "tax_id_update": "no_tax_id_entry",
    }
    return gaps.get(feature) if feature and not getattr(portal, feature) else None


def _charged_after_cancellation(scene: Scene) -> Iterator[Situation]:
    """Stripe itself shows that money was taken after the end: a failure of ours."""
    for name in scene.objects("charged_after_cancellation"):
        invoice = scene.invoices.get(name)
        charge = scene.charges.get(name) or next(iter(scene.charges_for(name)), None)
        subscription = scene.subscription_behind(name)
        taken = charge.created if charge else invoice.created if invoice else None
        yield _situation(
            "charged_after_cancellation",
            "Charged after cancelling",
            f"Money was taken on {day(taken, scene.snapshot.taken_at)}, after the subscription was cancelled.",
            bucket=Bucket.PRODUCT_FAILURE,
            strength=5.0,
            overrules=(Bucket.SELF_SERVE_GAP, Bucket.OTHER_BILLING, Bucket.DUPLICATE_SUBSCRIPTION),
            affinity=1.0 if scene.speaks("TXT_CHARGED_AFTER_CANCEL", "TXT_CLAIMS_CANCELLED") else 0.0,
            objects=tuple(filter(None, (name, subscription.id if subscription else None))),
            gap="charged_after_cancellation",
            subscription=subscription.id if subscription else None,
            invoice=charge.invoice if charge else name,
            charges=(charge.id,) if charge else (),
            owed=((charge.id, charge.amount_captured),) if charge else (),
            customer=scene.customer_of(name),
            would_change="A cancellation later than the charge would make it a policy question.",
        )
        return


def _ending(scene: Scene) -> Iterator[Situation]:
    ending = [s for s in scene.live if s.ending]
    if not ending:
        return
    subscription = ending[0]
    end = day(subscription.cancel_at or subscription.current_period_end, scene.snapshot.taken_at)
    if scene.wants_to_stay:
        yield _situation(
            "wants_to_stay",
            "Wants to stay",
            f"The subscription is set to end on {end}; the customer wants to keep it.",
            strength=5.0,
            objects=(subscription.id,),
            subscription=subscription.id,
            customer=subscription.customer,
            keep=(subscription.id,),
            gap=portal_gap(scene),
        )
        return
    told = scene.wants_cancel or scene.speaks(
        "TXT_CANCEL_CONFIRM_QUESTION", "TXT_CLAIMS_CANCELLED", "TXT_CANNOT_CANCEL"
    )
    others = [s for s in scene.live if not s.ending]
    # money that was taken is the point, that it ends is background
    beside = scene.speaks(*_SURPRISE, *DUPLICATE_WORDS) or (
        scene.wants_refund and not scene.speaks("TXT_CHARGED_AFTER_CANCEL", "TXT_CANNOT_CANCEL")
    )
    yield _situation(
        "cancellation_scheduled",
        "Cancelled, runs out by itself",
        f"The subscription is cancelled and ends on {end}; nothing is charged after that.",
        strength=2.5 if not others else 1.5,
        affinity=-1.0 if beside else 2.5 if told else (1.0 if scene.silent else 0.0),
        objects=(subscription.id,),
        subscription=subscription.id,
        customer=subscription.customer,
        gap=portal_gap(scene),
        would_change="A live subscription that renews would still have to be stopped.",
    )


def _renewing(scene: Scene) -> tuple[Subscription, ...]:
    return tuple(s for s in scene.live if not s.ending)


def _account_deleted(scene: Scene) -> Iterator[Situation]:
    renewing = _renewing(scene)
    if not scene.speaks("TXT_ACCOUNT_DELETED") or not renewing or scene.doubled(*renewing):
        return
    charge = scene.newest_paid(renewing[0].id)
    yield _situation(
        "account_deleted",
        "Account deleted, still billed",
        "The customer says the account was deleted; the subscription behind it still renews.",
        strength=3.0,
        affinity=0.5 if scene.found("past_due") else 2.0,
        objects=(renewing[0].id,),
        subscription=renewing[0].id,
        extra=tuple(s.id for s in renewing) if len(renewing) == 1 else (),
        tie=len(renewing) > 1,
        customer=renewing[0].customer,
        gap="deletion_keeps_billing",
        **_owed(scene, charge),
    )


def _owed(scene: Scene, charge: Charge | None) -> dict[str, object]:
    """The charge counts only where money back was asked for."""
    if charge is None or not scene.wants_refund:
        return {}
    return {"charges": (charge.id,), "owed": ((charge.id, charge.amount_captured),)}


def _cancel(scene: Scene) -> Iterator[Situation]:
    """A cancellation is asked for, or claimed while the subscription renews."""
    renewing = _renewing(scene)
    claimed = scene.speaks("TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL", "TXT_CANCEL_CONFIRM_QUESTION")
    claimed = claimed and not scene.speaks("TXT_WRONG_REMEDY")  # what support cancelled is another story
    if not renewing or not (scene.wants_cancel or claimed) or scene.doubled(*renewing):
        return
    ending = any(s.ending for s in scene.live)
    if ending and not scene.wants_cancel:
        return  # the one that was cancelled does end
    if ending and scene.wants_to_stay:
        return  # what is to be cancelled is the cancellation
    subscription = renewing[0]
    several = ending or len({s.id for s in renewing}) > 1
    gap = portal_gap(scene, "cancel")
    never = claimed and not (scene.wants_cancel and not scene.speaks("TXT_CLAIMS_CANCELLED"))
    asked = scene.wants_cancel or scene.speaks("TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL")
    regret = (scene.speaks(*_SURPRISE) or _wants_renewal_back(scene)) and not scene.speaks("TXT_CANNOT_CANCEL")
    name = "schedule_managed" if subscription.schedule else "cancel_claimed" if never else "cancel_wanted"
    says = {
        "schedule_managed": "A cancellation is asked for, and a schedule with later phases holds the subscription.",
        "cancel_claimed": "The customer says it was cancelled; Stripe shows no cancellation and a renewal ahead.",
        "cancel_wanted": "A cancellation is asked for and the subscription renews.",
    }[name]
    yield _situation(
        "cancel_which" if several else name,
        "Which one to cancel?" if several else "Cancelled, says the customer" if never else "Wants to cancel",
        says,
        strength=3.0,
        affinity=0.5 if regret or _beside_payment(scene) or _one_of_two_payments(scene) or not asked else 2.0,
        objects=tuple(s.id for s in renewing),
        subscription=subscription.id,
        extra=() if several else (subscription.id,),
        tie=several,
        customer=subscription.customer,
        gap=gap,
        would_change="A cancellation before the charge in Stripe's records would make the charge ours to give back."
        if never
        else None,
    )


def _wants_renewal_back(scene: Scene) -> bool:
    """Money is wanted for a payment that came by itself: that it came is the point, stopping the next is routine."""
    return scene.wants_refund and bool(scene.found("annual_renewal", "trial_converted"))


def _one_of_two_payments(scene: Scene) -> bool:
    """ "Cancel one of them" is said of two lines on a bank statement."""
    return scene.speaks(*DUPLICATE_WORDS) and bool(scene.found("pending_authorization", "duplicate_charge"))


def _beside_payment(scene: Scene) -> bool:
    """The words speak of paying as well, and a payment is in fact behind."""
    told = scene.speaks("TXT_DECLINED", "TXT_PAST_DUE", "TXT_CARD_UPDATED") or scene.wants(Wish.PAY, Wish.UPDATE_CARD)
    return told and bool(scene.found("past_due"))


def _already_ended(scene: Scene) -> Iterator[Situation]:
    ended = [s for s in scene.named_subscriptions("already_canceled") if not s.live]
    if not ended and not scene.live and scene.wants_cancel:
        ended = [s for s in scene.subscriptions.values() if s.status == "canceled"]
    if ended and not scene.live:
        subscription = ended[0]
        end = day(subscription.ended_at or subscription.canceled_at, scene.snapshot.taken_at)
        yield _situation(
            "already_canceled",
            "Ended already",
            f"The subscription ended on {end}; nothing renews.",
            strength=3.0,
            affinity=1.0 if scene.wants_cancel else 0.0,
            objects=(subscription.id,),
            subscription=subscription.id,
            customer=subscription.customer,
        )


def _open_after_end(scene: Scene) -> Iterator[Situation]:
    names = [name for name in scene.objects("open_invoice_after_cancellation") if name in scene.invoices]
    nonpayment = scene.found("canceled_for_nonpayment")
    if names and not nonpayment:
        invoice = scene.invoices[names[0]]
        yield _situation(
            "open_invoice_after_end",
            "Old invoice can still be paid",
            "The subscription has ended, and an invoice from before can still be paid by mistake.",
            strength=4.0,
            affinity=2.0 if scene.speaks("TXT_PAST_DUE", "TXT_CLAIMS_CANCELLED", "TXT_CHARGED_AFTER_CANCEL") else 1.0,
            overrules=(Bucket.FAILED_PAYMENT,),
            objects=(invoice.id,),
            invoice=invoice.id,
            subscription=invoice.subscription,
            customer=invoice.customer,
        )


def _collection_paused(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("collection_paused")[:1]:
        yield _situation(
            "collection_paused",
            "Billing is on pause",
            "The subscription is active, and collecting money for it is paused.",
            strength=3.0,
            affinity=0.0 if scene.wants_cancel else 1.0,
            overrules=(Bucket.DUPLICATE_SUBSCRIPTION, Bucket.FAILED_PAYMENT, Bucket.OTHER_BILLING),
            objects=(subscription.id,),
            subscription=subscription.id,
            customer=subscription.customer,
        )


def _documents(scene: Scene) -> Iterator[Situation]:
    """Invoices, receipts, tax numbers on them."""
    tax = scene.wants(Wish.TAX_ID) or scene.speaks("TXT_VAT")
    if not (tax or scene.wants(Wish.INVOICE) or scene.speaks("TXT_INVOICE")):
        return
    invoice = _asked_invoice(scene)
    charge = (
        None if invoice else next((c for c in scene.charges.values() if c.status == "succeeded" and c.captured), None)
    )
    if invoice is None and charge is None:
        return
    first = bool(scene.evidence.wishes) and scene.evidence.wishes[0] in {Wish.INVOICE, Wish.TAX_ID}
    told = not scene.evidence.wishes and not scene.speaks(*TEAM_WORDS, *_NOT_A_COPY)
    told = told and not scene.found("past_due", "unpaid_after_retries")  # the invoice spoken of is the unpaid one
    yield _situation(
        "tax_details_wanted" if tax else "invoice_wanted",
        "Tax details on invoices" if tax else "Wants an invoice",
        "Company or tax details are asked for on invoices." if tax else "A copy of an invoice or receipt is asked for.",
        strength=3.0,
        affinity=2.0 if first else 1.0 if told else -1.0,
        objects=(invoice.id if invoice else charge.id if charge else "",),
        invoice=invoice.id if invoice else None,
        charges=(charge.id,) if charge else (),
        customer=scene.customer_of(invoice.id if invoice else charge.id if charge else None),
        gap=portal_gap(scene, "tax_id_update" if tax else "invoice_history"),
    )


def _asked_invoice(scene: Scene) -> Invoice | None:
    """The own invoice that the text names by number or id, else the newest paid one, else the newest finalised one."""
    named = {
        i.value.casefold()
        for i in scene.evidence.identifiers
        if i.kind in {IdentifierKind.INVOICE_NUMBER, IdentifierKind.STRIPE_ID}
    }
    final = [i for i in scene.invoices.values() if i.status not in {"draft", "void"}]
    asked = [i for i in final if i.id.casefold() in named or (i.number or "").casefold() in named]
    paid = [i for i in final if i.status == "paid" and i.total > 0]
    return next(iter(asked or paid or final), None)


def _settings(scene: Scene) -> Iterator[Situation]:
    """Card, address, plan size: the portal's own work. Needs a customer, not a particular state."""
    if scene.focus is None:
        return
    if scene.wants(Wish.UPDATE_CARD) or scene.speaks("TXT_CARD_UPDATE"):
        yield _situation(
            "card_change_wanted",
            "Wants to change the card",
            "Another card should be used from now on.",
            affinity=1.5,
            customer=scene.focus,
            gap=portal_gap(scene),
            subscription=scene.live[0].id if scene.live else None,
        )
    if (scene.wants(Wish.CHANGE_PLAN) or scene.speaks("TXT_DOWNGRADE")) and len(scene.live) == 1:
        yield _situation(
            "plan_change_wanted",
            "Wants another plan",
            "Another plan is asked for; the customer can choose it alone.",
            strength=2.5,
            affinity=-1.0 if scene.speaks(*TEAM_WORDS) else 1.5,
            customer=scene.live[0].customer,
            subscription=scene.live[0].id,
            objects=(scene.live[0].id,),
            gap=portal_gap(scene),
        )
    if scene.speaks("TXT_PORTAL", "TXT_ACCOUNT_EMAIL"):
        yield _situation(
            "settings_wanted",
            "Looks for billing settings",
            "The customer looks for the billing settings.",
            strength=2.5,
            affinity=1.0,
            customer=scene.focus,
            gap=portal_gap(scene),
        )
