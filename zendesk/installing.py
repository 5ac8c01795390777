"""What has to stand in Zendesk for billing-desk to work there, and how is it brought about, once and no more?

Webhook, ticket fields and the private app. What is already right is left alone, so a second run changes nothing.
Vendor pages: developer.zendesk.com/api-reference (webhooks, ticket_fields, apps).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from integrations.checks.expected import (
    APP_NAME,
    FIELDS,
    SUBSCRIPTION,
    TRIGGERED,
    WEBHOOK_NAME,
    Field,
    endpoint_of,
    our_webhook,
)
from integrations.replies import Call
from integrations.store.tables import installed
from integrations.zendesk_client import ZendeskClient
from zendesk.packaging import build, validate

FIRST_SECONDS, POLL_SECONDS, MOST_SECONDS = 0.2, 2.0, 120.0
_INSTALLATION = "/api/v2/apps/installations/{installation_id}"


class NotInstalled(Exception):
    """Zendesk did not do it; the text is one sentence for the admin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The settings that were obtained, by environment name, and what was changed on the way. Holds a secret."""

    settings: Mapping[str, str] = field(repr=False)
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Who sees the app: ids of Zendesk roles and groups. Empty leaves what an admin chose."""

    roles: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()

    @property
    def restrictions(self) -> dict[str, list[int]]:
        wanted = {"role_restrictions": sorted({*self.roles}), "group_restrictions": sorted({*self.groups})}
        return {name: ids for name, ids in wanted.items() if ids}


