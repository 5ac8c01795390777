"""Do sixty-two tickets as people write them all end in a card, in seven languages and every state, without a write?

Texts: real_life_tickets.jsonl, written for this test; `bucket` is what a careful colleague would say, `state` names a
builder below. What was decided is written to decided.txt in the test's own folder, and printed when the test fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testkit import contract_card
from testkit.indoors import Indoors, indoors

TICKETS = [
    json.loads(line)
    for line in Path(__file__).with_name("real_life_tickets.jsonl").read_text(encoding="utf-8").splitlines()
]
DAY = 86_400
ENDED = {"ready", "partial", "needs_human"}


@dataclass(frozen=True)
class Seeder:
    """One account with a catalogue; `customer` makes one payer with a good card."""

    desk: Indoors
    pro: Any
    yearly: Any
    team: Any
    other: Any

    def customer(self, email: str, **card: Any) -> Any:
        made = self.desk.world.customer(email, "Robin Doe")
        self.desk.world.payment_method(made, default=True, **card)
        return made

    def subscription(self, email: str, price: Any = None, days: int = 40, **more: Any) -> Any:
        owner = more.pop("customer", None) or self.customer(email)
        return self.desk.world.subscription(owner, price or self.pro, created=self.desk.world.now - days * DAY, **more)


def two_active(s: Seeder, email: str) -> None:
    first = s.subscription(email, days=70)
    s.subscription(email, days=10, customer=first["customer"])


def two_customers(s: Seeder, email: str) -> None:
    s.subscription(email, days=20)
    s.subscription(email, days=15)


def different_plans(s: Seeder, email: str) -> None:
    s.subscription(email, s.other, days=30, customer=s.subscription(email)["customer"])


def monthly_and_yearly(s: Seeder, email: str) -> None:
    s.subscription(email, s.yearly, days=30, customer=s.subscription(email, days=70)["customer"])


def double_charge(s: Seeder, email: str) -> None:
    owner = s.customer(email)
    for hours in (30, 29):
        charge = s.desk.world.charge(owner, 2900, created=s.desk.world.now - hours * 3600, description="Pro, one year")
        charge["metadata"] = {"sku": "pro-year"}


def double_invoice_payment(s: Seeder, email: str) -> None:
    made = s.subscription(email)
    s.desk.world.pay(made["latest_invoice"])


def authorization(s: Seeder, email: str) -> None:
    made = s.subscription(email)
    s.desk.world.charge(made["customer"], 2900, captured=False, created=s.desk.world.now - 3 * DAY)


def credit(s: Seeder, email: str) -> None:
    owner = s.customer(email)
    owner["balance"] = -2900
    s.subscription(email, customer=owner)


def open_invoice(s: Seeder, email: str) -> None:
    owner = s.customer(email)
    s.desk.world.invoice(
        owner, 2900, created=s.desk.world.now - 20 * DAY, collection_method="send_invoice",
        due_date=s.desk.world.now - DAY,
    )  # fmt: skip


def recovered(s: Seeder, email: str) -> None:
    made = s.subscription(email)
    invoice = s.desk.world.invoice(
        made["customer"], 2900, subscription=made, reason="subscription_cycle", decline="insufficient_funds",
        created=s.desk.world.now - 5 * DAY,
    )  # fmt: skip
    s.desk.world.pay(invoice, created=s.desk.world.now - 2 * DAY)


def action_required(s: Seeder, email: str) -> None:
    s.subscription(email, days=1, status="incomplete", decline="authentication_required")


def seats(s: Seeder, email: str) -> None:
    s.subscription(email, s.team, quantity=8)


def canceled(s: Seeder, email: str) -> None:
    s.subscription(email, days=50, status="canceled")


def charged_after_cancellation(s: Seeder, email: str) -> None:
    made = s.subscription(email, days=100, status="canceled")
    made |= {"canceled_at": s.desk.world.now - 60 * DAY, "ended_at": s.desk.world.now - 60 * DAY}


def trial_converted(s: Seeder, email: str) -> None:
    s.subscription(email, s.yearly, days=10, trial_end=s.desk.world.now - 3 * DAY)


def trialing(s: Seeder, email: str) -> None:
    s.subscription(email, days=3, status="trialing", trial_end=s.desk.world.now + 4 * DAY)


def renewed_year(s: Seeder, email: str) -> None:
    s.subscription(email, s.yearly, days=367)


def proration(s: Seeder, email: str) -> None:
    made = s.subscription(email)
    s.desk.world.invoiceitem(made["customer"], 1100, subscription=made, proration=True)


def plan_changed(s: Seeder, email: str) -> None:
    made = s.subscription(email, s.other)
    s.desk.world.invoice(made["customer"], 2000, subscription=made, reason="subscription_update", status="paid")


def one_off(s: Seeder, email: str) -> None:
    s.desk.world.charge(s.customer(email), 2000, created=s.desk.world.now - DAY)


def dispute(s: Seeder, email: str) -> None:
    made = s.subscription(email)
    paid = [one for one in s.desk.stripe.state()["charges"] if one["customer"] == made["customer"]]
    s.desk.world.dispute(paid[0]["id"])


STATES: dict[str, Callable[[Seeder, str], None]] = {
    builder.__name__: builder
    for builder in (
        two_active, two_customers, different_plans, monthly_and_yearly, double_charge, double_invoice_payment,
        authorization, credit, open_invoice, recovered, action_required, seats, canceled, charged_after_cancellation,
        trial_converted, trialing, renewed_year, proration, plan_changed, one_off, dispute,
    )
} | {
    "none": lambda s, email: None,
    "active": lambda s, email: s.subscription(email) and None,
    "past_due": lambda s, email: s.subscription(email, status="past_due") and None,
    "unpaid": lambda s, email: s.subscription(email, days=70, status="unpaid") and None,
    "incomplete": lambda s, email: s.subscription(email, days=1, status="incomplete") and None,
}  # fmt: skip


def seeded(desk: Indoors, ticket: dict[str, Any], seeder: Seeder) -> int:
    email = f"{ticket['id']}@people.example"
    STATES[ticket["state"]](seeder, email)
    return desk.ticket(email, ticket["subject"], ticket["body"])


def test_every_ticket_of_real_life_ends_in_a_card_and_nothing_is_written(tmp_path: Path) -> None:
    with indoors(tmp_path) as desk:
        world = desk.world
        world.portal_configuration()
        pro = world.product("Pro")
        seeder = Seeder(
            desk, world.price(pro, 2900), world.price(pro, 29000, interval="year"),
            world.price(world.product("Team"), 1200), world.price(world.product("Max"), 9900),
        )  # fmt: skip
        numbers = [seeded(desk, ticket, seeder) for ticket in TICKETS]
        seeds = len(desk.stripe.writes())
        for index, number in enumerate(numbers):
            assert desk.deliver(number, kind="event" if index % 2 else "trigger").status_code == 202
        desk.work()
        table, wrong, right = [], [], 0
        for ticket, number in zip(TICKETS, numbers, strict=True):
            card = desk.get(f"/api/tickets/{number}/card").get_json()
            decision = card.get("decision") or {"bucket": "-", "band": "-", "situation": "-"}
            good = decision["bucket"] == ticket["bucket"]
            right += good
            table.append(
                f"{ticket['id']} {ticket['lang']} {ticket['state']:<27}{card['state']:<12}{ticket['bucket']:<23}"
                f"{decision['bucket']:<23}{decision['band']:<8}{decision['situation'] or '-'}{'' if good else '  <> '}"
            )
            if card["state"] not in ENDED or card["error"]:
                wrong.append(f"{ticket['id']}: {card['state']} {card['error']}")
            else:
                wrong += [f"{ticket['id']}: {fault}" for fault in contract_card.faults(card)]
            if desk.get(f"/api/tickets/{number}/card", html=True).status_code != 200:
                wrong.append(f"{ticket['id']}: no page")
        told = "\n".join([*table, f"{right} of {len(TICKETS)} as a colleague would say"])
        (tmp_path / "decided.txt").write_text(told + "\n", encoding="utf-8")
        assert not wrong, "\n".join([told, "", *wrong])
        assert len(desk.stripe.writes()) == seeds == 0, told
        assert desk.github.wire == [], told
        written = [one for one in desk.zendesk.wire if one.method == "PUT"]
        assert len(written) == len(TICKETS), told  # one note a ticket, and no public comment
        assert not [
            comment for number in numbers for comment in desk.zendesk.desk.comments[number][1:] if comment["public"]
        ], told


def test_the_texts_are_sixty_two_of_every_bucket_and_language() -> None:
    assert len(TICKETS) == len({ticket["id"] for ticket in TICKETS}) == 62
    assert {ticket["bucket"] for ticket in TICKETS} == contract_card.BUCKETS - {"undecided"}
    assert {ticket["lang"] for ticket in TICKETS} == {"en", "de", "es", "fr", "ja", "ko", "pt", "zh"}
    assert {ticket["state"] for ticket in TICKETS} <= set(STATES)
