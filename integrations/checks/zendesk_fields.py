"""Are our ticket fields in Zendesk as install made them? Views, triggers and reports of the team lean on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from integrations.checks.asking import failed
from integrations.checks.expected import FIELDS, Field
from integrations.checks.report import Check, State
from integrations.checks.stored import asked
from integrations.errors import Forbidden, NotFound, OutsideError
from integrations.settings import Settings
from integrations.store.tables import installed
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_schemas import TicketField

GROUP, NAME = "Zendesk", "Ticket fields"
_MEND = "Run billing-desk install with an admin's credentials."
_EDIT = "Admin Center > Objects and rules > Tickets > Fields"


def fields(settings: Settings, client: ZendeskClient) -> list[Check]:
    """One line for what is wrong, naming the fields; one when all are right."""
    try:
        held = {one.id: one for one in client.ticket_fields()}
    except (Forbidden, NotFound):
        return [_check(State.WARN, "not seen: these credentials may not list them", "Allow the scope tickets:read.")]
    except OutsideError as error:
        return [failed(GROUP, NAME, error, _MEND)]
    kept = asked(settings, _kept)
    if kept is None:
        return []  # the store's own line says so
    return _told([(wanted, _fault(wanted, held, kept.get(f"field_{wanted.key}", ""))) for wanted in FIELDS])


def _told(found: Sequence[tuple[Field, str]]) -> list[Check]:
    by_fault = {fault: [one.title for one, its in found if its == fault] for _, fault in found if fault}
    if not by_fault:
        return [_check(State.OK, f"{len(found)} of {len(found)} are there, with their options")]
    return [_check(State.WARN, f"{fault}: {', '.join(titles)}", _fix(fault)) for fault, titles in by_fault.items()]


def _fault(wanted: Field, held: Mapping[int, TicketField], number: str) -> str:
    """What is wrong with the field that we write to; empty when nothing is."""
    if not number.isdecimal():
        return "not made by install, so not written"
    found = held.get(int(number))
    if found is None:
        return "deleted, so not written any more"
    if not found.active:
        return "deactivated"
    if found.type != wanted.type:
        return "of another type than install made it"
    return "lacks options that we write" if set(wanted.options) - set(found.options) else ""


def _fix(fault: str) -> str:
    if fault == "deactivated":
        return f"{_EDIT}: activate it."
    if fault == "lacks options that we write":
        return f"{_EDIT}: add the options that billing-desk install names."
    return _MEND


def _kept(connection: sa.Connection) -> Mapping[str, str]:
    """The ids that install stored."""
    rows = connection.execute(sa.select(installed.c.name, installed.c.value))
    return {row.name: row.value for row in rows}


def _check(state: State, evidence: str, fix: str = "") -> Check:
    return Check(group=GROUP, name=NAME, state=state, evidence=evidence, fix=fix)
