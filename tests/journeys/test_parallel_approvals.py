"""Is one plan one effect, however many agents, tabs and clicks approve it at the same moment?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from testkit.ledgers import notes_of, renewing_subscriptions
from testkit.rig import Rig
from testkit.worlds import duplicate, plan_of

CLICKS = 50


def test_fifty_parallel_approvals_of_one_plan_have_one_effect_and_equal_answers(rig: Rig) -> None:
    seed = duplicate(rig, plan_of(rig))
    other = rig.zendesk.add_agent("Ben Ito", "ben@acme.example")
    rig.zendesk.account_limit = 1_000_000
    rig.start()
    assert rig.deliver(seed.ticket) == 202
    ana, ben = rig.launch(), rig.launch(other["id"])
    card = rig.card(seed.ticket, ana)
    with ThreadPoolExecutor(CLICKS) as pool:
        answers = list(pool.map(lambda number: rig.approve(card, ben if number % 2 else ana), range(CLICKS)))
    while any(answer.status_code == 503 for answer in answers):  # our own queue to Zendesk was too long: ask again
        answers = [
            rig.approve(card, ben if number % 2 else ana) if answer.status_code == 503 else answer
            for number, answer in enumerate(answers)
        ]
    winners = [answer for answer in answers if answer.status_code == 202]
    losers = [answer for answer in answers if answer.status_code != 202]
    assert winners
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in losers} == {(409, "already_approved")}
    assert len({answer.json()["approval_id"] for answer in answers}) == 1
    assert len(winners) == len(losers) == CLICKS // 2  # one agent's clicks, all of them
    done = rig.finished(winners[0].json()["approval_id"], ana)
    assert done["state"] == "done"
    assert [refund["charge"] for refund in rig.stripe.refunds()] == [seed.charge]
    assert renewing_subscriptions(rig) == {seed.kept}
    assert notes_of(rig, "write_internal_note") == {seed.ticket: 1}
