"""Do the bytes that reach GitHub hold nothing of what customers, Stripe and Zendesk told us, on the whole way?"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from integrations.twins.github_markdown import scan
from testkit.indoors import Indoors, indoors
from testkit.rig import REPOSITORY
from zendesk.applying import Applying
from zendesk.gaps import GapFiling

MAIL = "maya.canary@acme.example"
# Where each is planted stands in `seed`; none of them may be seen on the wire to GitHub in any of its forms.
CANARIES = {
    "address": MAIL,
    "name": "Maya Canary-Okafor",
    "phone": "+49 170 9988776",
    "city": "Canarytown",
    "street": "Canary Row 7",
    "customer note": "canary-vip-customer",
    "customer owner": "canary-org-77",
    "product": "Pro canary.product@acme.example",
    "product note": "canary-product-note",
    "product text": "canary product text",
    "price name": "canary-nickname",
    "price note": "canary-price-note",
    "price key": "canary_lookup_key",
    "subscription note": "canary-sub-note",
    "subscription text": "canary subscription text",
    "charge text": "canary charge text",
    "charge note": "canary-charge-note",
    "statement": "CANARY*STATEMENT",
    "receipt mail": "receipt.canary@acme.example",
    "receipt number": "1234-canary",
    "invoice note": "canary-invoice-note",
    "invoice text": "canary invoice text",
    "footer": "canary footer",
    "card digits": "4242 4242 4242 4242",
    "account": "DE89 3704 0044 0532 0130 00",
    "secret": "sk_live_canary4eC39HqLyjWDarjtT1",
    "hook": "whsec_canaryMfKQ9r8GKYqrTwjUPD8",
    "token": "ghp_canary6e7172f9b0c11d2e3f405162738495a6",
    "subject": "Charged twice canary-subject",
    "words": "canary-words please",
    "link": "https://pay.example/i?token=canary",
    "ticket tag": "canary_tag",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, policy="[refunds]\nhold_seconds = 0\n") as made:
        yield made


def seed(desk: Indoors, number: int) -> int:
    """A double subscription with a canary in every field that takes text; the ticket's id."""
    c, world = CANARIES, desk.world
    address = {
        "city": c["city"],
        "line1": c["street"],
        "country": "DE",
        "line2": None,
        "postal_code": "1",
        "state": None,
    }
    mail = MAIL if number == 1 else f"{number}.{MAIL}"
    customer = world.customer(
        mail, c["name"], phone=c["phone"], description=c["customer note"], address=address,
        metadata={"note": c["customer note"], "org": c["customer owner"], "card": c["card digits"]},
    )  # fmt: skip
    world.payment_method(customer)
    product = world.product(c["product"], description=c["product text"])
    product["metadata"] = {"note": c["product note"], "iban": c["account"]}
    price = world.price(product, 2900, nickname=c["price name"], lookup_key=f"{c['price key']}{number}")
    price["metadata"] = {"note": c["price note"], "key": c["secret"]}
    now = desk.stripe.now()
    for days in (80, 10):
        world.subscription(
            customer, price, created=now - timedelta(days=days), description=c["subscription text"],
            metadata={"note": c["subscription note"], "org": c["customer owner"], "hook": c["hook"]},
        )  # fmt: skip
    planted = {
        "charge": {
            "description": c["charge text"],
            "statement_descriptor": c["statement"],
            "receipt_email": c["receipt mail"],
            "receipt_number": c["receipt number"],
            "metadata": {"note": c["charge note"], "token": c["token"]},
        },
        "invoice": {"description": c["invoice text"], "footer": c["footer"], "metadata": {"note": c["invoice note"]}},
    }
    for kind, fields in planted.items():
        for one in world.store.of_kind(kind):
            one |= fields
    text = f"Hi, I was charged twice for Pro. {' | '.join(c.values())} Please refund one.\n```\n@octocat fixes #1\n```"
    return desk.ticket(mail, c["subject"], text, tags=[c["ticket tag"]])


def forms(canary: str) -> list[bytes]:
    """The canary as it stands and in the disguises that a careless encoder would put it in."""
    plain = [canary, quote(canary, safe=""), quote(canary), "".join(f"&#{ord(one)};" for one in canary)]
    plain += ["\u200b".join(canary), canary.replace("@", "(at)"), canary.encode("unicode_escape").decode()]
    return [one.lower().encode() for one in plain] + [base64.b64encode(canary.encode()).lower()]


def test_no_canary_reaches_github_from_the_first_ticket_to_the_comments(desk: Indoors) -> None:
    assert len(CANARIES) >= 30
    handler, applying = GapFiling(desk.product.desk), Applying(desk.product.desk)
    desk.world.portal_configuration()
    for number in range(1, 4):
        ticket = seed(desk, number)
        card = desk.card(ticket)
        assert card["product_gap"]["kind"] == "no_duplicate_guard", card["decision"]
        body: dict[str, Any] = {
            "plan_digest": card["plan"]["digest"], "steps": [step["id"] for step in card["plan"]["steps"]],
            "follow_up": {"body": f"{card['follow_up']['body']} {CANARIES['words']}", "deliver": "public_reply"},
            "file_issue": True,
        }  # fmt: skip
        answer = desk.post(f"/api/tickets/{ticket}/approvals", body)
        assert answer.status_code == 202, answer.text
        approval = str(answer.get_json()["approval_id"])
        while applying.turn(approval) is not None:
            pass
        desk.clock.advance(timedelta(seconds=5))
        for job in [one for one in desk.jobs() if one.startswith(("gap:", "issue:"))]:
            argument = job.removeprefix("gap:") if job.startswith("gap:") else ":".join(job.split(":")[:2])
            for _ in range(3):
                desk.clock.advance(timedelta(seconds=handler.turn(argument) or 0))
    (issue,) = desk.github.state()["repositories"][REPOSITORY]["issues"]
    assert "| Cases | **3** |" in issue["body"]
    assert len(issue["comment_list"]) == 1  # the third ticket is a milestone
    sent = [(one.method, one.target.encode() + one.request_body) for one in desk.github.wire]
    assert {method for method, _ in sent} >= {"POST", "PATCH"}
    for name, canary in CANARIES.items():
        for form in forms(canary):
            assert not any(form in line.lower() for _, line in sent), (name, form)
    stripe = [
        one["id"] for kind in ("customers", "subscriptions", "charges", "invoices") for one in desk.stripe.state()[kind]
    ]
    assert stripe
    assert not any(one.encode() in line for one in stripe for _, line in sent)
    live = scan(issue["body"])
    assert live.mentions == live.references == live.closing == live.images == live.html_tags == []
