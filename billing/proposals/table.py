"""Which steps does each situation call for? One function for each line of the table, and the lines they serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from billing.evidence import Wish
from billing.proposals import money, steps
from billing.proposals.draft import Draft
from billing.records import PaymentMethod
from billing.situations.duplicates import DUPLICATE_WORDS
from billing.situations.situation import Situation
from billing.situations.wording import day

Line = Callable[[Draft, Situation], None]
_OTHER_WISHES = (
    Wish.CHANGE_SEATS, Wish.CHANGE_PLAN, Wish.PAY, Wish.UPDATE_CARD, Wish.INVOICE, Wish.TAX_ID, Wish.RESTORE_ACCESS,
    Wish.KEEP,
)  # fmt: skip
_OTHER_WORDS = ("TXT_CANCEL_CONFIRM_QUESTION", "TXT_DECLINED", "TXT_CHECKOUT_ERROR", "TXT_NO_ACCESS", "TXT_LOGIN")


def _duplicate(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer)
    if line.tie:
        steps.ask(draft, "which_plan", line.subscription)
        return
    leaves = draft.scene.wants_cancel and not draft.scene.speaks(*DUPLICATE_WORDS)
    if line.name == "monthly_and_annual" or leaves:
        steps.ask(draft, "which_plan", line.subscription)
    for name in line.extra:
        steps.stop(draft, name)
    if draft.corrected or not _asks_for_something_else(draft):
        _refund(draft, line, "duplicate")


def _asks_for_something_else(draft: Draft) -> bool:
    """The duplicate came up beside a request that is about no money taken: its refund is not sprung on them."""
    scene = draft.scene
    about_money = scene.wants_refund or scene.speaks(
        *DUPLICATE_WORDS, "TXT_CHARGED", "TXT_EXPLAIN", "TXT_UNKNOWN_CHARGE", "TXT_REFUND_STATUS"
    )
    return not about_money and (scene.wants(*_OTHER_WISHES) or scene.speaks(*_OTHER_WORDS))


def _refund(draft: Draft, line: Situation, reason: str = "requested_by_customer", *, window: bool = True) -> None:
    """Nothing is given back to who says that no money is needed."""
    for charge, amount in line.owed if not draft.scene.speaks("TXT_NO_REFUND") else ():
        money.refund(draft, charge, amount, reason=reason, window=window)


def _goodwill(draft: Draft, charge: str | None) -> None:
    """Money back is asked for and nothing in Stripe calls for it."""
    if draft.scene.wants_refund:
        says = "A person decides on money back out of goodwill."
        steps.hand_over(draft, "refund_by_goodwill", charge, says)


def _overpaid(draft: Draft, line: Situation) -> None:
    """The excess stands as credit: either the credit stays, or it goes and the money comes back."""
    invoice = draft.scene.invoices[line.invoice or ""]
    owner = draft.scene.customers.get(invoice.customer)
    steps.portal(draft, invoice.customer)
    for charge, amount in line.owed:
        credit = -min(0, owner.balance) if owner else 0
        if credit >= amount:
            money.reverse_and_refund(draft, charge, amount, invoice.customer)
        elif invoice.amount_overpaid:
            draft.block("refund_charge", charge, "nothing_refundable")
        else:
            money.refund(draft, charge, amount, reason="duplicate")
    steps.explain(draft, "credit_balance", invoice.id, line.says)


def _paid_twice(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer)
    _refund(draft, line, "duplicate")


def _explained(draft: Draft, line: Situation) -> None:
    """Nothing is wrong with the money: say what happened."""
    about = line.invoice or line.subscription or next(iter(line.charges or line.objects), None)
    steps.explain(draft, line.name, about, line.says)


def _hold(draft: Draft, line: Situation) -> None:
    for charge in line.charges:
        draft.block("refund_charge", charge, "nothing_refundable")
    steps.explain(draft, "hold", next(iter(line.charges or line.objects), None), line.says)


def _twin(draft: Draft, line: Situation) -> None:
    twin = draft.scene.subscriptions[line.subscription or ""]
    lapses = twin.created + timedelta(hours=23)
    steps.explain(draft, "hold", twin.id, line.says)
    says = f"The unpaid second checkout lapses by itself on {day(lapses, draft.now)}."
    steps.wait(draft, "incomplete_lapses", twin.id, lapses, says)


def _seats(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "seats", line.subscription, line.says)


def _seat_change(draft: Draft, line: Situation) -> None:
    """The number is the customer's to choose: in the portal, or in an answer."""
    portal = draft.scene.snapshot.portal
    if portal is not None and portal.subscription_update:
        steps.portal(draft, line.customer, "subscription_update", line.subscription)
    else:
        steps.ask(draft, "how_many_seats", line.subscription)
    steps.explain(draft, "seats", line.subscription, line.says)


