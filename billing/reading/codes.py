"""Which things can a ticket's words say? The closed list of text signal codes, with their meaning.

Read them through `TicketEvidence.codes()`. A code says what the writer claims, never what is true: Stripe decides that.
"""

from __future__ import annotations

from enum import StrEnum


class TextCode(StrEnum):
    """One stable name per claim. The comment behind a code is its meaning; names are only ever added."""

    # more than one payment or subscription
    TXT_DUP_TWICE = "TXT_DUP_TWICE"  # charged, billed or paid twice, double charge, duplicate payment
    TXT_DUP_SUBSCRIPTIONS = "TXT_DUP_SUBSCRIPTIONS"  # two subscriptions or plans at once, one was meant
    TXT_TWO_ACCOUNTS = "TXT_TWO_ACCOUNTS"  # a second account or e-mail carries the other subscription
    TXT_MONTHLY_AND_ANNUAL = "TXT_MONTHLY_AND_ANNUAL"  # the old interval or plan is still charged next to the new one
    TXT_WANTS_SEVERAL = "TXT_WANTS_SEVERAL"  # several subscriptions are intended: keep both, meant to have two (veto)

    TXT_BOUGHT_AGAIN = "TXT_BOUGHT_AGAIN"  # bought or subscribed a second time, often because the first try looked lost

    # seats and organisations
    TXT_TEAM = "TXT_TEAM"  # seats, members, licences, users on a plan
    TXT_SEAT_CHANGE = "TXT_SEAT_CHANGE"  # add, remove or reassign seats or members
    TXT_SEAT_PRORATION = "TXT_SEAT_PRORATION"  # the amount after adding or removing seats, price per seat
    TXT_QUOTE = "TXT_QUOTE"  # quote, volume or team price for several people
    TXT_OWNERSHIP = "TXT_OWNERSHIP"  # moves a plan between person and organisation, or changes who owns or pays

    # payment does not complete
    TXT_DECLINED = "TXT_DECLINED"  # card or payment declined, refused, failed
    TXT_CHECKOUT_ERROR = "TXT_CHECKOUT_ERROR"  # checkout or pay page errors, spins, cannot pay or subscribe
    TXT_AUTHENTICATION = "TXT_AUTHENTICATION"  # 3-D Secure, one-time code, bank confirmation
    TXT_PAST_DUE = "TXT_PAST_DUE"  # past due, overdue, unpaid invoice, dunning mail, suspended for non-payment
    TXT_PAYMENT_METHODS = "TXT_PAYMENT_METHODS"  # asks which ways to pay exist
    TXT_PENDING = "TXT_PENDING"  # the payment hangs: pending, processing, not confirmed
    TXT_HOLD = "TXT_HOLD"  # authorisation, hold or reservation on the card

    # paid, not received
    TXT_PAID = "TXT_PAID"  # the writer firmly says that money went through: paid, charged, invoice in hand
    TXT_CHARGED = "TXT_CHARGED"  # money was taken: charged, billed, debited (TXT_PAID: the writer paid)
    TXT_NO_ACCESS = "TXT_NO_ACCESS"  # paid features are locked, still on free, credits missing, cannot use it
    TXT_QUALITY = "TXT_QUALITY"  # the product does not work or disappoints
    TXT_SCAM = "TXT_SCAM"  # scam, fraud company, rip-off: anger at us, not a claim of a stolen card
    TXT_PLAN_CHANGED_BY_THEM = "TXT_PLAN_CHANGED_BY_THEM"  # we changed, cut or downgraded the plan by ourselves
    TXT_BANNED = "TXT_BANNED"  # account banned, blocked or suspended (not for non-payment)
    TXT_WRONG_REMEDY = "TXT_WRONG_REMEDY"  # support did the wrong thing: refunded or cancelled the wrong one

    # could have been done alone
    TXT_WANTS_CANCEL = "TXT_WANTS_CANCEL"  # asks to cancel, stop renewal, or how to
    TXT_CLAIMS_CANCELLED = "TXT_CLAIMS_CANCELLED"  # says it was cancelled already, before this ticket
    TXT_CHARGED_AFTER_CANCEL = "TXT_CHARGED_AFTER_CANCEL"  # and a charge came all the same
    TXT_CANNOT_CANCEL = "TXT_CANNOT_CANCEL"  # no button, error, or no way found to cancel
    TXT_CANCEL_CONFIRM_QUESTION = "TXT_CANCEL_CONFIRM_QUESTION"  # asks whether a cancellation took
    TXT_ACCOUNT_DELETED = "TXT_ACCOUNT_DELETED"  # account, app or card removed instead of cancelling, still billed
    TXT_INVOICE = "TXT_INVOICE"  # wants an invoice or receipt, or its routing
    TXT_VAT = "TXT_VAT"  # VAT or tax number, company name or address on an invoice
    TXT_CARD_UPDATE = "TXT_CARD_UPDATE"  # wants to change or remove a card
    TXT_CARD_UPDATED = "TXT_CARD_UPDATED"  # says the card was changed already
    TXT_ACCOUNT_EMAIL = "TXT_ACCOUNT_EMAIL"  # change of account or billing e-mail
    TXT_PORTAL = "TXT_PORTAL"  # where are billing settings, portal does not open
    TXT_DOWNGRADE = "TXT_DOWNGRADE"  # wants a smaller plan or back to free
    TXT_KEEP = "TXT_KEEP"  # wants to stay, take a cancellation back

    # other money questions
    TXT_RENEWAL_SURPRISE = "TXT_RENEWAL_SURPRISE"  # renewed without notice, did not know or mean to renew
    TXT_FORGOT_CANCEL = "TXT_FORGOT_CANCEL"  # forgot or did not cancel in time
    TXT_MISTAKE = "TXT_MISTAKE"  # bought by mistake, wrong plan or interval, changed mind
    TXT_UNUSED = "TXT_UNUSED"  # has not used it
    TXT_TRIAL = "TXT_TRIAL"  # free trial, charged after or during it
    TXT_PRICE_ROSE = "TXT_PRICE_ROSE"  # price higher than before or than shown
    TXT_PRICE_QUESTION = "TXT_PRICE_QUESTION"  # what does it cost, how is it billed
    TXT_COUPON = "TXT_COUPON"  # coupon, discount, promo code
    TXT_USAGE = "TXT_USAGE"  # usage, overage, metered amount
    TXT_PLAN_PRORATION = "TXT_PLAN_PRORATION"  # the amount after a plan change
    TXT_CREDIT = "TXT_CREDIT"  # credit or balance on the account
    TXT_TAX = "TXT_TAX"  # amount of tax
    TXT_REFUND_STATUS = "TXT_REFUND_STATUS"  # where is a refund that was promised
    TXT_NO_REFUND = "TXT_NO_REFUND"  # says that no money back is needed (veto; no weight)
    TXT_OVER_REFUNDED = "TXT_OVER_REFUNDED"  # got too much back
    TXT_UNKNOWN_CHARGE = "TXT_UNKNOWN_CHARGE"  # does not recognise a charge
    TXT_FRAUD_UNAUTHORISED = "TXT_FRAUD_UNAUTHORISED"  # card stolen or used without consent
    TXT_DISPUTE = "TXT_DISPUTE"  # chargeback or dispute, opened, threatened or announced
    TXT_WANTS_REFUND = "TXT_WANTS_REFUND"  # asks for money back
    TXT_EXPLAIN = "TXT_EXPLAIN"  # asks why or what for an amount was charged

    # tone
    TXT_LEGAL_THREAT = "TXT_LEGAL_THREAT"  # lawyer, police, consumer office, press (no weight; needs a person)

    # not ours
    TXT_PITCH = "TXT_PITCH"  # vendor pitch, link selling, phone-number spam
    TXT_LOGIN = "TXT_LOGIN"  # password, login mail, verification code
    TXT_FEATURE = "TXT_FEATURE"  # wish or bug without money
    TXT_INTEGRATOR = "TXT_INTEGRATOR"  # builds payments themselves: API, webhook, SDK, their own customers
    TXT_SECURITY_REPORT = "TXT_SECURITY_REPORT"  # vulnerability report
    TXT_NEWSLETTER = "TXT_NEWSLETTER"  # leaves or wants a mailing list or feed
    TXT_GAME_MONEY = "TXT_GAME_MONEY"  # coins, points, referral bonus
    TXT_JOB = "TXT_JOB"  # application, partnership, press
    TXT_MACHINE = "TXT_MACHINE"  # auto-reply, bounce, calendar, report (headers or words)
    TXT_INSTRUCTIONS = "TXT_INSTRUCTIONS"  # text that addresses an assistant or system
    TXT_NO_BILLING_WORD = "TXT_NO_BILLING_WORD"  # nothing about money, plans or subscriptions was found
    TXT_BILLING_WORD = "TXT_BILLING_WORD"  # some word about money, plans or subscriptions is there
    TXT_MODEL = "TXT_MODEL"  # what the linear model thinks, capped
