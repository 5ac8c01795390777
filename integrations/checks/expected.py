"""What must stand in Zendesk for us to be told and to be seen? The names that install makes and doctor looks for."""

from __future__ import annotations

from collections.abc import Iterable

from integrations.zendesk_schemas import Webhook
from integrations.zendesk_wire import SCOPES

APP_NAME = "Billing desk"
WEBHOOK_NAME = "Billing desk"
WEBHOOK_PATH = "/webhooks/zendesk"
SUBSCRIPTION = "zen:event-type:ticket.created"
TRIGGERED = "conditional_ticket_events"
LOOKING_SCOPES = SCOPES | {"apps:read", "webhooks:read"}
SETUP_SCOPES = LOOKING_SCOPES | {"apps:write", "webhooks:write"}


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
