"""A Stripe twin at a fixed time, with one customer who has a charge or a subscription."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integrations.twins.stripe_twin import StripeTwin, World
from testkit.stripe_calls import DAY, NOW


@pytest.fixture
def twin() -> Iterator[StripeTwin]:
    with StripeTwin(clock=lambda: NOW) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def world(twin: StripeTwin) -> World:
    return World(twin)


@pytest.fixture
def charge(world: World) -> dict[str, Any]:
    return world.charge(world.customer("ann@example.com", id="cus_ann"), 2900, id="ch_one")


@pytest.fixture
def subscription(world: World) -> dict[str, Any]:
    customer = world.customer("ann@example.com", id="cus_ann")
    price = world.price(world.product("Pro"), 2900, id="price_pro")
    return world.subscription(customer, price, created=int(NOW.timestamp()) - 40 * DAY, id="sub_one", item_id="si_one")
