"""May our two Stripe keys do what the product does with them, and can customers help themselves in the portal?

Each permission is asked for with an id that cannot exist: "no such object" means allowed, 403 means missing. No probe
can take effect, the writing ones included. Vendor page: docs.stripe.com/keys/restricted-api-keys
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError

from billing.records import PortalConfiguration
from integrations import stripe_schemas as schemas
from integrations.checks.asking import CALL_SECONDS, Clocks, failed, said
from integrations.checks.report import Ability, Check, State
from integrations.errors import Forbidden, Garbled, OutsideError, RateLimited, Refused, Unauthorized
from integrations.http import CappedSession, capped_session, within
from integrations.settings import Settings
from integrations.stripe_calls import API_VERSION, open_client, translated

GROUP = "Stripe"
NOBODY = "billingdesk_doctor_no_such_object"
KEYS_PAGE = "Stripe Dashboard > Developers > API keys"
PORTAL_PAGE = "Stripe Dashboard > Settings > Billing > Customer portal"
_PORTAL_PATH = "/v1/billing_portal/configurations"
_TOGETHER = 6  # probes of one key at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One permission and the request that shows whether the key has it. `{}` in the path is the made-up id."""

    permission: str
    serves: str
    path: str
    prefix: str = ""
    method: str = "GET"
    params: dict[str, Any] = field(default_factory=dict)


READING = (
    Probe(permission="rak_customer_read", serves="customers", path="/v1/customers/{}", prefix="cus_"),
    Probe(permission="rak_subscription_read", serves="subscriptions", path="/v1/subscriptions/{}", prefix="sub_"),
    Probe(permission="rak_invoice_read", serves="invoices", path="/v1/invoices/{}", prefix="in_"),
    Probe(permission="rak_charge_read", serves="charges, refunds", path="/v1/charges/{}", prefix="ch_"),
    Probe(permission="rak_payment_intent_read", serves="payments", path="/v1/payment_intents/{}", prefix="pi_"),
    Probe(permission="rak_payment_method_read", serves="cards on file", path="/v1/payment_methods/{}", prefix="pm_"),
    Probe(
        permission="rak_checkout_session_read", serves="checkouts", path="/v1/checkout/sessions/{}", prefix="cs_test_"
    ),
    Probe(permission="rak_dispute_read", serves="disputes", path="/v1/disputes/{}", prefix="dp_"),
    Probe(
        permission="rak_radar_read", serves="fraud warnings", path="/v1/radar/early_fraud_warnings/{}",
        prefix="issfr_",
    ),
    Probe(permission="rak_credit_note_read", serves="credit notes", path="/v1/credit_notes/{}", prefix="cn_"),
    Probe(permission="rak_product_read", serves="products", path="/v1/products/{}", prefix="prod_"),
    Probe(permission="rak_event_read", serves="a restored store", path="/v1/events/{}", prefix="evt_"),
    Probe(
        permission="rak_customer_portal_read", serves="portal settings", path=_PORTAL_PATH + "/{}", prefix="bpc_"
    ),
)  # fmt: skip
_REFUND = Probe(
    permission="rak_refund_write", serves="refunds", path="/v1/refunds", prefix="ch_", method="POST",
    params={"charge": "{}", "amount": 1},
)  # fmt: skip
WRITING = (
    _REFUND,
    Probe(permission="rak_charge_read", serves="charges (writing)", path="/v1/charges/{}", prefix="ch_"),
    Probe(
        permission="rak_subscription_write", serves="subscriptions", path="/v1/subscriptions/{}", prefix="sub_",
        method="POST", params={"metadata": {"billing_desk": "doctor"}},
    ),
    Probe(
        permission="rak_invoice_write", serves="invoices", path="/v1/invoices/{}/void", prefix="in_", method="POST"
    ),
    Probe(
        permission="rak_payment_intent_write", serves="payments", path="/v1/payment_intents/{}/cancel",
        prefix="pi_", method="POST",
    ),
    Probe(
        permission="rak_checkout_session_write", serves="checkouts",
        path="/v1/checkout/sessions/{}/expire", prefix="cs_test_", method="POST",
    ),
    Probe(
        permission="rak_customer_portal_write", serves="portal links", path="/v1/billing_portal/sessions",
        prefix="cus_", method="POST", params={"customer": "{}"},
    ),
    Probe(
        permission="rak_credit_note_write", serves="credit notes", path="/v1/credit_notes", prefix="in_",
        method="POST", params={"invoice": "{}", "amount": 1},
    ),
    Probe(
        permission="rak_customer_write", serves="balance credit", path="/v1/customers/{}/balance_transactions",
        prefix="cus_", method="POST", params={"amount": -1, "currency": "usd"},
    ),
)  # fmt: skip
_WRITES = tuple(probe for probe in WRITING if probe.method != "GET")
SPARE = tuple(
    Probe(
        permission=f"rak_{area}_write", serves=path.replace("_", " "), path=f"/v1/{path}/{{}}", prefix=prefix,
        method="POST", params={"metadata": {"billing_desk": "doctor"}},
    )
    for area, path, prefix in (
        ("payout", "payouts", "po_"), ("transfer", "transfers", "tr_"), ("product", "products", "prod_"),
        ("plan", "prices", "price_"), ("coupon", "coupons", ""), ("webhook", "webhook_endpoints", "we_"),
        ("payment_method", "payment_methods", "pm_"), ("dispute", "disputes", "dp_"),
    )
)  # fmt: skip
"""What neither key needs: with it, money could leave or the shop's own set-up be changed."""


