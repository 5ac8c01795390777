"""What can an operator mend on the command line? Steps that wait for a person, and texts that have to go."""

from __future__ import annotations

import dataclasses
import getpass
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from billing.money import Money
from integrations.store import erasing
from integrations.store.erasing import Erased
from zendesk import parked as parking
from zendesk.card import stamp
from zendesk.commands import DONE, MISSING, PERSON, USAGE, Stop
from zendesk.desk import Desk
from zendesk.retention import redact as redact_ticket

_ID = re.compile(r"[A-Za-z0-9_]{1,80}")
_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,80}")
_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
REST = "Ids, amounts and the audit record stay. Zendesk, Stripe and GitHub\nkeep copies of their own: erase them there."


def operator() -> str:
    """Who the audit names: the account on this machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = ""
    return "operator:" + re.sub(r"[^a-z0-9_-]", "", name.lower())[:24]


@click.group(invoke_without_command=True, help="List and end steps that wait for a person.")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_context
def parked(context: click.Context, as_json: bool) -> None:
    if context.invoked_subcommand is not None:
        return
    desk: Desk = context.obj()
    with desk.engine.connect() as connection:
        found = parking.waiting(connection)
    if as_json:
        click.echo(json.dumps({"parked": [_document(one) for one in found]}, indent=2))
    elif not found:
        click.echo("No step waits for a person.")
    for one in [] if as_json else found:
        _show(one)
    context.exit(PERSON if found else DONE)


def _document(one: parking.Parked) -> dict[str, Any]:
    action = one.action
    return {
        "action": action.id, "ticket_id": one.approval.ticket_id, "approval": one.approval.id, "step": action.kind,
        "object": one.object, "amount": action.amount, "currency": action.currency,
        "since": stamp(action.sent_at or action.updated_at), "reason": action.reason, "check": one.check,
    }  # fmt: skip


def _show(one: parking.Parked) -> None:
    action = one.action
    amount = f", {Money(action.amount, action.currency).plain()}" if action.amount and action.currency else ""
    click.echo(f"{action.id}\n  ticket {one.approval.ticket_id}: {action.kind}{amount}"[:80])
    click.echo(f"  object {one.object or '-'}, sent {stamp(action.sent_at)}"[:80])
    click.echo(click.wrap_text(one.check, 78, "  ", "  "))


@parked.command(name="resume", help="Look for the step's effect again; try again while that is safe.")
@click.argument("action")
@click.pass_obj
def resume_command(desk_of: Callable[[], Desk], action: str) -> None:
    _only_parked(lambda: parking.resume(desk_of(), action, operator()))
    click.echo("The step is looked up again. Run billing-desk parked to see what came of it.")


@parked.command(name="settle", help="Write down what you saw in Stripe or Zendesk.")
@click.argument("action")
@click.argument("outcome", type=click.Choice(["done", "refused"]))
@click.option("--object", "found", help="with done: the id of what you found, such as re_…")
@click.pass_obj
def settle_command(desk_of: Callable[[], Desk], action: str, outcome: str, found: str | None) -> None:
    if found is not None and (outcome != "done" or not _ID.fullmatch(found)):
        raise Stop("--object is the id of what you found, and goes with done.", USAGE)
    _only_parked(lambda: parking.settle_as(desk_of(), action, outcome, operator(), found=found))
    click.echo(f"The step is {outcome}.")


def _only_parked(act: Callable[[], None]) -> None:
    try:
        act()
    except parking.NotParked:
        raise Stop("No step of this id waits for a person.", MISSING) from None


@click.command(help="Erase what the store holds about a person: cards, replies, reasons.")
@click.argument("address", required=False)
@click.option("--ticket", type=click.IntRange(1, 2**63 - 1), help="one Zendesk ticket")
@click.option("--customer", help="all tickets of a Stripe customer, cus_…")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def redact(
    desk_of: Callable[[], Desk], address: str | None, ticket: int | None, customer: str | None, as_json: bool
) -> None:
    if sum(value is not None for value in (address, ticket, customer)) != 1:
        raise Stop("Name exactly one of EMAIL, --ticket, --customer.", USAGE)
    if address is not None and not _ADDRESS.fullmatch(address.strip()):
        raise Stop("That is not an e-mail address.", USAGE)
    if customer is not None and not _CUSTOMER.fullmatch(customer):
        raise Stop("--customer is a Stripe customer, cus_…", USAGE)
    desk = desk_of()
    done = {number: redact_ticket(desk, number, operator()) for number in _tickets(desk, address, ticket, customer)}
    erased = [one for one in done.values() if one is not None and one.anything]
    left = [number for number, one in done.items() if one is None]
    if not erased and not left:
        raise Stop("The store holds no text about that.", MISSING)
    if as_json:
        click.echo(json.dumps({"erased": [dataclasses.asdict(one) for one in erased], "left": left}, indent=2))
    else:
        click.echo("\n".join([*map(_told, erased), *map(_left, left), REST]))
    sys.exit(PERSON if left else DONE)


def _tickets(desk: Desk, address: str | None, ticket: int | None, customer: str | None) -> list[int]:
    if ticket is not None:
        return [ticket]
    with desk.engine.connect() as connection:
        if customer is not None:
            return erasing.tickets_of_customer(connection, customer)
        return erasing.tickets_of_address(connection, address or "")


def _told(erased: Erased) -> str:
    rows = {"approval": erased.approvals, "correction": erased.corrections, "prepared follow-up": erased.news}
    parts = ["card"] if erased.card else []
    parts += [f"{count} {name}{'s' if count > 1 else ''}" for name, count in rows.items() if count]
    return f"Ticket {erased.ticket_id}: erased the texts of {', '.join(parts)}."


def _left(ticket_id: int) -> str:
    return f"Ticket {ticket_id}: left, a plan is under way or parked. Run this again after it."
