"""May this charge be given back, how much of it, and by which step? Arithmetic over the charge, never a guess.

Refund, credit note, balance credit and proration compensate the same money: one of them, never two.
"""

from __future__ import annotations

from datetime import timedelta

from billing.money import Money
from billing.proposals.draft import Draft, Words
from billing.records import Charge, Invoice
from billing.situations.wording import day
from billing.steps import (
    CreateCreditNote,
    PayInvoice,
    RefundCharge,
    ReverseBalanceCredit,
    Step,
)

_FINAL_DISPUTES = frozenset({"needs_response", "under_review", "lost", "prevented"})
_INQUIRY = frozenset({"warning_needs_response", "warning_under_review"})


def refund(
    draft: Draft, name: str, amount: int, *, reason: str = "requested_by_customer", window: bool = True,
    after: Step | None = None,
) -> bool:  # fmt: skip
    """Offer to give back `amount` of a charge, at most what is left of it; or block it with the reason."""
    charge = draft.scene.charges.get(name)
    if charge is None:
        return False
    why = _why_not(draft, charge, window)
    left = 0 if why else min(amount, charge.refundable - (0 if after else _credited(draft, charge)))
    if why or left <= 0:
        draft.block("refund_charge", name, why or "nothing_refundable")
        return False
    money = Money(left, charge.currency)
    when = day(charge.created, draft.now)
    part = "" if left == charge.amount_captured else f" of {Money(charge.amount_captured, charge.currency).plain()}"
    words = Words(
        title=f"Refund the {when} charge",
        running=f"Refunding the {when} charge",
        done=f"{when} charge refunded",
        says=f"Refunds {money.plain()}{part} from {when} to {_method(charge)}; it takes 5 to 10 business days.",
        detail=_detail(draft, charge),
    )
    about = (charge.invoice, *_parties(draft))
    return draft.add(RefundCharge(charge=name, amount=money, reason=reason), words, about, after=after)


def _parties(draft: Draft) -> tuple[str | None, ...]:
    line = draft.line
    return (line.subscription, *line.keep, *line.extra) if line else ()


def _why_not(draft: Draft, charge: Charge, window: bool) -> str | None:
    """The code of `plan.blocked`, the gravest first."""
    scene = draft.scene
    dispute = scene.disputes.get(charge.id)
    owner = scene.customers.get(charge.customer or "")
    if scene.unknown(charge.id, charge.invoice):
        return "unknown_value"
    if charge.connected or (charge.invoice in scene.invoices and scene.invoices[charge.invoice or ""].connected):
        return "connected_account"
    if dispute is not None and dispute.status in _FINAL_DISPUTES:
        return "disputed"
    if dispute is not None and dispute.status in _INQUIRY and not dispute.is_charge_refundable:
        return "disputed"
    if charge.disputed and dispute is None:
        return "disputed"  # Stripe says so, and how it stands could not be read
    if charge.status == "pending":
        return "payment_processing"
    if charge.refundable <= 0:
        return (
            "already_refunded"
            if charge.refunded or charge.amount_refunded > 0 or charge.refunds
            else "nothing_refundable"
        )
    if owner is not None and (owner.customer_account is not None or owner.deleted):
        return "not_permitted"
    subscription = scene.subscription_behind(charge.id)
    if subscription is not None and (subscription.connected or subscription.managed_payments):
        return "connected_account" if subscription.connected else "not_permitted"
    if scene.snapshot.lacks("charges") and not _cut_off(draft):
        return "not_permitted"
    return "outside_policy" if window and _too_old(draft, charge) else None


def _cut_off(draft: Draft) -> bool:
    """Older charges were not read; the ones that were are complete."""
    return all(m.why == "cut_off" for m in draft.scene.snapshot.missing if m.part == "charges")


def _too_old(draft: Draft, charge: Charge) -> bool:
    subscription = draft.scene.subscription_behind(charge.id)
    price = draft.scene.price_of(subscription.id) if subscription else None
    kind = "one_time" if price is None or price.interval is None else "year" if price.interval == "year" else "month"
    days = draft.scene.policy.refunds.window_days.get(kind, 0)
    return draft.now - charge.created > timedelta(days=days)


