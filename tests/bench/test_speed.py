"""How fast is it, measured against a baseline in the same run? `make bench`; never part of `make test`.

Each figure is a median of interleaved repeats with its range; the machine's load is printed, because it decides.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from billing.decision import decide
from billing.policy import Policy
from testkit.rig import rigged
from tests.billing import builders

REPEATS = 7


def cpu(call: Callable[[], object], times: int) -> float:
    """CPU seconds a call, of this process."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def told(name: str, unit: str, values: list[float]) -> None:
    low, high = min(values), max(values)
    print(f"{name:<46} {statistics.median(values):9.2f} {unit}  ({low:.2f} to {high:.2f})")


def test_deciding_grows_with_the_number_of_objects_and_no_faster() -> None:
    """Microseconds an object at 100 and at 3,000 objects, and their ratio."""
    load = os.getloadavg()[0]
    print(f"\nload {load:.1f}, {REPEATS} repeats")
    small, large = _world(30), _world(1000)
    per_object: dict[int, list[float]] = {30: [], 1000: []}
    evidence = builders.ticket("charged twice this month", email=str(small.customers[0].email))
    assert decide(evidence, large, Policy()).plan.steps, "the history must be judged, not skipped"
    for _ in range(REPEATS):
        for months, world in ((30, small), (1000, large)):
            count = len(world.charges) + len(world.invoices) + len(world.subscriptions)
            seconds = cpu(lambda world=world: decide(evidence, world, Policy()), 20 if months == 30 else 2)
            per_object[months].append(seconds / count * 1e6)
    told("decide, small history", "µs an object", per_object[30])
    told("decide, 1,000 months of history", "µs an object", per_object[1000])
    told("ratio", "x", [statistics.median(per_object[1000]) / statistics.median(per_object[30])])


def test_accepting_a_delivery_costs_little_more_than_saying_hello(tmp_path: Path) -> None:
    """Wall milliseconds of the accepted webhook against /healthz of the same process, one after the other."""
    with rigged(tmp_path) as rig:
        user = rig.requester("bench@acme.example")
        tickets = [int(rig.zendesk.add_ticket("s", "t", user["id"], deliver=False)["id"]) for _ in range(REPEATS * 10)]
        rig.start()
        hello: list[float] = []
        accepted: list[float] = []
        for ticket in tickets:
            began = time.perf_counter()
            rig.get("/healthz", token=None)
            hello.append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            assert rig.deliver(ticket) == 202
            accepted.append((time.perf_counter() - began) * 1e3)
        print(f"\nload {os.getloadavg()[0]:.1f}")
        told("hello", "ms", hello)
        told("delivery stored and answered", "ms", accepted)
        told("ratio", "x", [statistics.median(accepted) / statistics.median(hello)])


def _world(months: int) -> builders.BillingSnapshot:
    """One subscription paid every day of its life, so that nothing is paid twice; and a duplicate of it."""
    base = builders.duplicate()
    first = builders.subscription(created=builders.NOW - timedelta(days=months + 60))
    paid = [builders.paid_period(first, builders.NOW - timedelta(days=60 + n)) for n in range(1, months)]
    invoices = tuple(
        replace(i, id=f"in_b{n}", payments=(), period_start=i.created, period_end=i.created + timedelta(days=1))
        for n, (i, _) in enumerate(paid)
    )
    charges = tuple(replace(c, id=f"ch_b{n}", invoice=f"in_b{n}") for n, (_, c) in enumerate(paid))
    return replace(base, invoices=base.invoices + invoices, charges=base.charges + charges)