class Installing:
    """One run. `app_id`: as the settings have it, or empty. `take_over`: also what another address stands in."""

    def __init__(
        self,
        client: ZendeskClient,
        engine: sa.Engine,
        *,
        public_url: str,
        app_id: str = "",
        seen_by: Seen = Seen(),
        take_over: bool = False,
        tell: Callable[[str], None] = lambda words: None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._engine, self._public_url = client, engine, public_url.rstrip("/")
        self._app_id, self._tell, self._sleep, self._now = app_id, tell, sleep, now
        self._seen_by, self._take_over = seen_by, take_over
        self._changes: list[str] = []

    def run(self) -> Installed:
        """Bring everything about. Raises OutsideError, NotInstalled; safe to run again after either."""
        package = build()
        if not (findings := validate(package)).good:
            raise NotInstalled(f"The app package is not valid: {findings.errors[0]}.")
        if not self._take_over:
            self._check_nobody_elses()
        secret = self._webhook()
        for wanted in FIELDS:
            self._field(wanted)
        app_id = self._app(package)
        installation_id = self._installation(app_id)
        pem = self._client.public_key(app_id)
        settings = {
            "ZENDESK_WEBHOOK_SECRET": secret,
            "ZENDESK_APP_ID": str(app_id),
            "ZENDESK_INSTALLATION_ID": str(installation_id),
            "ZENDESK_APP_PUBLIC_KEY": pem.strip().replace("\n", "\\n"),
        }
        return Installed(settings=settings, changes=tuple(self._changes))

    def _check_nobody_elses(self) -> None:
        """Raise NotInstalled when what we would change serves another address and is not known to be ours."""
        found = our_webhook(self._client.webhooks(), self._public_url)
        theirs = [] if found is None or found.id == self._kept("webhook_id") else [found.endpoint]
        app_id = self._known_app()
        if app_id is not None and str(app_id) not in {self._app_id, self._kept("app_id")}:
            mine = (one for one in self._client.app_installations() if one.app_id == app_id)
            theirs += [str(self._shown(one.id)["settings"].get("sidecar_url") or "") for one in mine]
        hosts = {urlsplit(address).hostname for address in theirs if address} - {urlsplit(self._public_url).hostname}
        if hosts:
            raise NotInstalled(
                f"Zendesk already has a {APP_NAME} that is served by {', '.join(sorted(map(str, hosts)))[:80]}. "
                "If that was this installation, run billing-desk install --take-over."
            )

    # --- webhook ------------------------------------------------------------------------------------------------

    def _webhook(self) -> str:
        """The signing secret of our webhook."""
        endpoint = endpoint_of(self._public_url)
        found = our_webhook(self._client.webhooks(), self._public_url)
        held = found.subscriptions if found is not None else ()
        # A webhook for triggers cannot be turned into one for events; an admin's trigger may use it.
        subscriptions = held if {SUBSCRIPTION, TRIGGERED} & set(held) else (SUBSCRIPTION,)
        if found is None:
            found = self._client.create_webhook(name=WEBHOOK_NAME, endpoint=endpoint, subscriptions=[SUBSCRIPTION])
            self._changed(f"webhook {found.id} created")
        elif (found.status, found.endpoint, held) != ("active", endpoint, subscriptions):
            self._client.update_webhook(found.id, name=found.name, endpoint=endpoint, subscriptions=subscriptions)
            self._changed(f"webhook {found.id} updated")
        self._keep("webhook_id", found.id)
        return self._client.webhook_signing_secret(found.id)

    # --- fields -------------------------------------------------------------------------------------------------

    def _field(self, wanted: Field) -> None:
        held = [one for one in self._client.ticket_fields() if one.title == wanted.title and one.type == wanted.type]
        found = next((one for one in held if one.active), None)
        if found is None:
            found = self._client.create_ticket_field(type=wanted.type, title=wanted.title, options=wanted.options)
            self._changed(f"ticket field {wanted.title} created as {found.id}")
        elif missing := sorted(set(wanted.options) - set(found.options)):
            self._tell(f"Ticket field {wanted.title} lacks the options {', '.join(missing)}; add them in Admin Center.")
        self._keep(f"field_{wanted.key}", str(found.id))

    # --- app ----------------------------------------------------------------------------------------------------

    def _app(self, package: bytes) -> int:
        """The id of the private app, uploaded when the package differs from what was uploaded last."""
        digest = hashlib.sha256(package).hexdigest()
        app_id = self._known_app()
        if app_id is not None and self._kept("app_package") == f"{app_id} {digest}":
            return app_id
        made = self._ended(self._client.save_app(self._client.upload_app(package), name=APP_NAME, app_id=app_id))
        self._changed(f"app {made or app_id} {'created' if app_id is None else 'updated'}")
        app_id = made or app_id
        if app_id is None:
            raise NotInstalled("Zendesk made the app but did not name it. Run billing-desk install again.")
        self._keep("app_id", str(app_id))
        self._keep("app_package", f"{app_id} {digest}")
        return app_id

    def _known_app(self) -> int | None:
        """By the settings or our own record, as far as the account still has it; else by its name."""
        owned = self._object(Call(method="GET", path="/api/v2/apps/owned")).get("apps")
        apps = [one for one in owned if isinstance(one, dict)] if isinstance(owned, list) else []
        ids = {str(one.get("id")) for one in apps}
        named = [str(one.get("id")) for one in apps if one.get("name") == APP_NAME]
        candidates = (self._app_id, self._kept("app_id"), *named)
        return next((int(one) for one in candidates if one in ids and one.isdecimal()), None)

    def _ended(self, job: str) -> int | None:
        """The id of the app once Zendesk's job has ended well."""
        waited, pause = 0.0, FIRST_SECONDS
        while True:
            state = self._client.app_job(job)
            if state.status == "completed":
                return state.app_id
            if state.status in {"failed", "killed"}:
                raise NotInstalled(f"Zendesk did not take the app package (job {state.status}).")
            if waited >= MOST_SECONDS:
                raise NotInstalled("Zendesk still works on the app package. Run install again later.")
            self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, POLL_SECONDS)

    def _installation(self, app_id: int) -> int:
        """The id of the app's installation, with our address among its settings."""
        wanted = {"name": APP_NAME, "sidecar_url": self._public_url}
        found = next((one for one in self._client.app_installations() if one.app_id == app_id), None)
        if found is None:
            found = self._client.install_app(app_id, wanted, self._seen_by.restrictions)
            self._changed(f"app {app_id} installed as {found.id}")
        else:
            shown, limits = self._shown(found.id), self._seen_by.restrictions
            seen = {name: sorted(shown.get(name) or ()) for name in limits}
            if not found.enabled or shown["settings"].get("sidecar_url") != self._public_url or seen != limits:
                body = {"settings": {**shown["settings"], **wanted}, "enabled": True, **limits}
                self._client.send(Call(method="PUT", path=_INSTALLATION, ids=_numbered(found.id), body=body))
                self._changed(f"installation {found.id} updated")
        self._keep("installation_id", str(found.id))
        return found.id

    def _shown(self, installation_id: int) -> dict[str, Any]:
        """The installation as Zendesk has it; `settings` is always an object."""
        shown = self._object(Call(method="GET", path=_INSTALLATION, ids=_numbered(installation_id)))
        settings = shown.get("settings")
        return {**shown, "settings": settings if isinstance(settings, dict) else {}}

    # --- the record ---------------------------------------------------------------------------------------------

    def _object(self, call: Call) -> dict[str, Any]:
        return self._client.send(call).as_object()

    def _changed(self, words: str) -> None:
        self._changes.append(words)
        self._tell(words[0].upper() + words[1:] + ".")

    def _kept(self, name: str) -> str:
        with self._engine.connect() as connection:
            return str(connection.scalar(sa.select(installed.c.value).where(installed.c.name == name)) or "")

    def _keep(self, name: str, value: str) -> None:
        """Stored at once, so that a run which breaks off later is continued and not begun anew."""
        if self._kept(name) == value:
            return
        with self._engine.begin() as connection:
            connection.execute(sa.delete(installed).where(installed.c.name == name))
            connection.execute(sa.insert(installed).values(name=name, value=value, at=self._now()))


def _numbered(installation_id: int) -> dict[str, int | str]:
    return {"installation_id": installation_id}
