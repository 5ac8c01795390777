"""Is every failure of Stripe's SDK turned into ours, with the outcome told right and nothing personal in it?"""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
import requests
import responses
import stripe

from integrations.errors import (
    Conflict,
    Failed,
    Forbidden,
    Garbled,
    Moved,
    NotFound,
    OutsideError,
    RateLimited,
    Refused,
    Unauthorized,
    Unreachable,
)
from integrations.http import CappedSession
from integrations.stripe_calls import API_VERSION, OTHER_MODE, open_client, silence, translated
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World

BASE = "https://api.stripe.com"
REFUNDS = f"{BASE}/v1/refunds"
SECRETS = ("ann@example.com", "rk_live_", "4242", "ch_1")
MESSAGE = "Charge ch_1 of ann@example.com (4242), key rk_live_abc"


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def client(base: str = BASE, seconds: float = 2.0) -> stripe.StripeClient:
    return open_client(DEFAULT_KEY, base, CappedSession(total_seconds=seconds))


def refund(base: str = BASE, seconds: float = 2.0) -> OutsideError:
    """What a refund on ch_1 raises."""

    def create() -> None:
        with translated("POST", "/v1/refunds"):
            answer: Any = client(base, seconds).v1.refunds.create({"charge": "ch_1", "metadata": {"of": SECRETS[0]}})
            assert answer.id  # `null` and lists come through the SDK without a word

    with pytest.raises(OutsideError) as raised:
        create()
    return raised.value


def test_the_version_is_the_one_the_sdk_was_made_for() -> None:
    assert stripe._api_version._ApiVersion.CURRENT == API_VERSION


TABLE: list[tuple[int, dict[str, Any], type[OutsideError], str | None, bool]] = [
    (400, {"code": "charge_already_refunded"}, Refused, "charge_already_refunded", False),
    (400, {"type": "idempotency_error"}, Refused, "idempotency_error", False),
    (400, {"code": "rate_limit"}, RateLimited, "rate_limit", False),
    (401, {}, Unauthorized, None, False),
    (402, {"code": "card_declined", "type": "card_error"}, Refused, "card_declined", False),
    (403, {}, Forbidden, None, False),
    (404, {"code": "resource_missing"}, NotFound, "resource_missing", False),
    (408, {}, Failed, None, True),
    (409, {"code": "idempotency_key_in_use", "type": "idempotency_error"}, Conflict, "idempotency_key_in_use", True),
    (409, {}, Conflict, None, False),
    (429, {"code": "lock_timeout"}, RateLimited, "lock_timeout", False),
    (500, {"type": "api_error"}, Failed, None, True),
    (503, {"code": "x"}, Failed, None, True),
]


@pytest.mark.parametrize(("status", "error", "kind", "code", "unknown"), TABLE)
def test_each_answer_becomes_one_error_with_stripes_code_and_nothing_of_its_text(
    wire: responses.RequestsMock, status: int, error: dict[str, Any], kind: type[OutsideError], code: str | None,
    unknown: bool,
) -> None:  # fmt: skip
    body = {"error": {"message": MESSAGE, "type": "invalid_request_error", **error}}
    wire.post(REFUNDS, status=status, json=body, headers={"Request-Id": "req_1"})
    found = refund()
    assert type(found) is kind
    assert (found.status, found.unknown_outcome, getattr(found, "code", None)) == (status, unknown, code)
    assert len(wire.calls) == 1
    told = "".join(traceback.format_exception(found))
    assert not [secret for secret in SECRETS if secret in str(found) + "".join(traceback.format_exception_only(found))]
    assert "direct cause" not in told
    assert "ann@example.com (4242)" not in told


@pytest.mark.parametrize(
    "words",
    [
        "Having the 'rak_charge_write' permission",
        "Enabling Charges and Refunds Write ('charge_write') permissions on this key",
    ],
)
def test_a_missing_permission_is_named_and_a_masked_key_is_not(wire: responses.RequestsMock, words: str) -> None:
    text = f"The provided key 'rk_test_****1234' may not. {words} would allow this."
    wire.post(REFUNDS, status=403, json={"error": {"message": text, "type": "invalid_request_error"}})
    found = refund()
    assert isinstance(found, Forbidden)
    assert found.permission == "rak_charge_write"
    assert "1234" not in str(found)


def test_an_id_of_the_other_mode_has_a_code_of_its_own(wire: responses.RequestsMock) -> None:
    text = "No such charge: 'ch_1'; a similar object exists in live mode, but a test mode key was used."
    wire.post(REFUNDS, status=404, json={"error": {"message": text, "code": "resource_missing"}})
    found = refund()
    assert isinstance(found, NotFound)
    assert found.code == OTHER_MODE


