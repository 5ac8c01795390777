"""How is each step that moves no money worded, and when is it not offered?"""

from __future__ import annotations

from datetime import datetime

from billing.proposals.draft import Draft, Words
from billing.proposals.facts import portal_facts
from billing.records import Invoice, Subscription
from billing.situations.wording import day, plain
from billing.steps import (
    AskCustomer,
    CreatePortalSession,
    Explain,
    FileIssue,
    HandOver,
    ReleaseSchedule,
    ResendInvoice,
    ResumeCollection,
    ResumeSubscription,
    ScheduleCancellation,
    SendCheckoutLink,
    SendInvoiceCopy,
    SendInvoiceLink,
    SendPortalLogin,
    UndoCancellation,
    VoidInvoice,
    Wait,
    WriteInternalNote,
)

_FLOWS = {
    "payment_method_update": "update_payment_method",
    "subscription_cancel": "cancel",
    "subscription_update": "subscription_update",
}
_ASKS = {
    "which_plan": ("which subscription is meant", "which subscription is meant"),
    "which_account": ("which account is meant", "which account is meant"),
    "write_from_billing_address": ("to write from the billing address", "a mail from the billing address"),
    "how_many_seats": ("how many seats are needed", "how many seats are needed"),
}


def portal(draft: Draft, customer: str | None, flow: str | None = None, subscription: str | None = None) -> bool:
    """Let the customer manage it alone: the login page, or a session (with a deep link where the feature is on)."""
    scene = draft.scene
    owner = scene.customers.get(customer or "")
    if owner is None or owner.deleted:
        return False
    configuration = scene.snapshot.portal
    if configuration is None or not configuration.active:
        unread = scene.snapshot.lacks("portal")
        draft.block("create_portal_session", owner.id, "not_permitted" if unread else "portal_missing")
        return False
    if flow is not None and not getattr(configuration, _FLOWS[flow]):
        flow, subscription = None, None
    facts = portal_facts(configuration)
    if configuration.login_page_url and (flow is None or draft.scene.identity.level != "verified"):
        words = Words(
            title="Send the billing portal link",
            running="Preparing the billing portal link",
            done="Billing portal link ready",
            says="Gives the customer the portal's login page; they sign in with their billing e-mail.",
            detail="Several customers share this address; the portal may open another one."
            if len(scene.customers) > 1 else "",
        )  # fmt: skip
        return draft.add(SendPortalLogin(customer=owner.id), words, more=facts)
    words = Words(
        title="Open the billing portal",
        running="Opening the billing portal",
        done="Billing portal link made",
        says=f"Makes a short-lived portal link for the customer{_purpose(flow)}.",
    )
    step = CreatePortalSession(customer=owner.id, flow=flow, subscription=subscription)
    return draft.add(step, words, (subscription,), more=facts)


def _purpose(flow: str | None) -> str:
    purposes = {
        "payment_method_update": " to put in another card",
        "subscription_cancel": " to cancel",
        "subscription_update": " to change the plan or seats",
    }
    return purposes.get(flow or "", "")


def stop(draft: Draft, name: str) -> bool:
    """End a subscription with its paid period; a schedule is let go first."""
    subscription = draft.scene.subscriptions.get(name)
    if subscription is None or not subscription.live or subscription.ending:
        return False
    scheduled = subscription.schedule is not None and subscription.schedule.status in {"active", "not_started"}
    if _forbidden(draft, subscription, scheduled):
        return False
    before = None
    if scheduled and subscription.schedule is not None:
        before = ReleaseSchedule(schedule=subscription.schedule.id)
        if not draft.add(before, _release_words(subscription), (name,)):
            draft.block("schedule_cancellation", name, "schedule_managed")
            return False
    end = day(subscription.current_period_end, draft.now)
    product = draft.scene.product(name)
    began = day(subscription.created, draft.now)
    words = Words(
        title=f"Stop {product} at {end}",
        running=f"Stopping {product}",
        done=f"{product} ends {end}",
        says=f"The {product} subscription of {began} ends on {end} and does not renew; it works until then.",
        detail="Usage of the last period is billed at the end." if _metered(subscription) else "",
    )
    about = (*(draft.line.keep if draft.line else ()), *(draft.line.extra if draft.line else ()))
    step = ScheduleCancellation(subscription=name)
    if not draft.add(step, words, about, undo_until=subscription.current_period_end, after=before):
        return False
    draft.stopped.append(subscription)
    return True


def _forbidden(draft: Draft, subscription: Subscription, scheduled: bool) -> bool:
    if not scheduled:
        return draft.ruled_out("schedule_cancellation", subscription)
    if not draft.ruled_out("release_schedule", subscription):
        return False
    draft.block("schedule_cancellation", subscription.id, "schedule_managed")
    return True


def _metered(subscription: Subscription) -> bool:
    return any(item.price.usage_type == "metered" for item in subscription.items)


def _release_words(subscription: Subscription) -> Words:
    phases = subscription.schedule.phases if subscription.schedule else 0
    return Words(
        title="Let go of the schedule",
        running="Letting go of the schedule",
        done="Schedule let go",
        says=f"The schedule with {phases} phase(s) to come stops managing {subscription.id}; later phases are dropped.",
    )


