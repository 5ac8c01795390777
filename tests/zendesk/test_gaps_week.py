"""Does the weekly report say what the receipts say, to the cent, and does it look like its picture?"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from playwright.sync_api import Page, Route

from integrations.store import audit
from integrations.store.tables import action, approval, card, correction, delivery, gap, gap_ticket
from testkit.indoors import Indoors, indoors
from zendesk import gap_week, gap_week_text
from zendesk.assets import asset
from zendesk.commands import gaps
from zendesk.gap_week import read_week, week_of
from zendesk.gaps_page import signed_link

PUBLIC = "https://desk.acme.example"
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)  # the Sunday of 2026-W47
WEEK = read_week("2026-W47")
# kind, issue, owner, bucket, tickets in each of eight weeks, currency, minor units refunded for each ticket, at risk
SEEN = (
    ("no_duplicate_guard", 412, "growth", "duplicate_subscription", (1, 0, 2, 1, 1, 2, 3, 5), "usd", 2900, 0),
    ("no_card_expiry_notice", 398, None, "failed_payment", (2, 3, 2, 2, 4, 3, 4, 4), "usd", 0, 9700),
    ("no_cancellation_flow", 371, "billing", "self_serve_gap", (4, 3, 3, 4, 3, 2, 3, 3), "eur", 999, 1900),
    ("no_seat_explanation", 389, None, "team_seats", (2, 2, 0, 2, 2, 0, 2, 1), "jpy", 1200, 0),
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Indoors]:
    with indoors(tmp_path, public_url=PUBLIC) as made:
        made.clock.moment = NOW
        yield made


class Life:
    """Writes what eight weeks leave in the store."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection, self.ticket, self.dice = connection, 0, random.Random(6)

    def gap(self, kind: str, issue: int, **changes: Any) -> None:
        values = {
            "fingerprint": f"mark-{kind}", "kind": kind, "repository": "acme/web", "issue_number": issue,
            "issue_url": f"https://github.com/acme/web/issues/{issue}", "issue_state": "open", "milestone": 0,
            "first_seen": NOW - timedelta(days=70), "last_seen": NOW,
        }  # fmt: skip
        self.connection.execute(sa.insert(gap).values(**(values | changes)))

    def approved(
        self, at: datetime, bucket: str, kind: str | None, currency: str, amount: int, risk: int = 0, **changes: Any
    ) -> int:
        """One ticket with its delivery, card, approval and receipts; a refund of `amount`."""
        self.ticket += 1
        ticket, seconds = self.ticket, self.dice.randrange(20, 70)
        self.arrived(ticket, at - timedelta(seconds=seconds), bucket, every="year" if ticket % 4 == 0 else "month")
        body = "Dear customer" if changes.pop("edited", False) else "Hello"
        values = {
            "id": f"ap_{ticket}", "ticket_id": ticket, "digest": "d", "round": 1, "request_hash": "h", "agent_id": 1,
            "agent_name": "Ana", "state": "done", "plan": {}, "follow_up": {"body": body, "planned": "Hello"},
            "reply_state": "ready", "attempts": 0, "created_at": at, "finished_at": at + timedelta(seconds=9),
        }  # fmt: skip
        self.connection.execute(sa.insert(approval).values(**(values | changes)))
        if amount:
            self.step(ticket, 1, "refund_charge", {"kind": "refund_charge"}, at, amount, currency)
        if kind is not None:
            self.step(ticket, 2, "file_issue", {"kind": "file_issue", "gap": kind}, at)
            row = {
                "fingerprint": f"mark-{kind}", "ticket_id": ticket, "customer_hash": str(ticket % 50), "pattern": "x",
                "refunded": {currency: amount} if amount else {}, "at_risk": {currency: risk} if risk else {},
                "seen_at": at, "charges": 1 if amount else 0,
            }  # fmt: skip
            self.connection.execute(sa.insert(gap_ticket).values(**row))
        return ticket

    def arrived(self, ticket: int, at: datetime, bucket: str, every: str = "month") -> None:
        row = {"id": f"dl_{ticket}", "source": "zendesk", "key": str(ticket), "ticket_id": ticket, "state": "done"}
        self.connection.execute(sa.insert(delivery).values(**row, received_at=at))
        bought = {"id": f"sub_{ticket}", "product_name": "Pro" if ticket % 3 else "Plus", "interval": every}
        document = {"decision": {"bucket": bucket}, "billing_state": {"subscriptions": [bought]}}
        self.connection.execute(
            sa.insert(card).values(
                ticket_id=ticket, version=1, requests=1, state="ready", document=document, plan={}, requested_at=at,
                updated_at=at,
            )
        )  # fmt: skip

    def step(
        self, ticket: int, position: int, kind: str, step: dict[str, Any], at: datetime, amount: int | None = None,
        currency: str | None = None, state: str = "done",
    ) -> None:  # fmt: skip
        row = {
            "id": f"ac_{ticket}_{position}", "approval_id": f"ap_{ticket}", "step_id": f"s{position}",
            "position": position, "kind": kind, "step": step, "key": f"k{ticket}-{position}", "state": state,
            "agent_id": 1, "receipt": {"at": at.isoformat(), "object": "re_1"}, "attempts": 1, "created_at": at,
            "updated_at": at, "amount": amount, "currency": currency,
        }  # fmt: skip
        self.connection.execute(sa.insert(action).values(**row))


