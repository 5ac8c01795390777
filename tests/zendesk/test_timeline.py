"""Does the drawing put bars, marks and labels where the billing history has them?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.zendesk import cards
from tests.zendesk.cards import NOW, charge, subscription
from zendesk.timeline import Timeline, interval_name, price, timeline
from zendesk.wording import Wording

SAY = Wording(lang="en", now=NOW)


def drawn(state: dict[str, Any]) -> Timeline:
    drawing = timeline(state, NOW, SAY)
    assert drawing is not None
    return drawing


def test_no_history_is_no_drawing() -> None:
    assert timeline({"subscriptions": [], "charges": []}, NOW, SAY) is None


def test_a_duplicate_has_a_plain_lane_and_a_hatched_one_with_the_charge_in_question() -> None:
    drawing = drawn(cards.duplicate()["billing_state"])
    kept, extra = drawing.lanes
    assert [bar.css for bar in kept.bars] == ["bar", "bar--next"]
    assert [(bar.css, bar.hatched) for bar in extra.bars] == [("bar--warn", True), ("bar--warn-next", False)]
    assert [mark.kind for mark in kept.marks] == ["paid", "paid", "paid", "next"]
    affected = extra.marks[0]
    assert affected.halo
    assert affected.label == "$29.00 · 12 Nov"
    assert str(extra.tag) == "Active, extra"


def test_the_window_is_about_a_hundred_days_and_holds_the_next_charges() -> None:
    drawing = drawn(cards.duplicate()["billing_state"])
    assert [label for _, label in drawing.ticks] == ["Sep", "Oct", "Nov", ""]
    assert 70 < drawing.today < 85
    assert all(0 <= mark.x <= 100 for lane in drawing.lanes for mark in lane.marks)


def test_failures_side_by_side_become_one_pill_with_their_days() -> None:
    marks = drawn(cards.failed_payment()["billing_state"]).lanes[0].marks
    pill = next(mark for mark in marks if mark.kind == "fail")
    assert pill.count == 3
    assert pill.label == "10, 13, 18 Nov"


def test_unpaid_time_is_red_from_the_open_invoice_on() -> None:
    bars = drawn(cards.failed_payment()["billing_state"]).lanes[0].bars
    assert [bar.css for bar in bars] == ["bar", "bar--bad", "bar--next"]
    assert bars[0].x + bars[0].width == pytest.approx(bars[1].x)


def test_lanes_of_several_people_carry_their_names() -> None:
    lanes = drawn(cards.team_seats()["billing_state"]).lanes
    assert [lane.name for lane in lanes] == ["Priya R.", "Tom B.", "Lena K.", "Omar S."]


def test_an_annual_plan_looks_back_to_its_charge() -> None:
    marks = drawn(cards.chosen_person()["billing_state"]).lanes[0].marks
    assert [(mark.kind, mark.label) for mark in marks] == [
        ("paid", "$1,188.00 · 9 Sep"), ("paid", ""), ("disp", "Dispute · 19 Nov"),
    ]  # fmt: skip


def test_a_dispute_of_an_unknown_day_marks_its_charge() -> None:
    state = cards.merged(cards.chosen_person()["billing_state"])
    del state["disputes"][0]["created"]
    marks = drawn(state).lanes[0].marks
    assert [(mark.kind, mark.label) for mark in marks] == [("disp", "Disputed · 9 Sep"), ("paid", "")]


def test_a_refund_and_an_end_have_their_own_marks() -> None:
    state = {
        "subscriptions": [subscription("s", "2026-06-05T00:00:00Z", "2026-11-05T00:00:00Z", status="canceled",
                                       ended_at="2026-11-05T00:00:00Z")],
        "charges": [charge("c", "2026-10-05T00:00:00Z", "s", amount_refunded=2900)],
        "refunds": [{"charge": "c", "amount": 2900, "currency": "usd", "created": "2026-10-20T00:00:00Z"}],
    }  # fmt: skip
    drawing = drawn(state)
    assert [mark.kind for mark in drawing.lanes[0].marks] == ["paid", "back", "end"]
    assert [bar.css for bar in drawing.lanes[0].bars] == ["bar"]
    assert "Refunded on 20 Oct." in drawing.summary
    assert [kind for kind, _ in drawing.legend] == ["paid", "back", "end"]


def test_five_lanes_at_most_problems_first() -> None:
    drawing = drawn(cards.busy()["billing_state"])
    tags = {str(lane.tag) for lane in drawing.lanes}
    assert len(drawing.lanes) == 5
    assert drawing.more == 2
    assert {"Past due", "Unpaid", "Paused", "Incomplete"} <= tags


def test_payments_without_a_subscription_have_a_lane_of_their_own() -> None:
    drawing = drawn(cards.one_off()["billing_state"])
    assert [lane.name for lane in drawing.lanes] == ["One-off payments"]
    assert drawing.lanes[0].bars == ()


def test_the_table_lists_what_the_drawing_shows_newest_first() -> None:
    table = drawn(cards.duplicate()["billing_state"]).table
    assert [row.date for row in table] == ["12 Dec", "3 Dec", "12 Nov", "3 Nov", "3 Oct", "3 Sep"]
    assert table[2].name == "Pro, monthly (extra)"
    assert str(table[2].what) == "Paid"
    assert table[2].amount == "$29.00"


def test_labels_do_not_overlap_on_the_narrowest_panel() -> None:
    charges = [charge(f"c{n}", f"2026-11-{n:02d}T00:00:00Z", None, affected=True) for n in (2, 5, 9, 20)]
    marks = drawn({"subscriptions": [], "charges": charges}).lanes[0].marks
    labelled = [mark for mark in marks if mark.label]
    assert 0 < len(labelled) < 4
    assert labelled[-1].label.endswith("20 Nov")


def test_the_summary_is_sentences_that_name_every_lane() -> None:
    summary = str(drawn(cards.duplicate()["billing_state"]).summary)
    assert summary.startswith("2 subscriptions. Pro, monthly, Active, $29.00 / mo. Paid on 3 Sep, 3 Oct and 3 Nov.")
    assert re.search(r"Next charge: 12 Dec\.$", summary)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "$29.00 / mo"),
        ({"quantity": 3, "amount": 8700}, "3 × $29.00 / mo"),
        ({"quantity": 3, "amount": 100}, "$1.00 / mo"),
        ({"interval": "year", "amount": 118800}, "$1,188.00 / yr"),
        ({"interval_count": 3}, "$29.00 / 3 mo"),
        ({"currency": "jpy", "amount": 500}, "¥500 / mo"),
        ({"currency": "kwd", "amount": 1500}, "KWD\u00a01.500 / mo"),
        ({"interval": None}, "$29.00"),
        ({"amount": None}, ""),
    ],
)
def test_a_price_is_written_with_its_currency_and_interval(changes: dict[str, Any], expected: str) -> None:
    assert price(subscription("s", "", "", **changes), SAY) == expected


def test_an_unknown_interval_has_no_name() -> None:
    assert interval_name({"interval": "fortnight"}, SAY) == ""


def test_rows_with_missing_or_odd_times_are_left_out_and_break_nothing() -> None:
    state = {"subscriptions": [{"id": "s"}], "charges": [{"id": "c", "created": "yesterday"}, {"id": "d"}]}
    assert drawn(state).table == ()