def stay(draft: Draft, name: str) -> bool:
    """Take a scheduled cancellation back: exactly the one field that is set."""
    subscription = draft.scene.subscriptions[name]
    if draft.ruled_out("undo_cancellation", subscription):
        return False
    clears = "cancel_at_period_end" if subscription.cancel_at_period_end else "cancel_at"
    renews = day(subscription.current_period_end, draft.now)
    product = draft.scene.product(name)
    words = Words(
        title=f"Keep {product}",
        running=f"Keeping {product}",
        done=f"{product} goes on",
        says=f"The cancellation of {name} is taken back; it renews on {renews}.",
    )
    step = UndoCancellation(subscription=name, clears=clears)
    return draft.add(step, words, undo_until=subscription.cancel_at or subscription.current_period_end)


def resume_collection(draft: Draft, name: str) -> bool:
    if draft.ruled_out("resume_collection", draft.scene.subscriptions[name]):
        return False
    words = Words(
        title="Resume collecting",
        running="Resuming collection",
        done="Collection resumed",
        says=f"Invoices of {name} are charged again from the next one on; earlier ones stay as they are.",
    )
    return draft.add(ResumeCollection(subscription=name), words)


def resume(draft: Draft, name: str) -> bool:
    """Bring a paused subscription back; final, because it may charge."""
    if draft.ruled_out("resume_subscription", draft.scene.subscriptions[name]):
        return False
    words = Words(
        title="Resume the subscription",
        running="Resuming the subscription",
        done="Subscription resumed",
        says=f"Subscription {name} resumes once its invoice is paid; its billing date stays.",
    )
    return draft.add(ResumeSubscription(subscription=name), words)


def invoice_link(draft: Draft, invoice: Invoice | None) -> bool:
    if invoice is None or not draft.trusted:
        return False
    number = invoice.number or invoice.id
    words = Words(
        title=f"Send the payment page of {number}",
        running=f"Preparing the payment page of {number}",
        done=f"Payment page of {number} ready",
        says=f"Puts the page on which {plain(invoice.amount_remaining, invoice.currency)} can be paid into the reply.",
    )
    return draft.add(SendInvoiceLink(invoice=invoice.id), words)


def document(draft: Draft, name: str) -> bool:
    """The copy of an invoice, or a charge's receipt where there is none."""
    if not draft.trusted:
        return False
    invoice = draft.scene.invoices.get(name)
    called = f"invoice {invoice.number or name}" if invoice else "the receipt"
    words = Words(
        title=f"Send {called}",
        running=f"Preparing {called}",
        done=f"{called[0].upper()}{called[1:]} ready",
        says=f"Puts the link to {called} into the reply; nothing is issued again.",
    )
    return draft.add(SendInvoiceCopy(document=name), words)


def checkout(draft: Draft, target: str | None) -> bool:
    words = Words(
        title="Send a checkout link",
        running="Preparing the checkout link",
        done="Checkout link ready",
        says="Lets the customer finish or start the purchase; nothing is charged before that.",
    )
    return draft.add(SendCheckoutLink(target=target), words)


def resend(draft: Draft, invoice: Invoice) -> bool:
    number = invoice.number or invoice.id
    words = Words(
        title=f"Send {number} again",
        running=f"Sending {number} again",
        done=f"{number} sent again",
        says=f"Stripe mails invoice {number} to the customer once more; nothing is collected.",
    )
    return draft.add(ResendInvoice(invoice=invoice.id), words)


def void(draft: Draft, invoice: Invoice) -> bool:
    subscription = draft.scene.subscriptions.get(invoice.subscription or "")
    if subscription is not None and subscription.live:
        return False
    number = invoice.number or invoice.id
    words = Words(
        title=f"Void {number}",
        running=f"Voiding {number}",
        done=f"{number} voided",
        says=f"Invoice {number} over {plain(invoice.amount_remaining, invoice.currency)} can no longer be paid.",
    )
    return draft.add(VoidInvoice(invoice=invoice.id), words, (invoice.subscription,))


def explain(draft: Draft, topic: str, about: str | None, says: str) -> bool:
    words = Words(title="Explain what happened", running="Writing the explanation", done="Explained", says=says)
    return draft.add(Explain(topic=topic, about=about), words)


def wait(draft: Draft, reason: str, about: str | None, until: datetime | None, says: str) -> bool:
    words = Words(title="Wait", running="Waiting", done="Customer knows what to wait for", says=says)
    return draft.add(Wait(reason=reason, about=about, until=until), words)


def ask(draft: Draft, question: str, about: str | None = None) -> bool:
    what, answer = _ASKS[question]
    words = Words(
        title=f"Ask {what}",
        running=f"Asking {what}",
        done=f"Asked {what}",
        says=f"The reply asks for {answer}." if question == "write_from_billing_address" else f"The reply asks {what}.",
    )
    return draft.add(AskCustomer(question=question, about=about), words)


def hand_over(draft: Draft, reason: str, about: str | None, says: str) -> bool:
    words = Words(title="Hand over to a person", running="Handing over", done="Handed over", says=says)
    return draft.add(HandOver(reason=reason, about=about), words)


def note(draft: Draft) -> bool:
    words = Words(
        title="Write an internal note",
        running="Writing the internal note",
        done="Internal note written",
        says="Documents the reason and the receipts on the ticket, for agents only.",
    )
    return draft.add(WriteInternalNote(), words)


def issue(draft: Draft, gap: str) -> bool:
    words = Words(
        title="Tell the product team",
        running="Counting it for the product team",
        done="Product team told",
        says="Adds this ticket to the issue about what is missing in the product, without any personal details.",
    )
    return draft.add(FileIssue(gap=gap), words)
