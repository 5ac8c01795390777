"""Which card documents do the tests of the sidebar show? One builder a situation; `STATES` names all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Card = dict[str, Any]
NOW = datetime(2026, 11, 22, 10, 2, 40, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\u202egpj.exe\u200b\u2066 {{ 7*7 }} {% raw %} "
    "\" ' onmouseover='x' hx-on:click=\"x\" ${1} " + "W" * 90
)


def merged(card: Card, **changes: Any) -> Card:
    """A deep copy with top-level keys changed; a mapping is merged into the mapping that was there."""
    fresh = copy.deepcopy(card)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(fresh.get(key), Mapping)
        fresh[key] = {**fresh[key], **value} if both else value
    return fresh


def subscription(id: str, created: str, end: str, **more: Any) -> Card:
    return {
        "id": id, "status": "active", "customer": "cus_R8", "customer_name": "Maya Okafor", "product": "prod_Pro",
        "product_name": "Pro", "price": "price_1", "amount": 2900, "currency": "usd", "interval": "month",
        "interval_count": 1, "quantity": 1, "created": created, "current_period_end": end, **more,
    }  # fmt: skip


def charge(id: str, created: str, subscription: str | None, **more: Any) -> Card:
    return {
        "id": id, "status": "succeeded", "amount": 2900, "amount_refunded": 0, "currency": "usd", "created": created,
        "captured": True, "disputed": False, "invoice": None, "subscription": subscription, "brand": "visa",
        "last4": "4242", "failure": None, "affected": False, **more,
    }  # fmt: skip


def step(id: str, kind: str, title: str, running: str, done: str, **more: Any) -> Card:
    return {
        "id": id, "kind": kind, "says": title + ".", "object": None, "reversible": True, "requires": [], "title": title,
        "running": running, "done": done, "detail": "", "final": False, "optional": False, "undo_until": None, **more,
    }  # fmt: skip


def duplicate() -> Card:
    """Two subscriptions to Pro: refund one charge, stop the extra subscription."""
    return {
        "ticket_id": 48213, "state": "ready", "as_of": "2026-11-22T10:02:11Z", "version": 3,
        "customer": {
            "identity": "verified", "why": ["The sender's address is the customer's."], "chosen": "cus_R8",
            "candidates": [{"id": "cus_R8", "name": "Maya Okafor", "email": "maya.okafor@brightpath.example",
                            "stripe_url": "https://dashboard.stripe.com/customers/cus_R8", "summary": ""}],
            "name": "Maya Okafor", "email": "maya.okafor@brightpath.example", "since": "2024-03-03T09:00:00Z",
            "paid": {"usd": 95700}, "siblings": [],
        },
        "billing_state": {
            "subscriptions": [
                subscription("sub_1", "2024-03-03T09:00:00Z", "2026-12-03T09:00:00Z", role="kept"),
                subscription("sub_2", "2026-11-12T14:20:00Z", "2026-12-12T14:20:00Z", role="extra"),
            ],
            "invoices": [],
            "charges": [
                charge("ch_1", "2026-09-03T09:00:00Z", "sub_1"), charge("ch_2", "2026-10-03T09:00:00Z", "sub_1"),
                charge("ch_3", "2026-11-03T09:00:00Z", "sub_1"),
                charge("ch_4", "2026-11-12T14:20:00Z", "sub_2", affected=True),
            ],
            "payment_method": {"type": "card", "brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2028},
            "disputes": [], "refunds": [],
            "anomalies": [{"code": "duplicate_active_subscription", "objects": ["sub_1", "sub_2"], "says":
                           "Two active Pro subscriptions. The second began by checkout on 12 Nov, 9 days into a paid "
                           "month."}],
            "missing": [],
        },
        "decision": {
            "bucket": "duplicate_subscription", "confidence": 0.97, "band": "suggest", "for": [
                {"says": "Same plan, price, card and email on both", "objects": ["sub_1", "sub_2"], "weight": 2.4,
                 "source": "stripe", "quote": None},
                {"says": "Second checkout began while the first was paid up", "objects": ["sub_2"], "weight": 2.1,
                 "source": "stripe", "quote": None},
                {"says": "Says it was charged twice", "objects": [], "weight": 1.8, "source": "ticket",
                 "quote": "charged twice this month"},
                {"says": "Not seats: quantity is 1 on both, no team name", "objects": [], "weight": 0.0,
                 "source": "stripe", "quote": None},
                {"says": "Not annual, no proration, no coupon", "objects": [], "weight": 0.0, "source": "stripe",
                 "quote": None},
            ],
            "against": [], "why": "Two live subscriptions to one product.", "would_change": None,
            "headline": "Paying twice for Pro", "lede": "Refund the 12 Nov charge and stop the extra subscription.",
            "second": None, "corrected_by": None,
        },
        "plan": {
            "digest": "sha256:" + "ab" * 32, "steps": [
                step("s1", "create_portal_session", "Make a billing portal link", "Making a billing portal link",
                     "Billing portal link made", object="cus_R8", optional=True,
                     detail="Lets Maya manage plans herself. Goes into the reply."),
                step("s2", "schedule_cancellation", "Stop the extra subscription", "Stopping the extra subscription",
                     "Extra subscription stopped", object="sub_2", undo_until="2026-12-12T14:20:00Z",
                     detail="Pro, started 12 Nov. Ends 12 Dec, will not renew."),
                step("s3", "refund_charge", "Refund the 12 Nov charge", "Refunding the 12 Nov charge",
                     "12 Nov charge refunded", object="ch_4", amount=2900, currency="usd", reversible=False, final=True,
                     optional=True, requires=["requester_verified"],
                     detail="To Visa ending 4242, in 5 to 10 business days."),
                step("s4", "write_internal_note", "Write an internal note", "Writing an internal note",
                     "Internal note written"),
                step("s5", "file_issue", "Add this ticket to issue #412", "Adding to issue #412",
                     "Added to issue #412 as number 15", optional=True, detail="No name, email or card is posted."),
            ],
            "revenue_impact": {"refund": {"usd": 2900}, "mrr": {"usd": -2900}}, "blocked": [],
            "untouched": "The 3 Nov charge is not touched.", "confirm": None, "second_approval": False,
            "hold_seconds": 10,
        },
        "follow_up": {
            "locale": "en", "english": None, "body":
            "Hi Maya,\n\nYou’re right, and I’m sorry. A second Pro subscription was started on 12 November, so "
            "you were charged twice.\n\nI’ve refunded $29.00 to your Visa ending 4242 (5 to 10 business days) and "
            "stopped the second subscription. Your original plan carries on unchanged.\n\nYou can check both: {link}",
        },
        "product_gap": {
            "kind": "no_duplicate_guard", "title": "Checkout lets an active subscriber buy the same plan again",
            "body": "Ticket 15 · duplicate subscription · Pro monthly · 9 days after renewal · refunded 29.00 USD. "
                    "No name, email or card details.",
            "repository": "brightpath/web", "labels": ["billing-gap", "duplicate-guard", "revenue"],
            "existing_issue": {"number": 412, "cases": 14, "url": "https://github.com/brightpath/web/issues/412",
                               "state": "open", "owner": "growth", "last_seen": "2026-11-20T09:00:00Z"},
        },
        "handoff": {"sections": {
            "CUSTOMER": ["Maya Okafor, verified"], "BILLING STATE": ["Two active Pro subscriptions"],
            "DECISION": ["duplicate_subscription, strong evidence"], "ACTION TAKEN": ["None yet"],
            "FOLLOW-UP": ["Drafted, English"], "PRODUCT GAP": ["no_duplicate_guard, issue #412"],
        }},
        "approval": None, "error": None, "integrations": {"github": True, "stripe_write": True},
        "links": {"stripe_customer": "https://dashboard.stripe.com/customers/cus_R8"},
    }  # fmt: skip


def failed_payment() -> Card:
    """A card that ran out, in German: no money moves."""
    euro = {"amount": 1900, "currency": "eur", "brand": "mastercard", "last4": "0341"}
    declined = {**euro, "status": "failed", "failure": "card_declined/expired_card", "captured": False}
    return merged(
        duplicate(), ticket_id=48220,
        customer={"name": "Jonas Weber", "email": "jonas@weberfoto.example", "since": "2025-01-10T09:00:00Z",
                  "paid": {"eur": 41800}},
        billing_state={
            "subscriptions": [subscription("sub_5", "2025-01-10T09:00:00Z", "2026-12-10T09:00:00Z", product_name="Plus",
                                           status="past_due", amount=1900, currency="eur")],
            "invoices": [{"id": "in_9", "number": "A-9", "status": "open", "subscription": "sub_5", "amount_due": 1900,
                          "amount_paid": 0, "amount_remaining": 1900, "currency": "eur",
                          "created": "2026-11-10T09:00:00Z", "due_date": "2026-11-10T09:00:00Z", "attempt_count": 3,
                          "next_payment_attempt": "2026-11-26T09:00:00Z"}],
            "charges": [
                charge("ch_a", "2026-09-10T09:00:00Z", "sub_5", **euro),
                charge("ch_b", "2026-10-10T09:00:00Z", "sub_5", **euro),
                charge("ch_c", "2026-11-10T09:00:00Z", "sub_5", **declined),
                charge("ch_d", "2026-11-13T09:00:00Z", "sub_5", **declined),
                charge("ch_e", "2026-11-18T09:00:00Z", "sub_5", **declined),
            ],
            "payment_method": {"type": "card", "brand": "mastercard", "last4": "0341", "exp_month": 10,
                               "exp_year": 2026},
            "anomalies": [{"code": "card_expired", "objects": ["in_9"], "says": "Three declines: expired card. Next "
                           "try is 26 Nov, and it will fail again with this card."}],
        },
        decision={"bucket": "failed_payment", "headline": "Card expired, invoice unpaid", "for": [
            {"says": "Decline code is “expired card”, three times", "weight": 2.5, "source": "stripe", "quote": None},
            {"says": "Card on file expired 31 Oct", "weight": 2.2, "source": "stripe", "quote": None},
            {"says": "Says it fails", "weight": 1.1, "source": "ticket", "quote": "Zahlung geht nicht durch"}],
                  "lede": "Send a link to update the card. Stripe then collects the open invoice by itself."},
        plan={"steps": [
            step("s1", "create_portal_session", "Make an “update card” link", "Making the link", "Link made",
                 detail="Opens Jonas’s portal straight at the card form. Goes into the reply.", object="cus_R8"),
            step("s2", "wait", "Leave the invoice open", "Leaving the invoice open", "Invoice left open",
                 detail="Stripe charges €19.00 when the new card is saved. Nothing is charged by this plan."),
            step("s3", "write_internal_note", "Write an internal note", "Writing", "Internal note written"),
            step("s4", "file_issue", "File a product issue", "Filing", "Filed", optional=True,
                 detail="New: nobody is told before a card expires."),
        ], "revenue_impact": {"refund": {}, "mrr": {}}, "untouched": None},
        follow_up={"locale": "de", "english": "Hi Jonas, your card ending 0341 expired at the end of October.", "body":
                   "Hallo Jonas,\n\ndeine Karte mit der Endung 0341 ist Ende Oktober abgelaufen, deshalb ging die "
                   "Zahlung vom 10. November (19,00 €) nicht durch.\n\nHier kannst du eine neue Karte hinterlegen: "
                   "{Portal-Link}"},
        product_gap={"title": "No notice before a saved card expires", "labels": ["billing-gap", "failed-payment"],
                     "existing_issue": None, "kind": "no_card_expiry_notice"},
    )  # fmt: skip


def team_seats() -> Card:
    """Four people, four subscriptions, nothing to fix."""
    people = [("Priya R.", 2), ("Tom B.", 5), ("Lena K.", 5), ("Omar S.", 6)]
    subs = [
        subscription(f"sub_t{n}", f"2026-06-0{day}T09:00:00Z", f"2026-12-0{day}T09:00:00Z", amount=2400,
                     customer=f"cus_t{n}", customer_name=who, product_name="Starter")
        for n, (who, day) in enumerate(people)
    ]  # fmt: skip
    paid = [
        charge(f"ch_t{n}{month}", f"2026-{month}-0{day}T09:00:00Z", f"sub_t{n}", amount=2400)
        for n, (_, day) in enumerate(people)
        for month in ("09", "10", "11")
    ]
    return merged(
        duplicate(), ticket_id=48231, customer={"name": "Priya Raman", "email": "priya@northwindlabs.example"},
        billing_state={"subscriptions": subs, "charges": paid, "anomalies": []},
        decision={"bucket": "team_seats", "band": "check", "headline": "Four people, not four mistakes",
                  "lede": "Each subscription belongs to a different person. Keep all four.", "against": [
                      {"says": "Asks", "weight": 0.9, "source": "ticket", "quote": "did we get billed 4 times?"}]},
        plan={"steps": [
            step("s1", "explain", "Keep all four subscriptions", "Keeping", "All four kept",
                 detail="Nothing is cancelled or refunded."),
            step("s2", "write_internal_note", "Write an internal note", "Writing", "Internal note written"),
        ], "revenue_impact": {"refund": {}, "mrr": {}}, "untouched": None},
        product_gap={"title": "Invoices don’t say who each seat is for", "labels": ["billing-gap", "seats"],
                     "existing_issue": {"number": 389, "cases": 6, "url": "https://github.com/a/b/issues/389"}},
    )  # fmt: skip


def person() -> Card:
    """An open dispute and two matching customers: a person decides."""
    charges = [
        charge("ch_y1", "2026-09-09T09:00:00Z", "sub_y", amount=118800, disputed=True),
        charge("ch_y2", "2026-10-02T09:00:00Z", "sub_y", amount=21430),
    ]
    return merged(
        duplicate(), ticket_id=48244, state="needs_human",
        customer={"identity": "matched", "chosen": None, "name": None, "email": None, "paid": {}, "candidates": [
            {"id": "cus_Lk41Q", "name": "Dana Marsh, Business", "email": "d.marsh@marshandco.example",
             "stripe_url": None, "summary": "Annual plan, dispute open, 2 invoices"},
            {"id": "cus_Pq9rT", "name": "D. Marsh, Free", "email": "d.marsh@marshandco.example", "stripe_url": None,
             "summary": "No payments"}]},
        billing_state={
            "subscriptions": [subscription("sub_y", "2025-09-09T09:00:00Z", "2027-09-09T09:00:00Z", amount=118800,
                                           interval="year", product_name="Business", customer_name="Dana Marsh")],
            "charges": charges,
            "disputes": [{"id": "dp_1", "charge": "ch_y1", "status": "needs_response",
                          "created": "2026-11-19T09:00:00Z", "amount": 118800,
                          "currency": "usd", "due_by": "2026-12-02T23:59:00Z"}],
            "anomalies": [{"code": "dispute_open", "objects": ["dp_1"], "says":
                           "Open dispute on the 9 Sep charge. Evidence is due 2 Dec."}]},
        decision={"bucket": "product_failure", "band": "person", "confidence": 0.48,
                  "headline": "Dispute open: don’t refund here",
                  "lede": "The bank has already taken back $1,188.00. A refund now would pay Dana twice.",
                  "why": "Three outage tickets since 2 Oct.", "second": {"bucket": "self_serve_gap",
                                                                         "confidence": 0.41},
                  "would_change": "The dispute closes and a lead picks a reading."},
        plan={"steps": [
            step("s1", "hand_over", "Hand to Billing leads", "Handing over", "Handed to Billing leads",
                 detail="With this card, the dispute deadline and both readings."),
            step("s2", "write_internal_note", "Write an internal note", "Writing", "Internal note written",
                 detail="Facts and open questions, no decision.")],
              "revenue_impact": {"refund": {}, "mrr": {}}, "untouched": None, "blocked": [
                  {"step": "refund_charge", "object": "ch_y1", "why": "disputed"},
                  {"step": "cancel_subscription", "object": "sub_y", "why": "disputed"}]},
    )  # fmt: skip


def chosen_person() -> Card:
    """The same with its customer chosen, so it can be handed over."""
    return merged(person(), customer={"chosen": "cus_Lk41Q", "name": "Dana Marsh", "email": "d.marsh@m.example"})


def over_limit() -> Card:
    card = duplicate()
    card["plan"]["steps"][2]["amount"] = 29000
    card["plan"] |= {"confirm": "290.00", "revenue_impact": {"refund": {"usd": 29000}, "mrr": {"usd": -2900}}}
    return card


def second_needed() -> Card:
    return merged(over_limit(), plan={"second_approval": True})


def approved(states: Mapping[str, str], state: str, **more: Any) -> Card:
    """The duplicate with an approval in the given state; a done step has a receipt, a refused one its reason."""
    done_at = iter(NOW + timedelta(seconds=second) for second in range(1, 60))
    rows = []
    for id, became in states.items():
        receipt = None
        if became == "done":
            at = next(done_at).isoformat()
            receipt = {"object": "re_3QX9aT2eZv8fK" if id == "s3" else None, "at": at,
                       "says": "Ends 12 Dec." if id == "s2" else None}  # fmt: skip
        reason = "balance_insufficient" if became == "refused" else None
        rows.append({"id": id, "state": became, "receipt": receipt, "reason": reason, "says": None,
                     "undoable": became == "done" and id in {"s2", "s5"}})  # fmt: skip
    approval = {
        "id": "ap_7Hq28F2C", "state": state, "by": "Ana Ruiz", "at": NOW.isoformat(), "finished_at": None,
        "money_moved": {}, "hold_until": None, "steps": rows, "issue": None,
        "reply": {"deliver": "draft", "body": duplicate()["follow_up"]["body"], "state": "waiting"}, **more,
    }  # fmt: skip
    return merged(duplicate(), state="applying" if state in {"applying", "holding"} else "done", approval=approval)


def _states(*states: str) -> dict[str, str]:
    return {f"s{number}": state for number, state in enumerate(states, 1)}


def running() -> Card:
    return approved(_states("done", "sending", "pending", "pending", "pending"), "applying")


def hold() -> Card:
    until = (NOW + timedelta(seconds=7)).isoformat()
    return approved(_states("done", "done", "holding", "pending", "pending"), "holding", hold_until=until)


def done() -> Card:
    reply = {"deliver": "draft", "body": duplicate()["follow_up"]["body"], "state": "ready"}
    return approved(
        _states("done", "done", "done", "done", "done"), "done", finished_at=(NOW + timedelta(seconds=14)).isoformat(),
        money_moved={"usd": 2900}, reply=reply, issue={"number": 412, "url": "https://github.com/a/b/412", "cases": 15},
    )  # fmt: skip


def handled() -> Card:
    card = done()
    card["approval"] |= {"by": "Bo Lind", "reply": {"deliver": "draft", "body": "x", "state": "sent"}}
    return card


def handled_without_reply() -> Card:
    card = done()
    card["approval"]["by"] = "Bo Lind"
    return card


def undone() -> Card:
    card = done()
    card["approval"]["steps"][1] |= {"state": "undone", "undoable": False}
    return card


def refused() -> Card:
    return approved(_states("done", "done", "refused", "pending", "pending"), "stopped", finished_at=NOW.isoformat())


def stopped_by_agent() -> Card:
    steps = _states("done", "done", "canceled", "canceled", "canceled")
    return approved(steps, "partly_done", reason="stopped_by_agent", finished_at=NOW.isoformat())


def stopped_at_once() -> Card:
    """Withdrawn before anything ran."""
    return approved(_states(*["canceled"] * 5), "stopped", reason="stopped_by_agent", finished_at=NOW.isoformat())


def stopped_by_a_change() -> Card:
    return approved(_states(*["canceled"] * 5), "stopped", reason="plan_changed", finished_at=NOW.isoformat())


def filed_later() -> Card:
    """Done, while GitHub does not answer."""
    card = done()
    card["approval"]["steps"][4] |= {
        "kind": "file_issue",
        "state": "sending",
        "receipt": None,
        "reason": "github_no_answer",
    }
    return merged(card, approval={"issue": None})


def asked_again() -> Card:
    """The customer wrote again after the receipt, and another plan is proposed."""
    plan, receipt = team_seats()["plan"], done()
    done_before = [
        {**step, "receipt": "re_3QXkPzR8" if step.get("amount") else None} for step in duplicate()["plan"]["steps"]
    ]
    past = {"id": "ap_1", "by": "Ana Ruiz", "finished_at": receipt["approval"]["finished_at"],
            "money_moved": {"usd": 2900}, "steps": done_before}  # fmt: skip
    return merged(duplicate(), plan=plan, earlier=past)


def dry_run() -> Card:
    return merged(duplicate(), integrations={"github": True, "stripe_write": True, "dry_run": True})


def dry_run_recorded() -> Card:
    """Approved without the last step, while nothing is applied."""
    card = approved(_states(*["skipped"] * 5), "stopped", reason="dry_run", finished_at=NOW.isoformat())
    for step in card["approval"]["steps"][:4]:
        step["reason"] = "dry_run"
    return merged(card, state="ready", integrations=dry_run()["integrations"])


def partly() -> Card:
    card = approved(_states("done", "done", "done", "refused", "pending"), "partly_done", money_moved={"usd": 2900})
    card["approval"]["steps"][3]["says"] = "Zendesk refused the note: the ticket is closed."
    return card


def unknown_step() -> Card:
    return approved(_states("done", "done", "unknown", "pending", "pending"), "needs_person")


def skipped() -> Card:
    return approved(_states("done", "done", "skipped", "done", "done"), "done", finished_at=NOW.isoformat())


def waiting_second() -> Card:
    card = approved(_states("pending", "pending", "pending", "pending", "pending"), "waiting_second")
    return merged(card, plan={"second_approval": True})


def stale() -> Card:
    return merged(duplicate(), error={"code": "plan_changed", "message": "The billing state changed.",
                                      "reference": None, "money_moved": False, "parts": [],
                                      "at": "2026-11-22T10:02:30Z"})  # fmt: skip


def refused_approval() -> Card:
    return merged(duplicate(), error={"code": "limit_exceeded", "message": "Your limit for today is used up.",
                                      "reference": "7F3K-Q2", "money_moved": False, "parts": []})  # fmt: skip


def stripe_down() -> Card:
    return {"ticket_id": 48213, "state": "failed", "as_of": "2026-11-22T09:58:00Z", "links": duplicate()["links"],
            "error": {"code": "upstream_no_answer", "message": "Tried 3 times in 8 s.", "reference": "7F3K-Q2",
                      "money_moved": False, "parts": ["stripe"]}}  # fmt: skip


def closed() -> Card:
    return {"ticket_id": 48213, "state": "failed", "error": {"code": "no_access_to_ticket", "message":
            "Zendesk does not let you open this ticket.", "reference": None, "money_moved": False}}  # fmt: skip


def enriching() -> Card:
    return {"ticket_id": 48213, "state": "enriching"}


def empty() -> Card:
    return {"ticket_id": 48250, "state": "needs_human", "as_of": "2026-11-22T10:02:11Z",
            "customer": {"identity": "unknown", "why": ["Also checked: 2 addresses on the Zendesk profile."],
                         "candidates": [], "chosen": None, "name": None, "email": "maya.okafor@brightpath.example"},
            "billing_state": {}, "decision": {"bucket": "undecided", "band": "person", "headline": "Who is this?"},
            "plan": {"digest": "sha256:00", "steps": [step("s1", "ask_customer", "Ask which address pays", "Asking",
                                                           "Asked")]}}  # fmt: skip


def partial() -> Card:
    card = merged(duplicate(), state="partial", error={"code": "upstream_no_answer", "parts": ["github"]})
    card["billing_state"]["missing"] = [{"part": "disputes", "why": "not_permitted"}]
    return card


def read_only() -> Card:
    return merged(duplicate(), integrations={"github": False, "stripe_write": False})


def busy() -> Card:
    """Seven subscriptions of every status, a trial, a refund, a pending and a one-off charge, two currencies."""
    statuses = ["active", "past_due", "trialing", "canceled", "unpaid", "paused", "incomplete"]
    subs = [
        subscription(f"sub_b{n}", f"2026-0{n + 3}-11T09:00:00Z", "2026-12-11T09:00:00Z", status=status, quantity=n + 1)
        for n, status in enumerate(statuses)
    ]  # fmt: skip
    subs[2]["trial_end"] = "2026-12-01T09:00:00Z"
    subs[3] |= {"ended_at": "2026-11-04T09:00:00Z", "current_period_end": "2026-11-04T09:00:00Z"}
    subs[0] |= {"cancel_at_period_end": True}
    subs[5] |= {"interval": "month", "interval_count": 3, "currency": "jpy", "amount": 2900}
    return merged(duplicate(), billing_state={
        "subscriptions": subs,
        "charges": [
            charge("ch_1", "2026-10-11T09:00:00Z", "sub_b3"), charge("ch_2", "2026-11-21T09:00:00Z", "sub_b0",
                                                                     status="pending"),
            charge("ch_3", "2026-11-20T09:00:00Z", None, amount=500),
            *(charge(f"ch_o{n}", f"2026-{n:02d}-11T09:00:00Z", "sub_b0") for n in range(1, 11)),
        ],
        "refunds": [{"id": "re_1", "charge": "ch_1", "amount": 2900, "currency": "usd", "status": "succeeded",
                     "created": "2026-10-20T09:00:00Z"}],
    })  # fmt: skip


def one_off() -> Card:
    """No subscription, two one-off payments."""
    twice = [charge("ch_1", "2026-11-11T09:00:00Z", None), charge("ch_2", "2026-11-11T09:30:00Z", None, affected=True)]
    return merged(duplicate(), billing_state={"subscriptions": [], "charges": twice})


def bare() -> Card:
    """Only what the contract promises at the least."""
    return {"ticket_id": 1, "state": "ready", "decision": {"bucket": "not_billing"}, "plan": {"steps": []}}


def hostile() -> Card:
    """The duplicate with a hostile text in every string that is not an id, a code or a time."""
    kept = {
        "id", "state", "status", "as_of", "kind", "bucket", "band", "identity", "currency", "interval", "role", "code",
        "created", "current_period_end", "undo_until", "source", "subscription", "charge", "invoice", "object",
        "digest", "deliver", "at", "finished_at", "hold_until", "chosen", "since", "why_code", "part",
    }  # fmt: skip

    def poison(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: poison(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        return HOSTILE if isinstance(value, str) and key not in kept else value

    poisoned: Card = poison(merged(duplicate(), approval=None), "")
    poisoned["product_gap"]["existing_issue"]["url"] = "javascript:alert(1)"
    poisoned["links"]["stripe_customer"] = "javascript:alert(1)"
    return poisoned


def hostile_run() -> Card:
    card = merged(hostile(), approval=done()["approval"])
    card["approval"] |= {"by": HOSTILE, "by_id": 99}
    for row in card["approval"]["steps"]:
        row["says"] = HOSTILE
        row["receipt"] = {"object": HOSTILE, "at": HOSTILE, "says": HOSTILE}
    card["approval"]["reply"]["body"] = HOSTILE
    return card


def hostile_run_of_mine() -> Card:
    card = hostile_run()
    card["approval"] |= {"by": "Ana Ruiz", "by_id": 7}
    return card


# name -> (card, view)
STATES: Mapping[str, tuple[Callable[[], Card], str]] = {
    "glance": (duplicate, "glance"),
    "review": (duplicate, "review"),
    "failed-glance": (failed_payment, "glance"),
    "failed-review": (failed_payment, "review"),
    "team-glance": (team_seats, "glance"),
    "team-review": (team_seats, "review"),
    "person-glance": (person, "glance"),
    "person-review": (person, "review"),
    "person-chosen": (chosen_person, "review"),
    "over-limit": (over_limit, "review"),
    "second-needed": (second_needed, "review"),
    "stale": (stale, "review"),
    "refused-approval": (refused_approval, "review"),
    "partial": (partial, "review"),
    "read-only": (read_only, "review"),
    "loading": (enriching, "glance"),
    "empty": (empty, "glance"),
    "empty-review": (empty, "review"),
    "error": (stripe_down, "glance"),
    "closed": (closed, "glance"),
    "running": (running, "glance"),
    "hold": (hold, "glance"),
    "done": (done, "glance"),
    "handled": (handled, "glance"),
    "undone": (undone, "glance"),
    "refused": (refused, "glance"),
    "stopped": (stopped_by_agent, "glance"),
    "stopped-at-once": (stopped_at_once, "glance"),
    "stopped-by-a-change": (stopped_by_a_change, "glance"),
    "filed-later": (filed_later, "glance"),
    "asked-again": (asked_again, "glance"),
    "dry-run": (dry_run, "review"),
    "dry-run-recorded": (dry_run_recorded, "glance"),
    "partly": (partly, "glance"),
    "unknown-step": (unknown_step, "glance"),
    "skipped": (skipped, "glance"),
    "waiting-second": (waiting_second, "glance"),
    "busy": (busy, "review"),
    "one-off": (one_off, "review"),
    "bare": (bare, "review"),
    "hostile-glance": (hostile, "glance"),
    "hostile-review": (hostile, "review"),
    "hostile-run": (hostile_run, "glance"),
}