def lived(desk: Indoors) -> None:
    """Eight weeks as in the picture, with what must not count in between."""
    with desk.product.engine.begin() as connection:
        life = Life(connection)
        for kind, issue, owner, bucket, weeks, currency, amount, risk in SEEN:
            life.gap(kind, issue, issue_owner=owner)
            for back, tickets in enumerate(reversed(weeks)):
                for number in range(tickets):
                    at = WEEK.before(back).start + timedelta(days=1, hours=number, minutes=issue % 60)
                    life.approved(at, bucket, kind, currency, amount, risk)
        inside = WEEK.start + timedelta(days=2)
        life.approved(inside, "other_billing", None, "usd", 101, edited=True)
        person = life.approved(inside, "other_billing", None, "usd", 0, state="needs_person")
        life.arrived(9001, inside, "not_billing")
        life.arrived(9002, inside, "undecided")
        life.arrived(9003, WEEK.end, "failed_payment")
        life.step(person, 5, "refund_charge", {"kind": "refund_charge"}, inside, 77, "usd", state="unknown")
        life.step(person, 6, "refund_charge", {"kind": "refund_charge"}, WEEK.end, 55, "usd")
        connection.execute(
            sa.insert(correction).values(
                ticket_id=9002, agent_id=1, was="undecided", bucket="failed_payment", why="", evidence={}, at=inside
            )
        )
        audit.append(connection, at=inside, actor="agent:1", event="handed_over", ticket_id=9002, body={})
        closed = NOW - timedelta(days=24)
        life.gap("no_invoice_access", 355, issue_state="closed", issue_reason="completed", issue_closed_at=closed)
        life.approved(closed - timedelta(days=3), "self_serve_gap", "no_invoice_access", "usd", 0)
        before = NOW - timedelta(days=20)
        life.gap("plan_changed_without_consent", 330, issue_closed_at=before, came_back_at=NOW, issue_reason="reopened")
        for days in (9, 8):
            life.approved(NOW - timedelta(days=days), "product_failure", "plan_changed_without_consent", "usd", 0)
        life.gap("no_tax_id_entry", 301, issue_state="closed", issue_reason="not_planned", issue_closed_at=before)


def report(desk: Indoors, name: str = "2026-W47") -> dict[str, Any]:
    with desk.product.engine.connect() as connection:
        return gap_week.report(connection, read_week(name), NOW)


def test_the_sums_are_those_of_the_receipts_to_the_cent(desk: Indoors) -> None:
    lived(desk)
    with desk.product.engine.connect() as connection:
        paid = sa.select(action.c.currency, sa.func.sum(action.c.amount), sa.func.count()).where(
            action.c.state == "done", action.c.kind == "refund_charge", action.c.amount > 0,
            action.c.created_at >= WEEK.start, action.c.created_at < WEEK.end,
        )  # fmt: skip
        rows = connection.execute(paid.group_by(action.c.currency)).all()
    receipts = {currency: int(total) for currency, total, _ in rows}
    found = report(desk)
    assert found["refunded"] == {"sums": receipts, "charges": sum(count for _, _, count in rows)}
    assert receipts == {"usd": 5 * 2900 + 101, "eur": 3 * 999, "jpy": 1200}
    for parts in ([one["sums"] for one in found["refunds_by_reason"]],):
        assert {c: sum(part.get(c, 0) for part in parts) for c in receipts} == receipts
    by_gap = {one["kind"]: one["refunded"] for one in found["gaps"]}
    assert by_gap["no_duplicate_guard"] == {"usd": 14500}
    assert by_gap["no_cancellation_flow"] == {"eur": 2997}


def test_gaps_stand_by_tickets_with_their_eight_weeks_owner_and_risk(desk: Indoors) -> None:
    lived(desk)
    shown = report(desk)["gaps"]
    assert [(one["kind"], one["tickets"]) for one in shown] == [(row[0], row[4][-1]) for row in SEEN]
    assert [tuple(one["weeks"]) for one in shown] == [row[4] for row in SEEN]
    assert [one["owner"] for one in shown] == ["growth", None, "billing", None]
    assert shown[1]["at_risk"] == {"usd": 4 * 9700}
    assert shown[0]["bucket"] == "duplicate_subscription"