def test_how_long_to_wait_is_passed_on(wire: responses.RequestsMock) -> None:
    wire.post(REFUNDS, status=429, json={"error": {"message": "slow"}}, headers={"Retry-After": "7"})
    found = refund()
    assert isinstance(found, RateLimited)
    assert found.retry_after == 7.0


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b"[1]", b'"text"', b"5", b'{"id":', b"\xff\xfe"])
def test_a_2xx_that_is_no_object_is_garbled(wire: responses.RequestsMock, body: bytes) -> None:
    wire.post(REFUNDS, status=200, body=body)
    found = refund()
    assert type(found) is Garbled
    assert found.unknown_outcome


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b'{"error": 5}', b'{"error": "text"}', b'{"error": null}'])
def test_an_error_page_in_place_of_an_error_is_still_an_error_of_ours(
    wire: responses.RequestsMock, body: bytes
) -> None:
    for status in (400, 500, 502):
        wire.post(REFUNDS, status=status, body=body)
        found = refund()
        assert isinstance(found, Refused if status == 400 else Failed) or type(found) is Garbled
        wire.reset()


@pytest.mark.parametrize(
    "broken", [requests.exceptions.ConnectionError("x ann@example.com"), requests.exceptions.ChunkedEncodingError()]
)
def test_a_broken_connection_leaves_the_outcome_open(wire: responses.RequestsMock, broken: Exception) -> None:
    wire.post(REFUNDS, body=broken)
    found = refund()
    assert isinstance(found, Unreachable)
    assert found.unknown_outcome
    assert "ann" not in "".join(traceback.format_exception_only(found))


KINDS: list[tuple[str, type[OutsideError], bool]] = [
    ("hang_before", Unreachable, True), ("reset_before", Unreachable, True), ("reset_after", Unreachable, True),
    ("close_after", Unreachable, True), ("drip", Unreachable, True), ("drip_header", Unreachable, True),
    ("truncated", Unreachable, True), ("huge", Garbled, True), ("gzip_bomb", Garbled, True), ("empty", Garbled, True),
    ("html_200", Garbled, True), ("html_502", Failed, True), ("redirect", Moved, True),
    ("rate_limited", RateLimited, False),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "unknown"), KINDS)
def test_each_fault_of_a_real_server_becomes_one_error(fault: str, kind: type[OutsideError], unknown: bool) -> None:
    with StripeTwin() as twin:
        World(twin).charge(None, 2900, id="ch_1")
        twin.faults.add(fault, megabytes=20)
        found = refund(twin.url, 0.5)
    assert type(found) is kind
    assert found.unknown_outcome is unknown


def test_a_server_that_is_not_there_got_nothing() -> None:
    with StripeTwin() as twin:
        gone = twin.url
    found = refund(gone)
    assert isinstance(found, Unreachable)
    assert (found.sent, found.unknown_outcome) == (False, False)


def test_other_mistakes_of_the_block_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), translated("GET", "/v1/refunds"):
        raise ZeroDivisionError


def test_the_sdk_logs_and_prints_nothing_even_when_it_was_told_to(
    wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "log", "debug")
    monkeypatch.setattr(stripe._util, "STRIPE_LOG", "debug")
    monkeypatch.setattr(logging.getLogger("stripe"), "disabled", False)
    caplog.set_level(logging.DEBUG)
    wire.get(f"{BASE}/v1/customers", status=400, json={"error": {"message": MESSAGE}})
    printed, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(errors), pytest.raises(Refused), translated("GET", "/v1/customers"):
        client().v1.customers.list({"email": "ann@example.com"})
    assert printed.getvalue() + errors.getvalue() == ""
    assert [record for record in caplog.records if record.name == "stripe"] == []


def test_silence_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "log", "info")
    silence()
    silence()
    assert stripe.log is None
    assert logging.getLogger("stripe").disabled


def test_the_client_repeats_nothing_sends_no_telemetry_and_carries_the_pinned_version(
    wire: responses.RequestsMock,
) -> None:
    wire.get(f"{BASE}/v1/charges/ch_1", status=503, json={"error": {"message": "x"}})
    with pytest.raises(Failed), translated("GET", "/v1/charges/{id}"):
        client().v1.charges.retrieve("ch_1")
    (call,) = wire.calls
    assert call.request.headers["Stripe-Version"] == API_VERSION
    assert "X-Stripe-Client-Telemetry" not in call.request.headers
    assert stripe.enable_telemetry is False