def _coupon_seat(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "coupon", line.invoice, line.says)
    for name, amount in line.owed:
        money.credit_note(draft, draft.scene.invoices[name], amount)


def _new_card(draft: Draft, line: Situation) -> None:
    """Another card is needed; the old one is not tried again."""
    steps.portal(draft, line.customer, "payment_method_update")
    steps.invoice_link(draft, draft.scene.invoices.get(line.invoice or ""))
    if draft.scene.wants_cancel and not draft.scene.wants_to_stay and line.subscription:
        steps.stop(draft, line.subscription)


def _soft_decline(draft: Draft, line: Situation) -> None:
    _new_card(draft, line)
    invoice = draft.scene.invoices.get(line.invoice or "")
    if invoice is not None and invoice.next_payment_attempt is not None:
        when = invoice.next_payment_attempt
        says = f"Stripe tries again on {day(when, draft.now)}; nothing has to be done until then."
        steps.wait(draft, "next_payment_attempt", invoice.id, when, says)


def _card_replaced(draft: Draft, line: Situation) -> None:
    """Once, with the newer card. The newest method is the one the customer put in."""
    invoice = draft.scene.invoices.get(line.invoice or "")
    method = _newest_method(draft, line)
    if invoice is None or method is None or not money.pay(draft, invoice, method.id):
        _new_card(draft, line)


def _newest_method(draft: Draft, line: Situation) -> PaymentMethod | None:
    """The default method when it is known, else the newest."""
    methods = draft.scene.methods(line.customer or "")
    owner = draft.scene.customers.get(line.customer or "")
    subscription = draft.scene.subscriptions.get(line.subscription or "")
    preferred = (subscription and subscription.default_payment_method) or (owner and owner.default_payment_method)
    return next((m for m in methods if m.id == preferred), next(iter(methods), None))


def _confirm(draft: Draft, line: Situation) -> None:
    steps.invoice_link(draft, draft.scene.invoices.get(line.invoice or ""))


def _first_payment(draft: Draft, line: Situation) -> None:
    invoice = draft.scene.invoices.get(line.invoice or "")
    if not steps.invoice_link(draft, invoice):
        price = draft.scene.price_of(line.subscription or "")
        steps.checkout(draft, price.id if price else None)


def _paused(draft: Draft, line: Situation) -> None:
    """A card first, then the invoice, then the subscription; never blindly."""
    newer = bool(draft.scene.found("card_newer_than_failure"))
    trial = line.name == "paused_trial_end"
    method = _newest_method(draft, line)
    invoice = draft.scene.invoices.get(line.invoice or "")
    steps.portal(draft, line.customer, "payment_method_update")
    if method is None or not (trial or newer):
        steps.invoice_link(draft, invoice)
    elif trial or invoice is None or money.pay(draft, invoice, method.id):
        steps.resume(draft, line.subscription or "")


def _ended_unpaid(draft: Draft, line: Situation) -> None:
    price = draft.scene.price_of(line.subscription or "")
    steps.explain(draft, line.name, line.subscription, line.says)
    steps.checkout(draft, price.id if price else None)


def _lapsed_checkout(draft: Draft, line: Situation) -> None:
    price = draft.scene.price_of(line.subscription or "")
    steps.explain(draft, "nothing_owed", line.subscription, line.says)
    steps.checkout(draft, price.id if price else None)


def _abandoned(draft: Draft, line: Situation) -> None:
    session = next((s for s in draft.scene.snapshot.checkout_sessions if s.id == line.session), None)
    usable = session is not None and (session.status == "open" or session.recoverable)
    steps.explain(draft, "nothing_owed", line.session, line.says)
    steps.checkout(draft, line.session if usable else None)


