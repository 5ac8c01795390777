"""Which "no" does the API give? One exception that the blueprint turns into the error envelope of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS: Mapping[str, int] = {
    "bad_request": 400,
    "unauthorized": 401,
    "not_allowed": 403,
    "limit_exceeded": 403,
    "second_approval_required": 403,
    "requester_not_verified": 403,
    "no_access_to_ticket": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "plan_changed": 409,
    "already_approved": 409,
    "not_reversible": 409,
    "too_late": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "confirmation_needed": 422,
    "reply_claims": 422,  # the edited reply says what no step of the approval bears out; `claims` names each
    "server_error": 500,
    "upstream_no_answer": 503,
    "not_configured": 503,
    "store_unavailable": 503,
}


class Refusal(Exception):
    """`code` is one of STATUS; `message` is for a person and says how to go on; `extra` goes beside `error`."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(code)
        self.code, self.message, self.extra = code, message, extra

    @property
    def status(self) -> int:
        return STATUS[self.code]
