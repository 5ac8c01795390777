"""How do we call Stripe? One pinned version, our own session below the SDK, and no Stripe error past this module.

Measured reasons for each choice: the SDK retries nothing by default, waits 80 s, follows redirects, logs addresses.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

import stripe
from stripe import _util as stripe_util

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
from integrations.http import CappedSession, DeadlineExceeded, NotSent, RedirectRefused, ResponseTooLarge
from integrations.replies import retry_after

API_VERSION = "2026-10-28.endive"
OTHER_MODE = "other_mode"
"""Our code for: the id exists, in the other of test and live mode."""
# Named as 'rak_charge_read' until 2026, as ('charge_read') since: https://github.com/stripe/stripe-cli/pull/2017
_PERMISSION = re.compile(r"'(?:rak_)?([a-z_]{1,60}_(?:read|write))'")


def open_client(key: str, base: str, session: CappedSession) -> stripe.StripeClient:
    """A client on our session. It retries nothing by itself: reads are repeated by the reader, writes by the ladder."""
    silence()
    stripe.enable_telemetry = False
    http = stripe.RequestsClient(timeout=session.total_seconds, session=session)
    return stripe.StripeClient(
        key, stripe_version=API_VERSION, http_client=http, max_network_retries=0, base_addresses={"api": base}
    )


def silence() -> None:
    """Keep the SDK from logging: its lines carry addresses, parameters and masked keys.

    STRIPE_LOG is read once, at import, and then printed past the logger, so the copy is what has to go.
    """
    stripe.log = None
    logging.getLogger("stripe").disabled = True
    stripe_util.STRIPE_LOG = None


@contextlib.contextmanager
def translated(method: str, path: str) -> Iterator[None]:
    """Turn every Stripe exception of the block into ours; `path` is a template.

    The original is not chained: its text holds addresses, query strings and whole bodies, which tracebacks print.
    """
    try:
        yield
    except stripe.StripeError as error:
        raise _ours(error, method, path) from None
    except (ValueError, AttributeError, TypeError, KeyError):
        # The SDK itself stumbles over `null`, lists and wrong shapes in an answer.
        raise Garbled(service="stripe", method=method, path=path, retryable=True) from None


def _ours(error: stripe.StripeError, method: str, path: str) -> OutsideError:
    status, request_id, code = error.http_status, error.request_id, error.code or _inner_code(error)
    if isinstance(error, stripe.APIConnectionError):
        return _connection(error, method, path)
    if isinstance(error, stripe.RateLimitError) or status == 429:
        return RateLimited(
            service="stripe", method=method, path=path, status=status, request_id=request_id, code=code,
            retry_after=retry_after(error.headers or {}),
        )  # fmt: skip
    if isinstance(error, stripe.IdempotencyError):
        return Refused(
            service="stripe", method=method, path=path, status=status, request_id=request_id, code="idempotency_error"
        )
    if status == 404 and "similar object exists in" in _words(error):
        code = OTHER_MODE
    kind = _REFUSALS.get(status or 0)
    if kind is None and status is not None and 400 <= status < 500 and status != 408:
        kind = Refused
    if kind is not None:
        return kind(
            service="stripe", method=method, path=path, status=status, request_id=request_id, code=code,
            permission=_permission(error) if kind is Forbidden else None,
        )  # fmt: skip
    broken = Failed if status is not None and (status >= 500 or status == 408) else Garbled
    return broken(service="stripe", method=method, path=path, status=status, request_id=request_id, retryable=True)


_REFUSALS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}


def _connection(error: stripe.APIConnectionError, method: str, path: str) -> OutsideError:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, RedirectRefused):
        return Moved(service="stripe", method=method, path=path)
    if isinstance(cause, ResponseTooLarge):
        return Garbled(service="stripe", method=method, path=path)
    return Unreachable(
        service="stripe", method=method, path=path, sent=not isinstance(cause, NotSent),
        timed_out=isinstance(cause, DeadlineExceeded),
    )  # fmt: skip


def _inner_code(error: stripe.StripeError) -> str | None:
    code = getattr(error.error, "code", None)
    return code if isinstance(code, str) else None


def _permission(error: stripe.StripeError) -> str | None:
    """The missing permission's name out of Stripe's text, which itself quotes a masked key and goes nowhere."""
    found = _PERMISSION.search(_words(error))
    return f"rak_{found[1]}" if found else None


def _words(error: stripe.StripeError) -> str:
    """The beginning of Stripe's text, read for two facts and never passed on."""
    text: object = error.user_message
    return text[:2000] if isinstance(text, str) else ""