def _processing(draft: Draft, line: Situation) -> None:
    if draft.scene.wants_refund and line.charges:
        draft.block("refund_charge", line.charges[0], "payment_processing")
    name = line.objects[0]
    charge = draft.scene.charges.get(name)
    until = charge.created + timedelta(days=7) if charge else None
    by = f"by {day(until, draft.now)}" if until else "within a week"
    steps.wait(draft, "payment_processing", name, until, f"The bank usually answers {by}; it is not charged again.")


def _overdue(draft: Draft, line: Situation) -> None:
    invoice = draft.scene.invoices[line.invoice or ""]
    steps.invoice_link(draft, invoice)
    steps.resend(draft, invoice)


def _ending(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "scheduled_end", line.subscription, line.says)
    _goodwill(draft, line.subscription)


def _stays(draft: Draft, line: Situation) -> None:
    steps.stay(draft, line.subscription or "")


def _cancel(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer, "subscription_cancel" if line.extra else None, next(iter(line.extra), None))
    if line.tie:
        steps.ask(draft, "which_plan")
    if line.name == "schedule_managed":
        steps.explain(draft, "schedule", line.subscription, line.says)
    if line.name == "cancel_claimed":
        steps.explain(draft, "not_cancelled", line.subscription, line.says)
    for name in line.extra:
        steps.stop(draft, name)
    _goodwill(draft, line.subscription)


def _account_deleted(draft: Draft, line: Situation) -> None:
    """The login is gone with the account, so the portal alone would not help."""
    if line.tie:
        steps.ask(draft, "which_plan")
    for name in line.extra:
        steps.stop(draft, name)
    _refund(draft, line)


def _charged_after_end(draft: Draft, line: Situation) -> None:
    steps.stop(draft, line.subscription or "")
    _refund(draft, line)


def _void(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "nothing_owed", line.invoice, line.says)
    steps.void(draft, draft.scene.invoices[line.invoice or ""])


def _collection_paused(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "collection_paused", line.subscription, line.says)
    steps.resume_collection(draft, line.subscription or "")


def _documents(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer)
    steps.document(draft, line.invoice or line.charges[0])


def _card_change(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer, "payment_method_update")


def _plan_change(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer, "subscription_update", line.subscription)


def _settings(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer)


def _renewal(draft: Draft, line: Situation) -> None:
    """Yearly renewal or converted trial: stop the next one, give back that one charge where policy allows."""
    steps.portal(draft, line.customer)
    if not line.extra and not line.owed:
        steps.explain(draft, line.name, line.invoice or line.subscription, line.says)
    for name in line.extra:
        steps.stop(draft, name)
    _refund(draft, line)


def _after_trial(draft: Draft, line: Situation) -> None:
    steps.explain(draft, "trial_times", line.subscription, line.says)
    _refund(draft, line)


def _regret(draft: Draft, line: Situation) -> None:
    steps.portal(draft, line.customer)
    for name in line.extra:
        steps.stop(draft, name)
    if draft.scene.speaks("TXT_FRAUD_UNAUTHORISED") and not draft.scene.wants_refund:
        steps.hand_over(draft, "unknown_charge", line.charges[0], "A person looks into a charge nobody ordered.")
    _goodwill(draft, line.charges[0])


def _dispute(draft: Draft, line: Situation) -> None:
    dispute = draft.scene.disputes[line.charges[0]]
    draft.block("refund_charge", line.charges[0], "disputed")
    due = f" by {day(dispute.due_by, draft.now)}" if dispute.due_by else ""
    steps.explain(draft, "dispute", line.dispute, line.says)
    steps.hand_over(draft, "dispute", line.dispute, f"Whoever answers disputes has to reply to the bank{due}.")
    steps.stop(draft, line.subscription or "")


def _inquiry(draft: Draft, line: Situation) -> None:
    dispute = draft.scene.disputes[line.charges[0]]
    due = f" by {day(dispute.due_by, draft.now)}" if dispute.due_by else ""
    steps.hand_over(draft, "inquiry", line.dispute, f"Whoever answers disputes has to reply to the bank{due}.")
    _refund(draft, line, window=False)


