"""What must stand in Zendesk and Stripe for us to be told and to be seen? What install makes and doctor looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from billing.diagnosis import Band
from billing.evidence import Bucket
from integrations.zendesk_schemas import Webhook
from integrations.zendesk_wire import SCOPES

APP_NAME = "Billing desk"
WEBHOOK_NAME = "Billing desk"
WEBHOOK_PATH = "/webhooks/zendesk"
SUBSCRIPTION = "zen:event-type:ticket.created"
TRIGGERED = "conditional_ticket_events"
LOOKING_SCOPES = SCOPES | {"apps:read", "webhooks:read"}
SETUP_SCOPES = LOOKING_SCOPES | {"apps:write", "webhooks:write"}
TRIGGER_SCOPE = "triggers:read"
STRIPE_PATH = "/webhooks/stripe"
STRIPE_EVENTS = frozenset(
    "charge.dispute.closed charge.dispute.created checkout.session.async_payment_failed checkout.session.completed "
    "checkout.session.expired customer.subscription.created customer.subscription.deleted "
    "customer.subscription.paused customer.subscription.resumed customer.subscription.updated invoice.overpaid "
    "invoice.paid invoice.payment_action_required invoice.payment_failed invoice.voided "
    "radar.early_fraud_warning.created refund.created refund.failed refund.updated".split()
)
STATES = ("enriching", "ready", "partial", "needs_human", "applying", "done", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A ticket field of ours. `options`: what we write to what agents see; empty for a text."""

    key: str
    title: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return "tagger" if self.options else "text"


def _options(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    """A drop-down's value becomes a tag of the ticket, so it bears our name."""
    return {f"billing_{prefix}{value}": label for value, label in values.items()}


def _named(values: type[Bucket] | tuple[str, ...]) -> dict[str, str]:
    return {str(value): str(value).replace("_", " ").capitalize() for value in values}


_BANDS: Mapping[str, str] = {Band.SUGGEST: "Clear", Band.CHECK: "To be checked", Band.PERSON: "For a person to decide"}
FIELDS = (
    Field(key="bucket", title="Billing desk: bucket", options=_options("", _named(Bucket))),
    Field(key="confidence", title="Billing desk: confidence", options=_options("confidence_", _BANDS)),
    Field(key="gap", title="Billing desk: product gap"),
    Field(key="state", title="Billing desk: state", options=_options("state_", _named(STATES))),
)
"""Row `field_<key>` of table `installed` holds the id that Zendesk gave."""


def endpoint_of(public_url: str) -> str:
    """Where Zendesk has to deliver."""
    return public_url.rstrip("/") + WEBHOOK_PATH


def our_webhook(webhooks: Iterable[Webhook], public_url: str) -> Webhook | None:
    """The webhook that is meant for us: by its address, else by its name; an active one first."""
    held = sorted(webhooks, key=lambda webhook: webhook.status != "active")
    endpoint = endpoint_of(public_url) if public_url else ""
    aimed = [webhook for webhook in held if webhook.endpoint == endpoint]
    named = [webhook for webhook in held if webhook.name.lower().replace("-", " ") == WEBHOOK_NAME.lower()]
    alike = [webhook for webhook in held if not endpoint and webhook.endpoint.endswith(WEBHOOK_PATH)]
    return next(iter([*aimed, *named, *alike]), None)
