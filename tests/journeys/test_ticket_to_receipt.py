"""From a ticket to a receipt, over real HTTP, on both stores."""

from __future__ import annotations

from testkit.rig import REPOSITORY, Rig
from testkit.worlds import duplicate


def test_a_duplicate_is_refunded_once_with_one_note_one_draft_and_one_issue(rig: Rig) -> None:
    rig.world.portal_configuration()
    seeded = duplicate(rig, rig.world.price(rig.world.product("Pro"), 2900))
    rig.start()
    assert rig.deliver(seeded.ticket) == 202
    token = rig.launch()
    card = rig.card(seeded.ticket, token)
    assert card["decision"]["bucket"] == "duplicate_subscription"
    assert rig.stripe.writes() == []
    answer = rig.approve(card, token)
    assert answer.status_code == 202, answer.text
    done = rig.finished(answer.json()["approval_id"], token)
    assert done["state"] == "done", done
    assert done["money_moved"] == {"usd": 2900}
    refunds = rig.stripe.refunds()
    assert [(r["charge"], r["amount"]) for r in refunds] == [(seeded.charge, 2900)]
    state = rig.stripe.state()
    renewing = [s["id"] for s in state["subscriptions"] if not s["cancel_at_period_end"] and not s["cancel_at"]]
    assert renewing == [seeded.kept]
    comments = next(t for t in rig.zendesk.state()["tickets"] if t["id"] == seeded.ticket)["comments"]
    assert [c["public"] for c in comments] == [True, False, False]  # the question, what was found, what was done
    assert done["reply"]["state"] == "ready"
    assert "We have refunded $29.00" in done["reply"]["body"]
    issues = rig.github.state()["repositories"][REPOSITORY]["issues"]
    assert len(issues) == 1