def _warned(draft: Draft, line: Situation) -> None:
    steps.stop(draft, line.subscription or "")
    _refund(draft, line, window=False)


def _refunded(draft: Draft, line: Situation) -> None:
    for charge in line.charges:
        draft.block("refund_charge", charge, "already_refunded")
    steps.explain(draft, "refund_status", line.charges[0], line.says)


def _refund_failed(draft: Draft, line: Situation) -> None:
    draft.block("refund_charge", line.charges[0], "not_permitted")
    says = "The refund came back; a person arranges another way to pay it out."
    steps.hand_over(draft, "refund_failed", line.dispute or line.charges[0], says)


def _connected(draft: Draft, line: Situation) -> None:
    for charge in line.charges:
        draft.block("refund_charge", charge, "connected_account")
    steps.hand_over(draft, "connected_account", line.charges[0], "A person settles with the connected account first.")


def _restore(draft: Draft, line: Situation) -> None:
    about = line.subscription or next(iter(line.charges), None)
    steps.hand_over(draft, "restore_access", about, "Access has to be given back by the product team, first of all.")


TABLE: Mapping[str, Line] = {
    **dict.fromkeys(
        (
            "duplicate_same_price", "duplicate_across_customers", "duplicate_email_case", "monthly_and_annual",
            "two_tiers", "duplicate_in_trial", "duplicate_already_ending", "duplicate_tie",
        ), _duplicate,
    ),
    "invoice_overpaid": _overpaid,
    "paid_twice": _paid_twice,
    "twin_incomplete": _twin,
    "hold_on_card": _hold,
    "seats_on_one_subscription": _seats,
    "seats_change_wanted": _seat_change,
    "coupon_missed_seat": _coupon_seat,
    **dict.fromkeys(("card_expired", "hard_decline", "payment_blocked", "past_due", "unpaid_after_retries"), _new_card),
    "soft_decline": _soft_decline,
    **dict.fromkeys(("card_replaced", "unpaid_card_replaced"), _card_replaced),
    "bank_confirmation_needed": _confirm,
    "first_payment_incomplete": _first_payment,
    **dict.fromkeys(("paused_for_nonpayment", "paused_trial_end"), _paused),
    "canceled_for_nonpayment": _ended_unpaid,
    "incomplete_expired": _lapsed_checkout,
    "checkout_abandoned": _abandoned,
    "payment_processing": _processing,
    "invoice_overdue": _overdue,
    "cancellation_scheduled": _ending,
    "wants_to_stay": _stays,
    **dict.fromkeys(("cancel_wanted", "cancel_claimed", "cancel_which", "schedule_managed"), _cancel),
    "account_deleted": _account_deleted,
    "charged_after_cancellation": _charged_after_end,
    "open_invoice_after_end": _void,
    "collection_paused": _collection_paused,
    **dict.fromkeys(("invoice_wanted", "tax_details_wanted"), _documents),
    "card_change_wanted": _card_change,
    "plan_change_wanted": _plan_change,
    "settings_wanted": _settings,
    **dict.fromkeys(("annual_renewal", "trial_converted"), _renewal),
    "canceled_after_trial": _after_trial,
    "recent_payment_regretted": _regret,
    "dispute_open": _dispute,
    "dispute_inquiry": _inquiry,
    "early_fraud_warning": _warned,
    **dict.fromkeys(("already_refunded", "refund_pending", "partly_refunded"), _refunded),
    "refund_failed": _refund_failed,
    "connected_charge": _connected,
    **dict.fromkeys(("paid_no_access", "paid_nothing_behind"), _restore),
    **dict.fromkeys(
        (
            "two_purchases", "separate_workspaces", "separate_users", "seat_proration", "pending_seat_proration",
            "pending_proration", "recovered_on_retry", "already_canceled", "dispute_closed", "price_changed",
            "discount_ended", "proration_charge", "plan_changed", "metered_usage", "credit_balance", "tax_on_invoice",
            "other_currency_shown", "several_currencies", "trialing",
        ), _explained,
    ),
}  # fmt: skip
