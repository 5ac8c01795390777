"""Do limits hold when many approvals come at the same moment?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from testkit.rig import Rig
from testkit.storm import Crowd
from testkit.worlds import duplicate

APPROVALS, AMOUNT, FITTING = 20, 6_000, 8  # eight times 60.00 are within 500.00 a day, nine are not


def test_of_twenty_parallel_approvals_exactly_as_many_pass_as_the_daily_limit_holds(rig: Rig) -> None:
    rig.zendesk.account_limit = 1_000_000
    rig.world.portal_configuration()
    price = rig.world.price(rig.world.product("Pro"), AMOUNT)
    seeds = [duplicate(rig, price, number) for number in range(APPROVALS)]
    rig.start()
    crowd = Crowd(rig, token=rig.launch())
    crowd.deliver_all([seed.ticket for seed in seeds])
    crowd.wait_for_cards(APPROVALS)
    cards = [rig.card(seed.ticket, crowd.token) for seed in seeds]

    def approve(card: dict[str, object]) -> requests.Response:
        while (answer := rig.approve(card, crowd.token)).status_code == 503:
            pass  # our own queue to a vendor was too long: nothing was done, ask again
        return answer

    with ThreadPoolExecutor(APPROVALS) as pool:
        answers = list(pool.map(approve, cards))
    passed = [answer.json()["approval_id"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(passed) == FITTING
    assert {(one.status_code, one.json()["error"]["code"]) for one in refused} == {(403, "limit_exceeded")}
    for approval_id in passed:
        assert rig.finished(approval_id, crowd.token)["state"] == "done"
    assert [refund["amount"] for refund in rig.stripe.refunds()] == [AMOUNT] * FITTING
