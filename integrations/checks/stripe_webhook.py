"""Does Stripe tell us of changes? Its webhook endpoint: there, on, at our address, with the event types we use.

Nothing depends on it but how soon a card follows, so what is missing is said and nothing else fails. The signing secret
cannot be compared: Stripe shows it once. Vendor page: docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from integrations.checks.asking import Clocks, failed
from integrations.checks.expected import STRIPE_EVENTS, STRIPE_PATH
from integrations.checks.report import Check, State
from integrations.checks.stripe_access import GROUP, KEYS_PAGE, Keys
from integrations.errors import Forbidden, Garbled, OutsideError, RateLimited, Unauthorized
from integrations.settings import Settings

WEBHOOKS_PAGE = "Stripe Dashboard > Developers > Webhooks"
_PATH = "/v1/webhook_endpoints"
_SHOWN = 2


def endpoint(settings: Settings, clocks: Clocks) -> Callable[[], Sequence[Check]]:
    """The checks of our endpoint, in the mode of the read key."""
    if not settings.stripe_read_key:
        return list
    ours = settings.public_url.rstrip("/") + STRIPE_PATH if settings.public_url else ""

    def ask() -> Sequence[Check]:
        stripe = Keys(settings.stripe_read_key, settings.stripe_api_base, clocks)
        try:
            held = _endpoints(stripe.ask("GET", _PATH, {"limit": 100}, _PATH))
        except Forbidden:
            return [_unseen()] if settings.stripe_webhook_secrets else []
        except (Unauthorized, RateLimited):
            return []  # the key's own line says so
        except OutsideError as error:
            return [failed(GROUP, "Webhook", error, "")] if settings.stripe_webhook_secrets else []
        aimed = [one for one in held if one.get("url") == ours] if ours else _alike(held)
        if not settings.stripe_webhook_secrets:
            return [_unheard()] if aimed else []
        return [_found(aimed) if aimed else _absent(_alike(held), ours or STRIPE_PATH)]

    return ask


def _endpoints(answer: object) -> list[dict[str, Any]]:
    listed = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise Garbled(service="stripe", method="GET", path=_PATH)
    return [one for one in listed if isinstance(one, dict)]


def _alike(held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in held if str(one.get("url")).endswith(STRIPE_PATH)]


def _found(aimed: Sequence[dict[str, Any]]) -> Check:
    """One that is switched on counts before one that is not."""
    active = [one for one in aimed if one.get("status") == "enabled"]
    if not active:
        fix = f"{WEBHOOKS_PAGE} > this endpoint > Enable; Stripe disables one that fails for days."
        return _check(State.FAIL, "its endpoint is disabled: no event arrives", fix)
    events = active[0].get("enabled_events")
    told = {str(one) for one in events} if isinstance(events, list) else set()
    missing = [] if "*" in told else sorted(STRIPE_EVENTS - told)
    if not missing:
        return _check(State.OK, f"enabled, {'every type' if '*' in told else f'{len(STRIPE_EVENTS)} types'}")
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return _check(
        State.WARN, f"not sent: {', '.join(missing[:_SHOWN])}{more}",
        f"{WEBHOOKS_PAGE} > this endpoint: add the event types that deploy/docs/operations.md lists.",
    )  # fmt: skip


def _absent(elsewhere: Sequence[dict[str, Any]], ours: str) -> Check:
    if elsewhere:
        told = "its endpoint does not lead to BILLING_DESK_PUBLIC_URL"
        return _check(State.FAIL, told, f"{WEBHOOKS_PAGE} > change its address to {ours}")
    told = "STRIPE_WEBHOOK_SECRET is set, but there is no endpoint in this mode"
    return _check(State.FAIL, told, f"{WEBHOOKS_PAGE} > Add endpoint {ours}, or unset STRIPE_WEBHOOK_SECRET.")


def _unseen() -> Check:
    told = "not looked at: rak_webhook_read is missing from STRIPE_READ_KEY"
    return _check(State.WARN, told, f"{KEYS_PAGE} > edit the read key: allow Webhook Endpoints: Read.")


def _unheard() -> Check:
    told = "Stripe posts to us, and every event is answered 404"
    fix = f"Put the endpoint's signing secret into STRIPE_WEBHOOK_SECRET, or remove it ({WEBHOOKS_PAGE})."
    return _check(State.WARN, told, fix)


def _check(state: State, evidence: str, fix: str = "") -> Check:
    return Check(group=GROUP, name="Webhook", state=state, evidence=evidence, fix=fix)