class Keys:
    """Asks with one key. Every call ends within its few seconds."""

    def __init__(self, key: str, base: str, clocks: Clocks) -> None:
        session = capped_session(total_seconds=CALL_SECONDS, concurrency=_TOGETHER, rate_per_second=25, burst=25)
        clocks.listen(session)
        self.session: CappedSession = session
        self._client = open_client(key, base, session)

    def ask(self, method: str, path: str, params: dict[str, Any], template: str) -> object:
        """Stripe's answer. Raises OutsideError."""
        with within(CALL_SECONDS), translated(method, template):
            return self._client.raw_request(method.lower(), path, **params).data

    def try_out(self, probe: Probe) -> OutsideError | None:
        """How Stripe refuses the made-up object; None in the event that it does not."""
        made_up = probe.prefix + NOBODY
        params = {name: made_up if value == "{}" else value for name, value in probe.params.items()}
        try:
            self.ask(probe.method, probe.path.replace("{}", made_up), params, probe.path.replace("{}", "{id}"))
        except OutsideError as error:
            return error
        return None


def masked(key: str) -> str:
    """What may be shown of a key: its kind, its mode and, of a long one, the last four letters."""
    kind = "_".join(key.split("_")[:2])
    return f"{kind}_…{key[-4:] if len(key) >= 20 else ''}"


def live(key: str) -> bool:
    return "_live_" in key


def keys(settings: Settings, clocks: Clocks, *, writing: bool) -> Callable[[], Sequence[Check]]:
    """The checks of one key: the key itself, then each permission it needs."""
    key = settings.stripe_write_key if writing else settings.stripe_read_key
    ability = Ability.FIXES if writing else Ability.CARDS
    name, setting = ("Write key", "STRIPE_WRITE_KEY") if writing else ("Read key", "STRIPE_READ_KEY")
    if not key:
        gives = "fixes and refunds" if writing else "cards: nothing is read from Stripe"
        skipped = Check(
            group=GROUP, name=name, state=State.SKIP, evidence=f"{setting} is not set; it enables {gives}",
            ability=ability,
        )  # fmt: skip
        return lambda: [skipped]

    def ask() -> Sequence[Check]:
        stripe = Keys(key, settings.stripe_api_base, clocks)
        probes = WRITING if writing else READING
        first = stripe.try_out(probes[0])
        if first is not None and not isinstance(first, Refused | Garbled):
            return [failed(GROUP, name, first, "", ability)]
        if isinstance(first, Unauthorized):
            fix = f"Make a new restricted key ({KEYS_PAGE}) and put it into {setting}."
            return [failed(GROUP, f"{name}", first, fix, ability)]
        with ThreadPoolExecutor(_TOGETHER) as pool:
            rest = list(pool.map(stripe.try_out, probes[1:]))
        answers = zip(probes, [first, *rest], strict=True)
        found = [_permission(probe, answer, setting, ability) for probe, answer in answers]
        pinned = Check(group=GROUP, name="API version", state=State.OK, evidence=f"{API_VERSION}, pinned")
        return [_key(settings, stripe, key, found, writing=writing), *found, *([] if writing else [pinned])]

    return ask


