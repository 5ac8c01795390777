"""How does Stripe say no? One exception that carries the status and the error object of the answer."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An error answer. `stored`: whether an idempotency key remembers it (not when validation failed)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        stored: bool = True,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param is not None:
            self.error["param"] = param
        self.error |= more


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> Refusal:
    """A parameter that Stripe refuses before it executes anything."""
    return Refusal(400, message, code=code, param=param, stored=False)


def missing(kind: str, given: str, param: str = "id", *, other_mode: str | None = None) -> Refusal:
    """No such object; `other_mode` names the mode of the key when the object lives in the other one."""
    message = f"No such {_words(kind)}: '{given}'"
    if other_mode is not None:
        lives = "live" if other_mode == "test" else "test"
        message += (
            f"; a similar object exists in {lives} mode, but a {other_mode} mode key was used to make this request."
        )
    return Refusal(404 if param == "id" else 400, message, code="resource_missing", param=param)


def not_modelled(what: str) -> Refusal:
    """Stripe would take this, the twin does not play it; loud, so nobody takes silence for success."""
    return Refusal(501, f"the Stripe twin does not model {what}", kind="twin_error", code="not_modelled", stored=False)


def _words(kind: str) -> str:
    named = {
        "payment_intent": "payment_intent",
        "subscription_item": "subscription item",
        "subscription_schedule": "subscription schedule",
        "payment_method": "PaymentMethod",
        "billing_portal.configuration": "configuration",
        "credit_note": "credit note",
    }
    return named.get(kind, kind)
