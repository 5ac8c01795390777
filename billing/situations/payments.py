"""Does a payment not come through, or not yet?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from billing.evidence import Bucket, Wish
from billing.records import Invoice, Subscription
from billing.situations.scene import Scene
from billing.situations.situation import Situation, situations_of
from billing.situations.wording import day, plain

_payment_situation = situations_of(Bucket.FAILED_PAYMENT, 4.0)

PAYMENT_WORDS = (
    "TXT_DECLINED", "TXT_CHECKOUT_ERROR", "TXT_AUTHENTICATION", "TXT_PAST_DUE", "TXT_PENDING", "TXT_CARD_UPDATED",
    "TXT_CARD_UPDATE",
)  # fmt: skip

# what an open invoice is stuck on, the most telling first; the first that is found names the situation
_STUCK = (
    ("authentication_required", "bank_confirmation_needed", "The bank asks to confirm"),
    ("card_newer_than_failure", "card_replaced", "New card, invoice still open"),
    ("card_expired", "card_expired", "Card expired, invoice unpaid"),
    ("hard_decline", "hard_decline", "Card refused, invoice unpaid"),
    ("payment_blocked", "payment_blocked", "Payment stopped, invoice unpaid"),
    ("soft_decline", "soft_decline", "Card declined, will be retried"),
    ("past_due", "past_due", "Invoice unpaid"),
)
_SAYS = {
    "bank_confirmation_needed": "The payment waits for the cardholder to confirm it with the bank.",
    "card_replaced": "A new card was saved after the last failed attempt; the invoice was not tried again since.",
    "card_expired": "The card on file has expired, so the invoice stays unpaid.",
    "hard_decline": "The bank refused the card for good; only another card can pay.",
    "payment_blocked": "The payment was stopped before it reached the bank; another way to pay is needed.",
    "soft_decline": "The bank declined this time; the payment may go through on the next attempt.",
    "past_due": "The last payment failed and the invoice is still open.",
}
_GAPS = {"card_expired": "no_card_expiry_notice", "card_replaced": "no_payment_recovery"}
_CODES = tuple(code for code, _, _ in _STUCK)


def recognise(scene: Scene) -> Iterator[Situation]:
    yield from _stuck(scene)
    yield from _lapsed(scene)
    yield from _paused(scene)
    yield from _first_payment(scene)
    yield from _processing(scene)
    yield from _expired(scene)
    yield from _checkout(scene)
    yield from _overdue(scene)
    yield from _recovered(scene)


def _affinity(scene: Scene, *more: str) -> float:
    """Wanting to stop outweighs the failed payment, unless paying is wanted as well (codebook, section 2.3)."""
    pays = scene.wants(Wish.PAY, Wish.UPDATE_CARD, Wish.RESTORE_ACCESS) or scene.speaks("TXT_CARD_UPDATED")
    if scene.wants_cancel and not scene.wants_to_stay and not pays:
        return -2.5
    return 1.5 if pays or scene.speaks(*PAYMENT_WORDS, *more) else 0.0


def _situation(scene: Scene, name: str, headline: str, says: str, **fields: Any) -> Situation:
    affinity = _affinity(scene)
    overrules = (Bucket.PRODUCT_FAILURE, Bucket.SELF_SERVE_GAP) if affinity > 0 else (Bucket.PRODUCT_FAILURE,)
    return _payment_situation(name, headline, says, **({"affinity": affinity, "overrules": overrules} | fields))


def _stuck(scene: Scene) -> Iterator[Situation]:
    """An open invoice of a subscription that is behind with paying."""
    for code, name, headline in _STUCK:
        found = [(i, s) for i, s in _unpaid(scene, code) if s is None or s.status in {"past_due", "active", "trialing"}]
        if found:
            invoice, subscription = found[0]
            yield _situation(
                scene,
                name,
                headline,
                _SAYS[name],
                objects=_ids(subscription, invoice),
                gap=_GAPS.get(name),
                subscription=subscription.id if subscription else None,
                invoice=invoice.id,
                customer=invoice.customer,
                would_change="A cancellation request would make stopping the subscription the first thing.",
            )
            return


def _unpaid(scene: Scene, code: str) -> Iterator[tuple[Invoice, Subscription | None]]:
    """The open, automatically charged invoices that an anomaly leads to, newest first, each with its subscription."""
    names = scene.objects(code)
    customers = {m.customer for m in scene.snapshot.payment_methods if m.id in names}
    behind = {s.id for s in scene.named_subscriptions(code)}
    for invoice in scene.invoices.values():
        if invoice.status != "open" or invoice.amount_remaining <= 0 or invoice.collection_method == "send_invoice":
            continue
        charged = {c.id for c in scene.charges.values() if c.invoice == invoice.id}
        touched = invoice.id in names or invoice.subscription in behind or charged & set(names)
        if touched or invoice.customer in customers:
            subscription = scene.subscriptions.get(invoice.subscription or "")
            if subscription is None or subscription.live:
                yield invoice, subscription


def _ids(*records: Subscription | Invoice | None) -> tuple[str, ...]:
    return tuple(record.id for record in records if record is not None)


def _lapsed(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("unpaid_after_retries")[:1]:
        invoice = _latest_unpaid(scene, subscription.id)
        newer = bool(scene.found("card_newer_than_failure"))
        yield _situation(
            scene,
            "unpaid_card_replaced" if newer else "unpaid_after_retries",
            "Unpaid after all retries",
            "All attempts to collect failed and the subscription stands unpaid; only the latest invoice needs paying.",
            objects=_ids(subscription, invoice),
            subscription=subscription.id,
            gap="no_payment_recovery",
            invoice=invoice.id if invoice else None,
            customer=subscription.customer,
        )
    for subscription in scene.named_subscriptions("canceled_for_nonpayment")[:1]:
        if any(s.customer == subscription.customer and s.live for s in scene.live):
            continue
        invoice = _latest_unpaid(scene, subscription.id)
        yield _situation(
            scene,
            "canceled_for_nonpayment",
            "Ended after failed payments",
            "The subscription ended because payments failed; it cannot be brought back, a new checkout can.",
            strength=5.0,
            affinity=max(1.0, _affinity(scene)),
            overrules=(Bucket.SELF_SERVE_GAP, Bucket.PRODUCT_FAILURE),
            objects=_ids(subscription, invoice),
            subscription=subscription.id,
            invoice=invoice.id if invoice else None,
            customer=subscription.customer,
            gap="no_payment_recovery",
        )


def _latest_unpaid(scene: Scene, subscription: str) -> Invoice | None:
    return next((i for i in scene.invoices_of(subscription) if i.status == "open" and i.amount_remaining > 0), None)


def _paused(scene: Scene) -> Iterator[Situation]:
    for code in ("paused_for_nonpayment", "paused_trial_end"):
        for subscription in scene.named_subscriptions(code)[:1]:
            invoice = _latest_unpaid(scene, subscription.id)
            trial = code == "paused_trial_end"
            yield _situation(
                scene,
                code,
                "Paused: no card after the trial" if trial else "Paused after a failed payment",
                "The trial ended without a way to pay, so the subscription is paused."
                if trial
                else "A payment failed and the subscription is paused until it is paid.",
                overrules=(Bucket.PRODUCT_FAILURE, Bucket.OTHER_BILLING),
                objects=_ids(subscription, invoice),
                subscription=subscription.id,
                customer=subscription.customer,
                invoice=invoice.id if invoice else None,
                gap="no_trial_end_notice" if trial else "no_payment_recovery",
            )


def _first_payment(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("first_payment_incomplete")[:1]:
        beside = any(scene.same_family(subscription, s) and scene.charges_of(s.id) for s in scene.live)
        if subscription.status != "incomplete" or beside:
            continue
        invoice = _latest_unpaid(scene, subscription.id)
        authenticate = bool(scene.found("authentication_required"))
        yield _situation(
            scene,
            "bank_confirmation_needed" if authenticate else "first_payment_incomplete",
            "First payment not finished",
            f"The first payment for {scene.product(subscription.id)} was started and not completed; nothing was taken.",
            objects=_ids(subscription, invoice),
            subscription=subscription.id,
            customer=subscription.customer,
            invoice=invoice.id if invoice else None,
        )


def _processing(scene: Scene) -> Iterator[Situation]:
    for name in scene.objects("payment_processing"):
        charge = scene.charges.get(name)
        intent = next((p for p in scene.snapshot.payment_intents if p.id == name), None)
        if charge is None and (intent is None or intent.customer not in scene.customers):
            continue
        yield _situation(
            scene,
            "payment_processing",
            "Payment still on its way",
            "The payment was accepted and is still being processed by the bank.",
            strength=4.5,
            affinity=max(0.0, _affinity(scene, "TXT_PAID")),
            objects=(name,),
            charges=(name,) if charge else (),
            invoice=charge.invoice if charge else None,
            customer=scene.customer_of(name),
        )
        return


def _expired(scene: Scene) -> Iterator[Situation]:
    for subscription in scene.named_subscriptions("incomplete_expired")[:1]:
        if not scene.live:
            yield _situation(
                scene,
                "incomplete_expired",
                "Checkout lapsed, nothing owed",
                "The first payment was never completed and the attempt has lapsed; nothing was charged or is owed.",
                strength=3.5,
                objects=(subscription.id,),
                subscription=subscription.id,
                customer=subscription.customer,
            )


def _checkout(scene: Scene) -> Iterator[Situation]:
    names = scene.objects("checkout_abandoned")
    own = [s for s in scene.snapshot.checkout_sessions if s.id in names and _own_session(scene, s.customer)]
    if own and not scene.live:
        session = max(own, key=lambda s: (s.created, s.id))
        yield _situation(
            scene,
            "checkout_abandoned",
            "Checkout was not finished",
            "A checkout was started and never paid; nothing was charged.",
            strength=3.0,
            objects=(session.id,),
            session=session.id,
            customer=session.customer,
        )


def _own_session(scene: Scene, customer: str | None) -> bool:
    return customer is None or customer in scene.customers


def _overdue(scene: Scene) -> Iterator[Situation]:
    """Invoices to be paid by transfer: sent again, never collected."""
    names = [name for name in scene.objects("invoice_overdue") if name in scene.invoices]
    if names:
        invoice = scene.invoices[names[0]]
        due = day(invoice.due_date, scene.snapshot.taken_at)
        asked = scene.wants(Wish.INVOICE) or scene.speaks("TXT_INVOICE")  # the invoice asked for is the one that is due
        yield _situation(
            scene,
            "invoice_overdue",
            "Invoice overdue",
            f"{plain(invoice.amount_remaining, invoice.currency)} was due on {due} and is paid by transfer or link.",
            objects=(invoice.id,),
            invoice=invoice.id,
            subscription=invoice.subscription,
            customer=invoice.customer,
            affinity=max(2.5 if asked else 0.0, _affinity(scene)),
            overrules=(Bucket.PRODUCT_FAILURE, Bucket.SELF_SERVE_GAP),
        )


def _recovered(scene: Scene) -> Iterator[Situation]:
    names = [name for name in scene.objects("recovered_on_retry") if name in scene.invoices]
    if names:
        invoice = scene.invoices[names[0]]
        yield _situation(
            scene,
            "recovered_on_retry",
            "Failed once, then paid",
            f"An attempt failed and a later one paid {plain(invoice.amount_paid, invoice.currency)}; it was paid once.",
            strength=2.0,
            overrules=(),
            objects=(invoice.id,),
            invoice=invoice.id,
            subscription=invoice.subscription,
            customer=invoice.customer,
            affinity=_affinity(scene, "TXT_DUP_TWICE") * 1.5,
        )
