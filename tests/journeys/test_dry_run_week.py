"""Does an installation begin in dry run and go live, in its real processes and on either store?"""

from __future__ import annotations

import json
from pathlib import Path

from testkit.ledgers import notes_of
from testkit.rig import POLICY, WRITE_KEY, rigged
from testkit.worlds import duplicate, plan_of


def test_a_dry_run_records_what_agents_say_and_the_same_plan_is_applied_after_it(
    tmp_path: Path, store_url: str
) -> None:
    with rigged(tmp_path, store_url, policy=POLICY + "[people]\ndry_run = true\n") as rig:
        rig.environment["STRIPE_WRITE_KEY"] = ""
        seeded = duplicate(rig, plan_of(rig))
        rig.start()
        assert rig.deliver(seeded.ticket) == 202
        token = rig.launch()
        card = rig.card(seeded.ticket, token)
        answer = rig.approve(card, token)
        assert (answer.status_code, answer.json()["state"]) == (202, "stopped")
        recorded = rig.get(f"/api/approvals/{answer.json()['approval_id']}", token=token).json()
        assert (recorded["reason"], recorded["money_moved"]) == ("dry_run", {})
        assert rig.stripe.writes() == []
        assert rig.github.writes() == []
        assert notes_of(rig, "write_internal_note") == {seeded.ticket: 0}
        told = rig.cli("agreement", "--json")
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        assert (found["proposals"], found["answers"]["as_proposed"]) == (1, 1)
        assert found["would_have_moved"]["to_customers"] == {"usd": 2900}
        figures = rig.get("/metrics", token=None).text
        assert "billing_desk_parked_steps 0" in figures
        assert "billing_desk_money_moved_minor{" not in figures

        for pid in (rig.web, *rig.workers):
            rig.end(pid)
        rig.workers.clear()
        (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
        rig.environment["STRIPE_WRITE_KEY"] = WRITE_KEY
        rig.start()
        fresh = rig.card(seeded.ticket, token)
        assert fresh["approval"] is None
        live = rig.approve(fresh, token).json()["approval_id"]
        assert rig.finished(live, token)["money_moved"] == {"usd": 2900}
        assert [refund["charge"] for refund in rig.stripe.refunds()] == [seeded.charge]
        paid = 'billing_desk_money_moved_minor{currency="usd",kind="refund_charge"} 2900'
        assert paid in rig.get("/metrics", token=None).text