def _credited(draft: Draft, charge: Charge) -> int:
    """What of the charge was made good already without a refund: credit notes, or credit on the customer's balance."""
    invoice = draft.scene.invoices.get(charge.invoice or "")
    noted = max(0, invoice.post_payment_credit_notes_amount - charge.amount_refunded) if invoice else 0
    granted = 0
    for entry in draft.scene.snapshot.balance_transactions:
        same = entry.customer == charge.customer and entry.currency == charge.currency
        meant = entry.type in {"adjustment", "credit_note"} and (
            entry.invoice == charge.invoice is not None or -entry.amount == charge.amount_captured
        )
        if same and meant and entry.amount < 0 and entry.created >= charge.created:
            granted += -entry.amount
    return max(noted, granted)


def _method(charge: Charge) -> str:
    if charge.brand and charge.last4:
        return f"{charge.brand.title()} ending {charge.last4}"
    return "the way it was paid"


def _detail(draft: Draft, charge: Charge) -> str:
    invoice = draft.scene.invoices.get(charge.invoice or "")
    notes = []
    if invoice is not None and invoice.tax:
        notes.append("The invoice carries tax: the refund leaves its totals as they are.")
    if draft.now - charge.created > timedelta(days=180):
        notes.append("The charge is older than 180 days; the bank may take longer.")
    if charge.presentment_currency and charge.presentment_amount:
        shown = Money(charge.presentment_amount, charge.presentment_currency).plain()
        notes.append(f"The customer saw {shown}.")
    return " ".join(notes)


def reverse_and_refund(draft: Draft, name: str, amount: int, customer: str) -> bool:
    """Give an overpayment back that stands as credit: first the credit goes, then the money, or neither."""
    charge = draft.scene.charges[name]
    money = Money(amount, charge.currency)
    why = _why_not(draft, charge, window=True)
    if why or charge.refundable < amount:
        draft.block("refund_charge", name, why or "nothing_refundable")
        return False
    reverse = ReverseBalanceCredit(customer=customer, amount=money)
    words = Words(
        title="Take the credit back",
        running="Taking the credit back",
        done="Credit taken back",
        says=f"Removes {money.plain()} of credit from the customer's balance, so that it is not given twice.",
        detail="Needed before the refund of the same money.",
    )
    if not draft.add(reverse, words, (name, charge.invoice)):
        return False
    return refund(draft, name, amount, reason="duplicate", after=reverse)


def credit_note(draft: Draft, invoice: Invoice, amount: int) -> bool:
    """Correct a paid invoice and give the excess back with it."""
    paid = draft.scene.charges_for(invoice.id)
    why = next((why for charge in paid if (why := _why_not(draft, charge, window=True))), None)
    if why or not paid or sum(charge.refundable for charge in paid) < amount:
        draft.block("create_credit_note", invoice.id, why or "nothing_refundable")
        return False
    money = Money(amount, invoice.currency)
    number = invoice.number or invoice.id
    words = Words(
        title=f"Credit {money.plain()} on {number}",
        running=f"Crediting {number}",
        done=f"{number} credited",
        says=f"Corrects invoice {number} by {money.plain()} and refunds that amount.",
    )
    step = CreateCreditNote(invoice=invoice.id, amount=money, settle="refund", reason="order_change")
    return draft.add(step, words, (*(charge.id for charge in paid), invoice.subscription))


def pay(draft: Draft, invoice: Invoice, method: str | None) -> bool:
    """Collect an open invoice once, with a card that is newer than the last failure."""
    subscription = draft.scene.subscriptions.get(invoice.subscription or "")
    if subscription is not None and draft.ruled_out("pay_invoice", subscription):
        return False
    if invoice.connected:
        draft.block("pay_invoice", invoice.id, "connected_account")
        return False
    money = Money(invoice.amount_remaining, invoice.currency)
    number = invoice.number or invoice.id
    words = Words(
        title=f"Collect {money.plain()} once",
        running=f"Collecting {number}",
        done=f"{number} paid",
        says=f"Charges {money.plain()} for invoice {number} once to the new card.",
    )
    step = PayInvoice(invoice=invoice.id, amount=money, payment_method=method)
    return draft.add(step, words, (invoice.subscription, method))