def test_the_five_numbers_and_what_agents_did_with_suggestions(desk: Indoors) -> None:
    lived(desk)
    found = report(desk)
    tickets = 13 + 2 + 1  # under gaps, without one, and the undecided one; no newsletter, nothing of next week
    assert found["tickets"] == tickets
    assert found["fixed"] == {"tickets": 14, "percent": round(1400 / tickets)}
    assert found["handed_over"]["tickets"] == 2
    assert found["overruled"]["tickets"] == 1
    assert found["suggestions"] == {"accepted": 14, "edited": 1, "overruled": 1}
    assert 20 <= found["seconds_to_approve"]["median"] <= 70
    assert found["buckets"]["team_seats"] == 1
    assert sum(one["tickets"] for one in found["plans"]) == tickets


def test_what_stayed_fixed_and_what_came_back(desk: Indoors) -> None:
    lived(desk)
    found = report(desk)
    assert [(one["kind"], one["quiet_weeks"]) for one in found["stayed_fixed"]] == [("no_invoice_access", 3)]
    assert [(one["kind"], one["tickets"], one["reopened"]) for one in found["came_back"]] == [
        ("plan_changed_without_consent", 2, True)
    ]


def test_a_store_without_a_past_gives_an_empty_week(desk: Indoors) -> None:
    found = report(desk)
    assert (found["tickets"], found["gaps"], found["refunded"]) == (0, [], {"sums": {}, "charges": 0})
    assert found["seconds_to_approve"] == {"median": None, "change": None}
    assert "None." in gap_week_text.markdown(found)


@pytest.mark.parametrize("name", ["2026-W53", "2020-W53"])
def test_the_years_last_week_is_a_week_where_there_is_one(name: str) -> None:
    assert read_week(name).name == name
    assert week_of(read_week(name).start) == read_week(name)


@pytest.mark.parametrize("name", ["2026-W00", "2026-W54", "2026-47", "W47", "2026-W7", "0000-W01", "2026-W47\n", ""])
def test_another_name_is_no_week(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_week(name)


@pytest.mark.parametrize(("days", "says"), [(0, "16 to 22 November 2026"), (14, "30 November to 6 December 2026")])
def test_a_week_is_named_by_its_days(days: int, says: str) -> None:
    week = week_of(NOW + timedelta(days=days))
    last = (week.end - timedelta(days=1)).date()
    assert gap_week_text.span({"from": week.start.date().isoformat(), "to": last.isoformat()}) == says


def test_the_command_prints_json_or_markdown_and_refuses_another_week(desk: Indoors) -> None:
    lived(desk)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(gaps, arguments, obj=lambda: desk.product.desk)

    assert json.loads(run("--week", "2026-W47", "--json").stdout) == report(desk)
    text = run("--week", "2026-W47", "--markdown").stdout
    assert text == run("--markdown").stdout
    for said in (
        "16 to 22 November 2026",
        "- Refunded: **29.97 EUR, 1200 JPY, 146.01 USD** (10 charges)",
        "**No owner**",
    ):
        assert said in text
    assert run("--week", "47").exit_code == 2
    assert run("--json", "--markdown").exit_code == 2


def test_the_api_gives_the_week_when_it_is_asked_for(desk: Indoors) -> None:
    lived(desk)
    answer = desk.get("/api/gaps?week=2026-W47").get_json()
    assert answer["week"]["week"] == "2026-W47"
    assert "week" not in desk.get("/api/gaps").get_json()
    assert desk.get("/api/gaps?week=x").status_code == 400
    link = signed_link(desk.settings, desk.clock()).removeprefix(PUBLIC)
    text = desk.client.get(link + "&week=2026-W47&format=markdown")
    assert text.mimetype == "text/markdown"
    assert text.text.startswith("## Billing gaps")


def show(desk: Indoors, page: Page) -> None:
    """Open the report; what the page asks for is answered by the application in this process."""

    def answered(route: Route) -> None:
        path = route.request.url.removeprefix(PUBLIC)
        if path.startswith("/static/"):
            body, kind = asset(path.removeprefix("/static/"))
            return route.fulfill(body=body, content_type=kind)
        answer = desk.client.get(path)
        kept = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
        return route.fulfill(status=answer.status_code, headers=kept, body=answer.data)

    page.route(PUBLIC + "/**", answered)
    page.goto(PUBLIC + signed_link(desk.settings, desk.clock()).removeprefix(PUBLIC))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_looks_like_its_picture(
    desk: Indoors, open_page: Callable[..., Page], tmp_path: Path, scheme: str
) -> None:
    lived(desk)
    page = open_page(color_scheme=scheme, viewport={"width": 1246, "height": 952})
    show(desk, page)
    page.screenshot(path=str(tmp_path / f"week-{scheme}.png"), full_page=True)
    assert page.locator(".five > div").count() == 5
    assert page.locator("#week .spark").count() == 4
    assert page.locator("#week .spark").first.locator("rect").count() == 8
    assert page.locator(".noowner").count() == 2
    assert page.get_by_text("0 tickets in 3 weeks").is_visible()
    assert page.get_by_text("$388.00 USD / mo").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Previous week").click()
    assert "9 to 15 November 2026" in page.inner_text("#week")
