"""How is a coherent Stripe account set up, from Python or from JSON?

Every builder takes `id=` and any field of the object; times are unix seconds or datetimes; objects may be dicts or
ids. What a builder returns is the stored object itself, so a test may go on changing it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from integrations.twins.stripe_twin import acts
from integrations.twins.stripe_twin.refusals import Refusal
from integrations.twins.stripe_twin.response_types import Obj, class_of, empty_branch, skeleton
from integrations.twins.stripe_twin.seeds_json import filled
from integrations.twins.stripe_twin.seeds_subscriptions import SubscriptionBuilder
from integrations.twins.stripe_twin.store import Store, born, ident

if TYPE_CHECKING:
    from integrations.twins.stripe_twin.twin import StripeTwin

Moment = int | datetime
Ref = Obj | str


def unix(moment: Moment) -> int:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


def id_of(given: Ref | None) -> str | None:
    return given["id"] if isinstance(given, dict) else given


class World(SubscriptionBuilder):
    """Builders over a twin's store. `live` decides the mode of what is built."""

    def __init__(self, twin: StripeTwin, *, live: bool = False) -> None:
        self.twin = twin
        self._live = live

    @property
    def store(self) -> Store:
        return self.twin.store

    @property
    def now(self) -> int:
        return self.twin.unix()

    @property
    def live(self) -> bool:
        return self._live

    def unsaved(self, kind: str, **fields: Any) -> Obj:
        made = {**skeleton(kind), "id": fields.get("id") or self.store.fresh_id(kind, self.live)}
        stamps = {"created": self.now, "livemode": self.live}
        made |= {name: value for name, value in stamps.items() if name in made}
        given = {name: unix(value) if isinstance(value, datetime) else value for name, value in fields.items()}
        return made | {name: value for name, value in given.items() if name != "id" or value}

    def new(self, kind: str, **fields: Any) -> Obj:
        made = self.unsaved(kind, **fields)
        return self.store.put(made, live=self.live, at=born(made) or self.now)

    def object(self, given: Ref) -> Obj:
        return given if isinstance(given, dict) else self.store.objects[given]

    # -- people and catalogue ---------------------------------------------------------------------------------------
    def customer(
        self,
        email: str | None,
        name: str | None = None,
        *,
        payment_method: Ref | None = None,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A customer; with payment_method it becomes the default one for invoices."""
        made = self.new(
            "customer",
            id=id,
            email=email,
            name=name,
            metadata={},
            tax_exempt="none",
            next_invoice_sequence=1,
            shipping=None,
        )
        made["invoice_settings"] = empty_branch("customer", "invoice_settings")
        made["invoice_prefix"] = made["id"].replace("_", "").upper()[-8:]
        made |= _plain(fields)
        if payment_method is not None:
            method = self.object(payment_method)
            method["customer"] = made["id"]
            made["invoice_settings"]["default_payment_method"] = method["id"]
        return made

    def payment_method(
        self,
        customer: Ref | None = None,
        *,
        brand: str = "visa",
        last4: str = "4242",
        exp_month: int = 12,
        exp_year: int = 2030,
        decline: str | None = None,
        advice: str | None = None,
        requires_action: bool = False,
        default: bool = False,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A card. `decline` (a decline code) or `requires_action` is what the next payment with it meets."""
        card = {
            **empty_branch("payment_method", "card"),
            "brand": brand,
            "last4": last4,
            "exp_month": exp_month,
            "exp_year": exp_year,
            "fingerprint": f"twin{brand}{last4}",
            "funding": "credit",
            "country": "US",
        }
        made = self.new(
            "payment_method",
            id=id,
            type="card",
            card=card,
            customer=id_of(customer),
            metadata={},
            allow_redisplay="unspecified",
        )
        made |= _plain(fields)
        self.store.directives[made["id"]] = {"decline": decline, "advice": advice, "requires_action": requires_action}
        if default and customer is not None:
            self.object(customer)["invoice_settings"]["default_payment_method"] = made["id"]
        return made

    def product(self, name: str, *, id: str = "", **fields: Any) -> Obj:
        return self.new(
            "product", id=id, name=name, active=True, type="service", metadata={}, updated=self.now, **fields
        )

    def price(
        self,
        product: Ref,
        unit_amount: int,
        currency: str = "usd",
        interval: str | None = "month",
        *,
        interval_count: int = 1,
        usage_type: str = "licensed",
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A price; interval None makes it one-time."""
        recurring = (
            None
            if interval is None
            else {
                **empty_branch("price", "recurring"),
                "interval": interval,
                "interval_count": interval_count,
                "usage_type": usage_type,
            }
        )
        return self.new(
            "price",
            id=id,
            product=id_of(product),
            unit_amount=unit_amount,
            currency=currency,
            unit_amount_decimal=str(unit_amount),
            recurring=recurring,
            active=True,
            metadata={},
            type="recurring" if recurring else "one_time",
            billing_scheme="per_unit",
            tax_behavior="unspecified",
            **fields,
        )

    # -- money ------------------------------------------------------------------------------------------------------
    def charge(
        self,
        customer: Ref | None,
        amount: int,
        currency: str = "usd",
        *,
        created: Moment | None = None,
        payment_method: Ref | None = None,
        decline: str | None = None,
        captured: bool = True,
        next_refunds: list[Obj] | None = None,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A one-off charge with its payment intent. `next_refunds`: what its next refunds become, in order."""
        at = self.now if created is None else unix(created)
        owner = None if customer is None else self.object(customer)
        method = self._method(owner, payment_method)
        intent = acts.new_intent(self, ident(owner), amount, currency, method, at)
        made = acts.new_charge(self, intent, owner, amount, currency, method, at, decline=decline, id=id)
        if not captured:
            made |= {"captured": False, "amount_captured": 0}
            intent |= {"status": "requires_capture", "amount_capturable": amount, "amount_received": 0}
        made |= _plain(fields)
        if next_refunds:
            self.store.directives[made["id"]] = {"next_refunds": list(next_refunds)}
        return made

    def refund(
        self,
        charge: Ref,
        amount: int | None = None,
        *,
        status: str = "succeeded",
        created: Moment | None = None,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        paid = self.object(charge)
        at = self.now if created is None else unix(created)
        left = int(paid["amount_captured"]) - acts.refunded_total(self.store, paid["id"])
        made = self.new(
            "refund",
            id=id,
            amount=left if amount is None else amount,
            currency=paid["currency"],
            charge=paid["id"],
            payment_intent=paid["payment_intent"],
            status=status,
            created=at,
            metadata={},
            **fields,
        )
        acts.settle_charge(self.store, paid)
        return made

    def dispute(
        self, charge: Ref, status: str = "needs_response", reason: str = "duplicate", *, id: str = "", **fields: Any
    ) -> Obj:
        """A dispute; inquiries (warning_…) may still be refunded, all others not."""
        paid = self.object(charge)
        paid["disputed"] = True
        made = self.new(
            "dispute",
            id=id,
            charge=paid["id"],
            payment_intent=paid["payment_intent"],
            metadata={},
            amount=paid["amount"],
            currency=paid["currency"],
            status=status,
            reason=reason,
            is_charge_refundable=status.startswith("warning_"),
        )
        made["evidence_details"] |= {"due_by": self.now + 7 * 86_400, "has_evidence": False}
        made |= _plain(fields)
        return made

    def early_fraud_warning(self, charge: Ref, *, actionable: bool = True, id: str = "", **fields: Any) -> Obj:
        paid = self.object(charge)
        return self.new(
            "radar.early_fraud_warning",
            id=id,
            charge=paid["id"],
            actionable=actionable,
            payment_intent=paid["payment_intent"],
            fraud_type="unauthorized_use_of_card",
            **fields,
        )

    # -- self-service -----------------------------------------------------------------------------------------------
    def checkout_session(
        self,
        customer: Ref | None = None,
        *,
        email: str | None = None,
        mode: str = "subscription",
        status: str = "open",
        payment_status: str = "unpaid",
        id: str = "",
        **fields: Any,
    ) -> Obj:
        owner = None if customer is None else self.object(customer)
        made = self.new(
            "checkout.session",
            id=id,
            customer=id_of(customer),
            mode=mode,
            status=status,
            metadata={},
            payment_status=payment_status,
            payment_method_types=["card"],
        )
        known = email or (owner["email"] if owner else None)
        made["customer_details"] = {**empty_branch("checkout.session", "customer_details"), "email": known}
        made |= _plain(fields)
        if "expires_at" not in fields:
            made["expires_at"] = int(made["created"]) + 86_400
        if made["status"] == "open" and made["url"] is None:
            made["url"] = f"https://checkout.stripe.test/c/pay/{made['id']}"
        return made

    def portal_configuration(
        self,
        *,
        is_default: bool = True,
        login_page: bool = True,
        cancel: bool = True,
        update: bool = False,
        payment_method: bool = True,
        invoices: bool = True,
        pause: bool = False,
        id: str = "",
        **fields: Any,
    ) -> Obj:
        """A customer portal configuration with these features on."""
        made = self.new("billing_portal.configuration", id=id, is_default=is_default, active=True, updated=self.now)
        made["login_page"] = {
            "enabled": login_page,
            "url": f"https://billing.stripe.test/p/login/{made['id']}" if login_page else None,
        }
        wanted = {
            "subscription_cancel": cancel,
            "subscription_update": update,
            "payment_method_update": payment_method,
            "invoice_history": invoices,
            "subscription_pause": pause,
            "customer_update": payment_method,
        }
        for feature, enabled in wanted.items():
            made["features"].setdefault(feature, {})
            made["features"][feature] = {**(made["features"][feature] or {}), "enabled": enabled}
        made |= _plain(fields)
        return made

    def _method(self, owner: Obj | None, given: Ref | None) -> Obj | None:
        if given is not None:
            return self.object(given)
        default = acts.default_method(owner)
        if default is not None:
            return self.store.objects[default]
        return self.payment_method(owner) if owner is None else self.payment_method(owner, default=True)


def _plain(fields: Obj) -> Obj:
    return {name: unix(value) if isinstance(value, datetime) else value for name, value in fields.items()}


def take_in(twin: StripeTwin, wanted: Any) -> dict[str, Any]:
    """POST /_twin/seed: {"objects": […], "keys": {text: [permissions] or null}, "search_lag": s, "webhook": {…}}.

    An object may be partial; "_twin" inside it holds directives (next_refunds, decline, advice, requires_action).
    """
    for text, permissions in wanted.get("keys", {}).items():
        twin.add_key(text, permissions)
    twin.search_lag = int(wanted.get("search_lag", twin.search_lag))
    hook = wanted.get("webhook", {})
    twin.webhooks.url = hook.get("url", twin.webhooks.url)
    twin.webhooks.secret = hook.get("secret", twin.webhooks.secret)
    for broken in wanted.get("break_next", []):
        twin.break_next(**broken)
    ids: list[str] = []
    world = World(twin, live=bool(wanted.get("live", False)))
    for given in wanted.get("objects", []):
        try:
            class_of(str(given.get("object")))
            ids.append(filled(world, dict(given))["id"])
        except (LookupError, Refusal) as refused:
            raise ValueError(f"cannot seed {given.get('object')} {given.get('id')}: {refused}") from refused
    return {"ids": ids}