def _permission(probe: Probe, answer: OutsideError | None, setting: str, ability: Ability) -> Check:
    verb = "Write" if probe.method != "GET" else "Read"
    name = f"{verb} {probe.serves}"
    if isinstance(answer, Forbidden):
        # Stripe names what is really missing; some of its refusals name nothing.
        missing = answer.permission or probe.permission
        return Check(
            group=GROUP, name=name, state=State.FAIL, evidence=f"{missing} is missing from {setting}",
            fix=f"{KEYS_PAGE} > edit the key in {setting}: allow {missing}.", ability=ability,
        )  # fmt: skip
    if isinstance(answer, Refused):
        return Check(group=GROUP, name=name, state=State.OK, evidence=probe.permission, ability=ability)
    if answer is None:
        return Check(
            group=GROUP, name=name, state=State.WARN, evidence="an object that cannot exist was answered for",
            fix="Check STRIPE_API_BASE: this is not how Stripe answers.", ability=ability,
        )  # fmt: skip
    return failed(GROUP, name, answer, "", ability)


def _key(settings: Settings, stripe: Keys, key: str, found: Sequence[Check], *, writing: bool) -> Check:
    setting, ability = ("STRIPE_WRITE_KEY", Ability.FIXES) if writing else ("STRIPE_READ_KEY", Ability.CARDS)
    held = sum(check.state is State.OK for check in found)
    told = f"{masked(key)}, {'live' if live(key) else 'test'} mode, {held} of {len(found)} permissions"
    state, fix = State.OK, ""
    other = settings.stripe_read_key if writing else settings.stripe_write_key
    if other and live(key) != live(other):
        state, fix = State.FAIL, "Take both keys from the same mode: both test or both live."
        told = f"{masked(key)} and {masked(other)} are of different modes"
    elif key.startswith("sk_"):
        state, told = State.WARN, f"{masked(key)} is a full secret key: it may do everything"
        fix = f"{KEYS_PAGE} > Create restricted key with the permissions below; put it into {setting}."
    elif writing and key == settings.stripe_read_key:
        state, told = State.WARN, f"{masked(key)} is also the read key"
        fix = "Give reading a key of its own, without any write permission, in STRIPE_READ_KEY."
    elif spare := _to_spare(stripe, SPARE if writing or key == settings.stripe_write_key else (*_WRITES, *SPARE)):
        state, told = State.WARN, f"{masked(key)} may do more than it needs; to spare: {', '.join(spare)}"
        fix = f"{KEYS_PAGE} > edit the key in {setting}: take these off (Read where it reads them)."
    return Check(
        group=GROUP, name="Write key" if writing else "Read key", state=state, evidence=told, fix=fix, ability=ability
    )


def _to_spare(stripe: Keys, probes: Sequence[Probe]) -> list[str]:
    """Those of these write permissions that the key has all the same."""
    with ThreadPoolExecutor(_TOGETHER) as pool:
        answers = list(pool.map(stripe.try_out, probes))
    return [
        probe.permission
        for probe, answer in zip(probes, answers, strict=True)
        if isinstance(answer, Refused) and not isinstance(answer, Forbidden | Unauthorized)
    ]


