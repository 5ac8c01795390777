"""How does one call of the executor go out and come back, in the time that is left for its step?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple

import stripe

from billing.plan import Receipt
from integrations.errors import Forbidden, Garbled, OutsideError, Refused, Unauthorized, Unreachable
from integrations.http import CappedSession, within
from integrations.stripe_calls import open_client, translated

MARK = "billing_desk_action"
ENDED = frozenset({"canceled", "incomplete_expired"})
NEVER_PAID = frozenset({"failed", "canceled"})  # statuses of a refund that moves nothing, or moved back
_ends: ContextVar[float] = ContextVar("ends")  # of the step in hand, monotonic seconds


class Written(NamedTuple):
    """The object Stripe gave and its status; of a credit note that refunds, the refund and the refund's status."""

    id: str
    status: str | None
    refund: str | None = None


class No(Exception):
    """A precondition does not hold any more: nothing was sent. The text is the reason code."""


class StripeWire:
    """Thread-safe. Every call happens inside `bounded` and raises OutsideError."""

    def __init__(self, key: str, base: str, session: CappedSession) -> None:
        self._seconds = session.total_seconds
        self.v1 = open_client(key, base, session).v1

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """All calls of the block together take no longer than the session's `total_seconds`."""
        token = _ends.set(time.monotonic() + self._seconds)
        try:
            yield
        finally:
            _ends.reset(token)

    def subscription(self, identifier: str) -> stripe.StripeObject:
        return self.call("GET", "/v1/subscriptions/{id}", self.v1.subscriptions.retrieve, identifier)

    def invoice(self, identifier: str) -> stripe.StripeObject:
        return self.call("GET", "/v1/invoices/{id}", self.v1.invoices.retrieve, identifier)

    def charge(self, identifier: str) -> stripe.StripeObject:
        return self.call("GET", "/v1/charges/{id}", self.v1.charges.retrieve, identifier)

    def intent(self, identifier: str) -> str:
        """The payment intent's id; a plan may name its charge. Raises No where there is none."""
        if not identifier.startswith(("ch_", "py_")):
            return identifier
        intent = getattr(self.charge(identifier), "payment_intent", None)
        if not isinstance(intent, str):
            raise No("no_payment_intent")
        return intent

    def noted(self, note: Any) -> Written:
        """A credit note as written, with its refund when it made one.

        Does not raise: the note stands. A refund that cannot be read counts as on its way, and is asked about later.
        """
        made = next((one.refund for one in getattr(note, "refunds", None) or () if isinstance(one.refund, str)), None)
        if made is None:
            return written(note)
        try:
            status = status_of(self.call("GET", "/v1/refunds/{id}", self.v1.refunds.retrieve, made))
        except OutsideError:
            status = None
        return Written(str(note.id), status or "pending", made)

    def one(self, method: str, path: str, call: Callable[..., Any], *args: Any) -> Written:
        return written(self.call(method, path, call, *args))

    def call(self, method: str, path: str, call: Callable[..., Any], *args: Any) -> stripe.StripeObject:
        """The object that Stripe answers with. Raises OutsideError, Garbled for an answer without an id."""
        answer = _asked(method, path, call, *args)
        if not isinstance(answer, stripe.StripeObject) or not isinstance(getattr(answer, "id", None), str):
            raise Garbled(service="stripe", method=method, path=path, status=200)
        return answer

    def list(self, path: str, call: Callable[..., Any], *args: Any) -> list[Any]:
        found = getattr(_asked("GET", path, call, *args), "data", None)
        if not isinstance(found, list):
            raise Garbled(service="stripe", method="GET", path=path, status=200)
        return found


def _asked(method: str, path: str, call: Callable[..., Any], *args: Any) -> object:
    left = _ends.get() - time.monotonic()
    if left <= 0:
        raise Unreachable(service="stripe", method=method, path=path, sent=False, timed_out=True)
    with within(left), translated(method, path):
        return call(*args)


def ours(found: list[Any], action: str) -> Written | None:
    """The object that carries the action's id."""
    one = marked(found, action)
    return written(one) if one is not None else None


def marked(found: list[Any], action: str) -> Any | None:
    """The same, as Stripe shows it."""
    return next((one for one in found if getattr(getattr(one, "metadata", None), MARK, None) == action), None)


def as_refund(made: Written) -> Written:
    """A refund, which is its own way of giving the money back."""
    return made._replace(refund=made.id)


def written(one: Any) -> Written:
    return Written(str(one.id), status_of(one))


def when(one: stripe.StripeObject, statuses: Collection[str]) -> Written | None:
    return written(one) if status_of(one) in statuses else None


def status_of(one: Any) -> str | None:
    status = getattr(one, "status", None)
    return status if isinstance(status, str) else None


def whole(one: stripe.StripeObject, name: str) -> int:
    value = getattr(one, name, None)
    return value if isinstance(value, int) else 0


_REFUSED: Mapping[int, str] = {404: "not_found"}


def failed(step_id: str, error: OutsideError) -> Receipt:
    """Refused only for a definite no. A 409 is none: the same key may be under way, and a replay is harmless."""
    if isinstance(error, Unauthorized | Forbidden):  # about our key, whatever code Stripe gives
        return receipt(step_id, "refused", reason="unauthorized" if error.status == 401 else "not_permitted")
    if isinstance(error, Refused) and error.status != 409 and error.code != "idempotency_error":
        reason = error.code or _REFUSED.get(error.status or 0) or f"stripe_{error.status}"
        return receipt(step_id, "refused", reason=reason)
    code = error.code if isinstance(error, Refused) else None
    return receipt(step_id, "unknown", reason=code or error.kind.replace(" ", "_"))


def done(step_id: str, made: Written) -> Receipt:
    """The receipt of a write that Stripe shows; a refund that failed at once is a no, not a receipt of money."""
    if made.refund and made.status in NEVER_PAID:
        return receipt(step_id, "refused", made, reason=f"refund_{made.status}")
    return receipt(step_id, "done", made)


def receipt(step_id: str, outcome: str, made: Written | None = None, reason: str | None = None) -> Receipt:
    made = made or Written("", None)
    return Receipt(
        step_id=step_id, outcome=outcome, object=made.id or None, status=made.status, refund=made.refund,
        at=datetime.now(UTC) if outcome == "done" else None, reason=reason,
    )  # fmt: skip
