"""What do the vendors' own books say after a journey? Read from the twins, not from our store."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

from testkit.rig import REPOSITORY, Rig
from testkit.storm import Crowd
from testkit.worlds import Duplicate

AMOUNT = 2900


def check_once(
    rig: Rig, seeds: list[Duplicate], crowd: Crowd, seconds: float = 90.0, *, others: Collection[int] = ()
) -> None:
    """Every ticket's approval took effect exactly once, at every vendor and in our own record.

    `others`: tickets that were delivered and not approved.
    """
    assert set(crowd.approved) == {seed.ticket for seed in seeds}
    assert set(crowd.accepted) == {*crowd.approved, *others}
    receipts = _receipts(rig, crowd, seconds)
    refunds = rig.stripe.refunds()
    paid = Counter(refund["charge"] for refund in refunds)
    assert paid == {seed.charge: 1 for seed in seeds}, _odd(paid)
    assert {refund["amount"] for refund in refunds} == {AMOUNT}
    assert sorted(receipts) == sorted(refund["id"] for refund in refunds)
    renewing = renewing_subscriptions(rig)
    assert renewing == {seed.kept for seed in seeds}
    for stage in ("write_internal_note", "enrich"):
        notes = notes_of(rig, stage)
        expected = {seed.ticket: 1 for seed in seeds} | dict.fromkeys(others, int(stage == "enrich"))
        assert notes == expected, f"{stage}: {_odd(notes)}"
    issues = rig.github.state()["repositories"][REPOSITORY]["issues"]
    assert len(issues) == 1
    gaps = rig.cli("gaps", "--json")
    assert gaps.returncode == 0, gaps.stderr
    (gap,) = json.loads(gaps.stdout)["gaps"]
    assert (gap["tickets"], gap["customers"], gap["refunded"]) == (len(seeds), len(seeds), {"usd": AMOUNT * len(seeds)})
    assert f"| Cases | **{len(seeds)}** |" in issues[0]["body"]
    verified = rig.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for twin in (rig.stripe, rig.zendesk, rig.github):
        assert twin.crashes == []


def notes_of(rig: Rig, stage: str) -> dict[int, int]:
    """How many comments of this stage of ours each ticket carries."""
    found: Counter[int] = Counter()
    for ticket in rig.zendesk.state()["tickets"]:
        for comment in ticket["comments"]:
            mark = (comment.get("metadata") or {}).get("custom", {}).get("billing_desk") or {}
            found[ticket["id"]] += mark.get("stage") == stage
    return dict(found)


def renewing_subscriptions(rig: Rig) -> set[str]:
    return {
        one["id"]
        for one in rig.stripe.state()["subscriptions"]
        if one["status"] == "active" and not one["cancel_at_period_end"] and not one["cancel_at"]
    }


def _receipts(rig: Rig, crowd: Crowd, seconds: float) -> list[str]:
    """The refund receipts of all approvals, once all have ended."""
    end, found = time.monotonic() + seconds, []
    for approval in crowd.approved.values():
        document = rig.finished(approval, crowd.token, max(1.0, end - time.monotonic()))
        assert document["state"] == "done", document
        assert document["money_moved"] == {"usd": AMOUNT}
        found += [step["receipt"]["refund"] for step in document["steps"] if step["kind"] == "refund_charge"]
    return found


def _odd(counts: Any) -> dict[Any, int]:
    return {name: count for name, count in counts.items() if count != 1}