def portal(settings: Settings, clocks: Clocks) -> Callable[[], Sequence[Check]]:
    """The default customer portal: there, active, and with what lets customers help themselves."""
    if not settings.stripe_read_key:
        return list

    def ask() -> Sequence[Check]:
        stripe = Keys(settings.stripe_read_key, settings.stripe_api_base, clocks)
        try:
            answer = stripe.ask("GET", _PORTAL_PATH, {"is_default": "true", "limit": 1}, _PORTAL_PATH)
            configuration = _configuration(answer)
        except Forbidden:
            return [_portal(State.SKIP, "not seen: rak_customer_portal_read is missing (above)", "")]
        except Unauthorized:
            return []  # the key's own line says so
        except RateLimited as error:
            return [_portal(State.WARN, f"not seen: {said(error)}", "Run billing-desk doctor again.")]
        except OutsideError as error:
            return [failed(GROUP, "Customer portal", error, "", Ability.SELF_SERVICE)]
        return _features(configuration)

    return ask


class NoPortal(Exception):
    """There is no default configuration, which only the Dashboard can save; the text is one sentence."""


def switch_on_portal(settings: Settings) -> str:
    """Switch on, in the default configuration, what lets customers help themselves; its id. Repeating is harmless.

    The only write of this package, and only when an admin asks for it. Raises NoPortal, OutsideError.
    """
    stripe = Keys(settings.stripe_write_key, settings.stripe_api_base, Clocks(now=lambda: datetime.now(UTC)))
    answer = stripe.ask("GET", _PORTAL_PATH, {"is_default": "true", "limit": 1}, _PORTAL_PATH)
    found = _configuration(answer)
    if found is None:
        raise NoPortal(f"Stripe has no default portal configuration yet: {PORTAL_PAGE} > Save. Then run it again.")
    on = {"enabled": True}
    features = {"subscription_cancel": on, "payment_method_update": on, "invoice_history": on}
    wanted = {"active": True, "features": features, "login_page": on}
    stripe.ask("POST", f"{_PORTAL_PATH}/{found.id}", wanted, _PORTAL_PATH + "/{id}")
    return found.id


def _configuration(answer: object) -> PortalConfiguration | None:
    listed = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise Garbled(service="stripe", method="GET", path=_PORTAL_PATH)
    if not listed:
        return None
    try:
        found = schemas.PORTAL.load(listed[0])
    except (ValidationError, ValueError, TypeError, KeyError):
        raise Garbled(service="stripe", method="GET", path=_PORTAL_PATH) from None
    return found if isinstance(found, PortalConfiguration) else None


def _features(found: PortalConfiguration | None) -> list[Check]:
    if found is None:
        return [_portal(State.FAIL, "no default configuration is saved in this mode", f"{PORTAL_PAGE} > Save.")]
    if not found.active:
        return [_portal(State.FAIL, "the default configuration is not active", f"{PORTAL_PAGE} > switch it on.")]
    features = (
        ("cancel", found.cancel, "customers cannot cancel by themselves"),
        ("payment method", found.update_payment_method, "customers cannot mend a failed card"),
        ("invoices", found.invoice_history, "customers cannot fetch their invoices"),
    )
    checks = [_portal(State.OK, f"{found.id} is active", "")]
    for name, on, otherwise in features:
        told = "on" if on else f"off: {otherwise}"
        fix = "" if on else f"{PORTAL_PAGE} > allow {name}; or billing-desk doctor --fix portal."
        checks.append(_portal(State.OK if on else State.FAIL, told, fix, f"Portal {name}"))
    told = "on" if found.login_page_url else "off: replies cannot point customers to the portal"
    fix = "" if found.login_page_url else f"{PORTAL_PAGE} > activate the login link; or doctor --fix portal."
    checks.append(_portal(State.OK if found.login_page_url else State.FAIL, told, fix, "Portal login page"))
    return checks


def _portal(state: State, evidence: str, fix: str, name: str = "Customer portal") -> Check:
    return Check(group=GROUP, name=name, state=state, evidence=evidence, fix=fix, ability=Ability.SELF_SERVICE)
