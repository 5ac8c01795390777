"""How do tests speak with the Stripe twin on the wire, without the SDK?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import requests

from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86_400


def call(
    twin: StripeTwin,
    method: str,
    path: str,
    params: dict[str, Any] | None = None,
    *,
    key: str = DEFAULT_KEY,
    idempotency: str | None = None,
    version: str | None = None,
) -> requests.Response:
    sent = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency, "Stripe-Version": version}
    form, query = (params, None) if method == "POST" else (None, params)
    return requests.request(method, twin.url + path, headers=sent, data=form, params=query, timeout=5)


def error(answer: requests.Response, status: int) -> dict[str, Any]:
    """The error object of an answer that must have this status and a request id."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Request-Id"].startswith("req_")
    found: dict[str, Any] = answer.json()["error"]
    return found


def ids(answer: requests.Response) -> list[str]:
    """The ids of a list answer, in its order."""
    assert answer.status_code == 200, answer.text
    return [made["id"] for made in answer.json()["data"]]
