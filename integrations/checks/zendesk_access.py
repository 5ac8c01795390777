"""Does Zendesk know us, tell us of new tickets, and show our app? Reads only, but for one forged delivery to us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from integrations.checks.asking import CALL_SECONDS, Clocks, failed, said
from integrations.checks.expected import (
    LOOKING_SCOPES,
    SUBSCRIPTION,
    TRIGGER_SCOPE,
    TRIGGERED,
    WEBHOOK_PATH,
    endpoint_of,
    our_webhook,
)
from integrations.checks.report import Ability, Check, State
from integrations.checks.zendesk_fields import fields
from integrations.errors import Forbidden, NotFound, OutsideError, Unauthorized
from integrations.http import Door
from integrations.replies import Call
from integrations.settings import Settings
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_schemas import Webhook
from integrations.zendesk_wire import SCOPES, configured, missing_scopes

GROUP = "Zendesk"
TOKENS_END = "2027-04-30"
CLIENT_PAGE = "Admin Center > Apps and integrations > APIs > OAuth clients"
TRIGGERS_PAGE = "Admin Center > Objects and rules > Business rules > Triggers"
INSTALL = "Run billing-desk install with an admin's credentials."
_ADMIN_ONLY = "not seen: these credentials may not list it"
_ADMIN_FIX = "Run billing-desk doctor once with an admin's OAuth client."


def open_account(settings: Settings, clocks: Clocks, scopes: frozenset[str]) -> ZendeskClient:
    """A client of its own, with short deadlines and no repetition."""
    door = Door("zendesk", settings.zendesk_base, total_seconds=CALL_SECONDS, concurrency=4, read_attempts=1)
    clocks.listen(door.session())
    return ZendeskClient(door, configured(settings, scopes))


def account(settings: Settings, clocks: Clocks, *, writes_fields: bool = True) -> Callable[[], Sequence[Check]]:
    """Credentials first; only when they work are webhook, ticket fields and app looked at."""
    if not settings.zendesk:
        told = "not configured; it enables ticket cards, notes and replies"
        skipped = _check("Credentials", State.SKIP, told, ability=Ability.CARDS)
        return lambda: [skipped]

    def ask() -> Sequence[Check]:
        client = open_account(settings, clocks, LOOKING_SCOPES)
        checks, usable = _credentials(settings, client)
        if not usable:
            return checks
        watched = [*_webhook(settings, client, clocks), *(fields(settings, client) if writes_fields else [])]
        return [*checks, *watched, *_app(settings, client)]

    return ask


def _credentials(settings: Settings, client: ZendeskClient) -> tuple[list[Check], bool]:
    oauth = bool(settings.zendesk_oauth_client_id)
    fix = (
        f"{CLIENT_PAGE}: check ZENDESK_OAUTH_CLIENT_ID, its secret and the user it acts as."
        if oauth
        else "Check ZENDESK_EMAIL and ZENDESK_API_TOKEN, or move to an OAuth client."
    )
    try:
        probe = client.probe()
    except Forbidden as error:
        missing = f"the scope {error.permission} is not granted" if error.permission else "may not list tickets"
        fix = f"{CLIENT_PAGE}: allow {' '.join(sorted(SCOPES))}."
        return [_check("Credentials", State.FAIL, missing, fix, Ability.CARDS)], False
    except OutsideError as error:
        return [failed(GROUP, "Credentials", error, fix, Ability.CARDS)], False
    if probe.role not in {"agent", "admin"}:
        told = f"user {probe.user_id} is no agent (role {probe.role or 'unknown'})"
        fix = "Let the OAuth client act as a service agent of its own."
        return [_check("Credentials", State.FAIL, told, fix, Ability.CARDS)], False
    checks = [_check("Credentials", State.OK, f"user {probe.user_id}, role {probe.role}", ability=Ability.CARDS)]
    checks.append(_scopes(probe.granted))
    return checks, True


def _scopes(granted: frozenset[str] | None) -> Check:
    if granted is None:
        return _check(
            "API token", State.WARN, f"works, but Zendesk stops API tokens on {TOKENS_END}",
            f"{CLIENT_PAGE}: make a confidential client, set ZENDESK_OAUTH_CLIENT_ID and its secret.",
        )  # fmt: skip
    if lacking := missing_scopes(SCOPES, granted):
        told = f"not granted: {', '.join(sorted(lacking))}"
        return _check("Scopes", State.FAIL, told, f"{CLIENT_PAGE}: allow these scopes.", Ability.CARDS)
    if lacking := missing_scopes(LOOKING_SCOPES, granted):
        told = f"not granted, so not looked at: {', '.join(sorted(lacking))}"
        return _check("Scopes", State.WARN, told, f"{CLIENT_PAGE}: allow these scopes for doctor and install.")
    return _check("Scopes", State.OK, ", ".join(sorted(granted)))


# --- webhook ----------------------------------------------------------------------------------------------------


def _webhook(settings: Settings, client: ZendeskClient, clocks: Clocks) -> list[Check]:
    try:
        found = our_webhook(client.webhooks(), settings.public_url)
        if found is None:
            told = "none is there: new tickets are not read"
            return [_check("Webhook", State.FAIL, told, INSTALL, Ability.CARDS)]
        checks = [_delivering(settings, found), _signed(settings, client.webhook_signing_secret(found.id))]
        # Without a subscription of its own the webhook is silent unless a trigger calls it.
        triggered = TRIGGERED in found.subscriptions and found.status == "active"
        return [*checks, *([_trigger(settings, clocks, found)] if triggered else [])]
    except (Forbidden, NotFound):
        return [_check("Webhook", State.WARN, _ADMIN_ONLY, _ADMIN_FIX)]
    except OutsideError as error:
        return [failed(GROUP, "Webhook", error, INSTALL, Ability.CARDS)]


def _delivering(settings: Settings, webhook: Webhook) -> Check:
    if webhook.status != "active":
        told = f"{webhook.name} is {webhook.status or 'not active'}: new tickets are not read"
        return _check("Webhook", State.FAIL, told, INSTALL, Ability.CARDS)
    if settings.public_url and webhook.endpoint != endpoint_of(settings.public_url):
        told = f"{webhook.name} does not deliver to BILLING_DESK_PUBLIC_URL{WEBHOOK_PATH}"
        return _check("Webhook", State.FAIL, told, INSTALL, Ability.CARDS)
    if not {SUBSCRIPTION, TRIGGERED} & set(webhook.subscriptions):
        told = f"{webhook.name} is not subscribed to new tickets"
        return _check("Webhook", State.FAIL, told, INSTALL, Ability.CARDS)
    how = "every new ticket" if SUBSCRIPTION in webhook.subscriptions else "what a trigger sends"
    return _check("Webhook", State.OK, f"active, delivers {how}", ability=Ability.CARDS)


def _trigger(settings: Settings, clocks: Clocks, webhook: Webhook) -> Check:
    """Asked with a token of its own: where no trigger is used, nobody has to allow its scope."""
    try:
        held = open_account(settings, clocks, SCOPES | {TRIGGER_SCOPE}).triggers()
    except (Forbidden, NotFound):
        fix = f"{CLIENT_PAGE}: allow the scope {TRIGGER_SCOPE} for doctor."
        return _check("Trigger", State.WARN, "not seen: these credentials may not list triggers", fix)
    except OutsideError as error:
        return failed(GROUP, "Trigger", error, TRIGGERS_PAGE, Ability.CARDS)
    if any(one.active and webhook.id in one.notifies for one in held):
        return _check("Trigger", State.OK, "an active trigger calls the webhook", ability=Ability.CARDS)
    fix = f"{TRIGGERS_PAGE}: switch on, or add, one for new tickets that notifies the webhook {webhook.name[:40]}."
    return _check("Trigger", State.FAIL, "no active trigger calls the webhook", fix, Ability.CARDS)


def _signed(settings: Settings, secret: str) -> Check:
    if not settings.zendesk_webhook_secrets:
        told, fix = "ZENDESK_WEBHOOK_SECRET is not set", "Put the secret that billing-desk install prints into it."
        return _check("Webhook secret", State.FAIL, told, fix, Ability.CARDS)
    if secret not in settings.zendesk_webhook_secrets:
        told = "ZENDESK_WEBHOOK_SECRET is not what Zendesk signs with"
        fix = "Put the secret that billing-desk install prints into ZENDESK_WEBHOOK_SECRET."
        return _check("Webhook secret", State.FAIL, told, fix, Ability.CARDS)
    return _check("Webhook secret", State.OK, "is the one Zendesk signs with", ability=Ability.CARDS)


def forged(settings: Settings) -> Callable[[], Sequence[Check]]:
    """A delivery with a wrong signature, to our own public address, has to be refused."""
    name = "Forged webhook"
    if not settings.public_url:
        told = "BILLING_DESK_PUBLIC_URL is not set; it enables this check and install"
        return lambda: [_check(name, State.SKIP, told)]

    def ask() -> Sequence[Check]:
        door = Door("billing-desk", settings.public_url, total_seconds=CALL_SECONDS, read_attempts=1)
        headers = {
            "X-Zendesk-Webhook-Signature": "Zm9yZ2VkIGJ5IGJpbGxpbmctZGVzayBkb2N0b3I=",
            "X-Zendesk-Webhook-Signature-Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "X-Zendesk-Webhook-Invocation-Id": "billing-desk-doctor",
        }
        call = Call(method="POST", path=WEBHOOK_PATH, body={"forged_by": "billing-desk doctor"}, headers=headers)
        try:
            door.send(call)
        except Unauthorized:
            return [_check(name, State.OK, "refused by our public address", ability=Ability.CARDS)]
        except NotFound:
            told, fix = "our public address has no such page", "Check BILLING_DESK_PUBLIC_URL and the proxy's routes."
        except OutsideError as error:
            told = f"our public address: {said(error)}"
            fix = "Start billing-desk serve; check BILLING_DESK_PUBLIC_URL, DNS, the certificate and the proxy."
        else:
            told, fix = (
                "accepted: whoever answers there checks no signature",
                "Check where BILLING_DESK_PUBLIC_URL leads.",
            )
        return [_check(name, State.FAIL, told, fix, Ability.CARDS)]

    return ask


# --- app --------------------------------------------------------------------------------------------------------


def _app(settings: Settings, client: ZendeskClient) -> list[Check]:
    if not settings.zendesk_app_id.isdecimal():
        told = "ZENDESK_APP_ID is not set: nobody can open the sidebar"
        return [_check("Sidebar app", State.FAIL, told, INSTALL, Ability.CARDS)]
    app_id = int(settings.zendesk_app_id)
    try:
        found = [one for one in client.app_installations() if one.app_id == app_id]
    except (Forbidden, NotFound):
        return [_check("Sidebar app", State.WARN, _ADMIN_ONLY, _ADMIN_FIX), *_public_key(settings, client, app_id)]
    except OutsideError as error:
        return [failed(GROUP, "Sidebar app", error, INSTALL, Ability.CARDS)]
    wanted = settings.zendesk_installation_id
    if not found:
        seen = _check("Sidebar app", State.FAIL, f"app {app_id} is not installed", INSTALL, Ability.CARDS)
    elif not any(one.enabled for one in found):
        fix = "Admin Center > Apps and integrations > Zendesk Support apps: enable it."
        seen = _check("Sidebar app", State.FAIL, f"app {app_id} is installed, but not enabled", fix, Ability.CARDS)
    elif wanted and wanted not in {str(one.id) for one in found}:
        told = f"installed as {found[0].id}, not as ZENDESK_INSTALLATION_ID says"
        fix = f"Set ZENDESK_INSTALLATION_ID={found[0].id}."
        seen = _check("Sidebar app", State.FAIL, told, fix, Ability.CARDS)
    else:
        seen = _check("Sidebar app", State.OK, f"app {app_id} is installed", ability=Ability.CARDS)
    return [seen, *_public_key(settings, client, app_id)]


def _public_key(settings: Settings, client: ZendeskClient, app_id: int) -> list[Check]:
    name = "App public key"
    try:
        pem = client.public_key(app_id)
    except (Forbidden, NotFound) as error:
        if settings.zendesk_app_public_key:
            return [_check(name, State.OK, "set in ZENDESK_APP_PUBLIC_KEY, not compared", ability=Ability.CARDS)]
        fix = "Allow the scope apps:read, or set ZENDESK_APP_PUBLIC_KEY as billing-desk install prints it."
        return [failed(GROUP, name, error, fix, Ability.CARDS)]
    except OutsideError as error:
        return [failed(GROUP, name, error, INSTALL, Ability.CARDS)]
    ours = settings.zendesk_app_public_key
    if ours and ours.split() != pem.split():
        told, fix = "ZENDESK_APP_PUBLIC_KEY is not this app's key", "Unset it, or set what billing-desk install prints."
        return [_check(name, State.FAIL, told, fix, Ability.CARDS)]
    return [_check(name, State.OK, "obtained" + (", as configured" if ours else ""), ability=Ability.CARDS)]


def _check(name: str, state: State, evidence: str, fix: str = "", ability: Ability = Ability.NONE) -> Check:
    return Check(group=GROUP, name=name, state=state, evidence=evidence, fix=fix, ability=ability)
