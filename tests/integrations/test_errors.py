"""Does an error of the outside world say enough, and nothing personal?"""

from __future__ import annotations

import pickle
from typing import Any

import pytest

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
    safe_code,
    safe_path,
)

AT: dict[str, Any] = {"service": "stripe", "method": "POST", "path": "/v1/refunds"}


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (Unreachable(**AT), True),
        (Unreachable(**AT, sent=False), False),
        (Failed(**AT, status=500), True),
        (Garbled(**AT, status=200), True),
        (Moved(**AT, status=307), True),
        (RateLimited(**AT, status=429), False),
        (Refused(**AT, status=402, code="card_declined"), False),
        (Unauthorized(**AT, status=401), False),
        (Forbidden(**AT, status=403), False),
        (NotFound(**AT, status=404), False),
        (Conflict(**AT, status=409), False),
        (Conflict(**AT, status=409, code="idempotency_key_in_use"), True),
        (Failed(service="stripe", method="GET", path="/v1/refunds", status=500), False),
    ],
)
def test_only_failures_after_which_the_effect_may_exist_are_of_unknown_outcome(
    error: OutsideError, unknown: bool
) -> None:
    assert error.unknown_outcome is unknown


def test_the_message_names_service_call_status_and_request() -> None:
    error = Forbidden(**AT, status=403, request_id="req_Ab12", code="no_access", permission="tickets:write")
    assert str(error) == (
        "stripe POST /v1/refunds: not permitted (no_access, needs tickets:write, status 403, request req_Ab12)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.org",
        "jane%40example.org",
        "4242424242424242",
        "sk_live_51abcdef",
        "rk_test_51abcdef",
        "whsec_abcdef",
        "github_pat_11AA",
        "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        "No such customer: Jane Doe",
        "-----BEGIN PRIVATE KEY-----",
        "x" * 300,
        "",
        None,
        7,
    ],
)
def test_what_is_not_plainly_a_code_is_dropped(text: object) -> None:
    assert safe_code(text) is None
    error = Refused(**AT, code=text, request_id=text, permission=text)  # type: ignore[arg-type]  # hostile on purpose
    if isinstance(text, str) and text:
        assert text not in str(error)


@pytest.mark.parametrize(
    "code", ["card_declined", "idempotency_key_in_use", "RecordNotFound", "resource_missing", "E404"]
)
def test_codes_of_the_vendors_are_kept(code: str) -> None:
    assert safe_code(code) == code


def test_a_path_loses_its_query_and_what_is_no_id() -> None:
    assert safe_path("/api/v2/users/{user_id}") == "/api/v2/users/{user_id}"
    assert safe_path("/search?query=jane@example.org#x") == "/search"
    assert safe_path("/customers/jane@example.org/x") == "/customers/…/x"
    assert safe_path("/keys/sk_live_123") == "/keys/…"
    assert safe_path("/v1/charges/ch_3Abc/refunds") == "/v1/charges/ch_3Abc/refunds"


def test_an_error_survives_pickling_as_the_durable_engine_does_it() -> None:
    error = RateLimited(**AT, status=429, retry_after=2.5, code="rate_limit")
    error.add_note("a note is not carried over")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(copy) is RateLimited
    assert (copy.retry_after, copy.code, copy.status, str(copy)) == (2.5, "rate_limit", 429, str(error))
    unreachable = pickle.loads(pickle.dumps(Unreachable(**AT, sent=False)))  # noqa: S301  our own bytes
    assert unreachable.unknown_outcome is False
