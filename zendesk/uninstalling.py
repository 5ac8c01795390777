"""How does everything that `install` made leave Zendesk again? By the ids we kept, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from integrations.errors import NotFound
from integrations.replies import Call
from integrations.store.tables import installed
from integrations.zendesk_client import ZendeskClient

# In this order: an app that is installed cannot be deleted.
_PATHS = {
    "installation_id": ("installation", "/api/v2/apps/installations/{id}"),
    "app_id": ("app", "/api/v2/apps/{id}"),
    "webhook_id": ("webhook", "/api/v2/webhooks/{id}"),
}
_FIELD = "field_"


def kept(engine: sa.Engine) -> list[tuple[str, str, str]]:
    """What there is to remove: its name in our record, what it is, its id; in the order of removal."""
    with engine.connect() as connection:
        held = {row.name: str(row.value) for row in connection.execute(sa.select(installed))}
    things = [(name, kind, held[name]) for name, (kind, _) in _PATHS.items() if name in held]
    return things + [(name, "ticket field", held[name]) for name in sorted(held) if name.startswith(_FIELD)]


def remove(client: ZendeskClient, engine: sa.Engine) -> Iterator[str]:
    """Remove one after the other; yields a sentence each. Raises OutsideError; safe to run again after it."""
    for name, kind, number in kept(engine):
        path = "/api/v2/ticket_fields/{id}" if name.startswith(_FIELD) else _PATHS[name][1]
        try:
            client.send(Call(method="DELETE", path=path, ids={"id": number}))
            yield f"{kind.capitalize()} {number} removed."
        except NotFound:
            yield f"{kind.capitalize()} {number} was gone already."
        _forget(engine, name)
    _forget(engine, "app_package")


def _forget(engine: sa.Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(installed).where(installed.c.name == name))
