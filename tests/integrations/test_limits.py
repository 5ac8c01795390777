"""Do we stay within what a neighbour grants, and does waiting end?"""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.limits import Congested, Gate, TokenBucket, Watchdog, resolve
from integrations.tokens import Granted, TokenCache


class Hand:
    """A clock turned by hand; sleeping turns it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@given(st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=60), st.integers(1, 5))
def test_no_more_than_burst_plus_rate_leave_in_any_time(pauses: list[float], burst: int) -> None:
    clock = Hand()
    bucket = TokenBucket(2.0, burst, clock=clock)
    leaves = []
    for pause in pauses:
        clock.now += pause
        wait = bucket.reserve()
        assert wait is not None
        leaves.append(clock.now + wait)
    for first in range(len(leaves)):
        for last in range(first, len(leaves)):
            assert last - first + 1 <= burst + 2.0 * (leaves[last] - leaves[first]) + 1e-6


def test_a_place_that_would_come_too_late_is_not_taken() -> None:
    bucket = TokenBucket(1.0, 1, clock=Hand())
    assert bucket.reserve() == 0
    assert bucket.reserve(most=0.5) is None
    assert bucket.reserve(most=1.5) == pytest.approx(1.0)


def test_after_a_complaint_the_bucket_closes_then_runs_at_half_the_rate() -> None:
    clock = Hand()
    bucket = TokenBucket(2.0, 1, clock=clock)
    bucket.reserve()
    bucket.complain(10.0, slow_seconds=20.0)
    assert bucket.reserve() == pytest.approx(10.0)
    clock.now += 11
    bucket.reserve()
    waits = (bucket.reserve(), bucket.reserve())
    assert waits[0] is not None
    assert waits[1] is not None
    assert waits[1] - waits[0] == pytest.approx(1.0)


def test_a_bucket_without_a_rate_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="positive rate"):
        TokenBucket(0, 1)


def test_the_gate_waits_for_its_token_and_gives_up_at_the_deadline() -> None:
    clock = Hand()
    gate = Gate(4, TokenBucket(1.0, 1, clock=clock), clock=clock, sleep=clock.sleep)
    with gate.passing(clock.now + 5):
        pass
    with gate.passing(clock.now + 5):
        pass
    assert clock.slept == [pytest.approx(1.0)]
    with pytest.raises(Congested), gate.passing(clock.now + 0.5):
        pass


def test_a_full_gate_lets_the_next_one_in_when_somebody_leaves() -> None:
    gate = Gate(1)
    with gate.passing(time.monotonic() + 1), pytest.raises(Congested), gate.passing(time.monotonic()):
        pass
    with gate.passing(time.monotonic()):
        pass


def test_the_watchdog_shuts_a_connection_at_its_deadline_and_leaves_a_released_one_alone() -> None:
    dog = Watchdog()
    ours, theirs = socket.socketpair()
    kept, other = socket.socketpair()
    released = dog.watch(kept.fileno(), time.monotonic() + 0.03)
    assert dog.release(released) is False
    shut = dog.watch(ours.fileno(), time.monotonic() + 0.05)
    ours.settimeout(2)
    assert ours.recv(1) == b""
    assert dog.release(shut) is True
    kept.sendall(b"x")
    assert other.recv(1) == b"x"
    for one in (ours, theirs, kept, other):
        one.close()


def test_an_earlier_deadline_overtakes_a_later_one() -> None:
    dog = Watchdog()
    slow, slow_peer = socket.socketpair()
    fast, fast_peer = socket.socketpair()
    far = dog.watch(slow.fileno(), time.monotonic() + 60)
    dog.watch(fast.fileno(), time.monotonic() + 0.03)
    fast.settimeout(2)
    assert fast.recv(1) == b""
    assert dog.release(far) is False
    for one in (slow, slow_peer, fast, fast_peer):
        one.close()


def test_a_resolver_that_hangs_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        done.wait(2)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(TimeoutError):
        resolve("api.stripe.com", 443, 0.02)
    done.set()
    assert resolve("127.0.0.1", 443, 0.0) == ("127.0.0.1",)


def test_threads_share_one_fetch_of_a_token_which_is_renewed_at_four_fifths_of_its_life() -> None:
    clock = Hand()
    fetched: list[int] = []

    def fetch() -> Granted:
        fetched.append(1)
        time.sleep(0.005)
        return Granted(token=f"t{len(fetched)}", seconds=100)

    cache = TokenCache(fetch, clock=clock)
    threads = [threading.Thread(target=cache.current) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.current().token == "t1"
    clock.now += 79
    assert cache.current().token == "t1"
    clock.now += 1
    assert cache.current().token == "t2"


def test_dropping_a_token_that_was_replaced_meanwhile_keeps_the_new_one() -> None:
    tokens = iter(("first", "second", "third"))
    cache = TokenCache(lambda: Granted(token=next(tokens), seconds=100))
    first = cache.current()
    cache.drop(first)
    assert cache.current().token == "second"
    cache.drop(first)
    assert cache.current().token == "second"
