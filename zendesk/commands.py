"""What can an operator ask on the command line? Reads, checks and reports; exit codes of contract section 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from billing.decision import Decision, decide
from billing.evidence import Requester, TicketText
from billing.handoff import handoff
from billing.identity import Level
from billing.money import Money
from billing.reading import read_ticket
from github_issues.filing import ledger
from integrations.errors import NotFound, OutsideError
from integrations.store import audit as audit_log
from integrations.store import deliveries
from zendesk import audit_head, gap_week, gap_week_text
from zendesk.card import stamp, state_of, to_card
from zendesk.desk import Desk
from zendesk.stripe_events import look_again
from zendesk.webhook import ask

DONE, NO, USAGE, UPSTREAM, PERSON, MISSING = 0, 1, 2, 3, 4, 5
MOST_TEXT = 64 * 1024


def end(message: str, code: int, *, as_json: bool) -> NoReturn:
    """One line on stderr, the same as JSON on stdout where JSON was asked for, and the exit code."""
    if as_json:
        click.echo(json.dumps({"error": {"message": message, "exit_code": code}}))
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)


class Stop(click.ClickException):
    """A command cannot go on; see `end`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        context = click.get_current_context(silent=True)
        self._as_json = context is not None and bool(context.params.get("as_json"))

    def show(self, file: Any = None) -> None:
        end(self.message, self.code, as_json=self._as_json)


@click.command(help="Read one customer or ticket and show the handoff. Never writes anywhere.")
@click.option("--email", help="the customer's e-mail address")
@click.option("--customer", help="a Stripe customer, cus_…")
@click.option("--subscription", help="a Stripe subscription, sub_…")
@click.option("--invoice", help="a Stripe invoice, in_…")
@click.option("--charge", help="a Stripe charge, ch_…")
@click.option("--github", help="a GitHub login that customers carry as metadata")
@click.option("--ticket", type=click.IntRange(1, 2**63 - 1), help="a Zendesk ticket")
@click.option("--text", type=click.File("r", encoding="utf-8"), help="what the customer wrote: a file, or - for stdin")
@click.option("--at", "at", help="now, for the decision: 2026-11-22 or 2026-11-22T10:00:00Z")
@click.option("--json", "as_json", is_flag=True, help="print the card as JSON")
@click.pass_obj
def diagnose(desk_of: Callable[[], Desk], /, text: Any, at: str | None, as_json: bool, **who: Any) -> None:
    named = {name: value for name, value in who.items() if value is not None}
    if len(named) != 1:
        raise Stop("Name one customer or ticket, like --email E: see diagnose --help.", USAGE)
    name, value = next(iter(named.items()))
    if not str(value).strip():
        raise Stop(f"--{name} is empty.", USAGE)
    written = _written(text)
    desk = desk_of()
    if name == "ticket" and not desk.settings.zendesk:
        raise Stop("ZENDESK_SUBDOMAIN or its credentials are not set: --ticket reads Zendesk.", USAGE)
    now = _moment(at) if at else desk.now()
    try:
        decision = _decide(desk, named, written, now)
    except NotFound as error:
        raise Stop(f"{error.service.capitalize()} has nothing under that name.", MISSING) from error
    except OutsideError as error:
        raise Stop(
            f"{error.service.capitalize()} did not answer: {error.kind}. Nothing was changed.", UPSTREAM
        ) from error
    if as_json:
        click.echo(json.dumps(_card(desk, decision), indent=2, ensure_ascii=False, default=str))
    else:
        click.echo(handoff(decision, desk.policy).text())
    sys.exit(_exit_code(decision))


def _written(text: Any) -> str | None:
    try:
        return str(text.read(MOST_TEXT)) if text else None
    except UnicodeDecodeError:
        raise Stop("--text is not UTF-8 text.", USAGE) from None


def _decide(desk: Desk, named: Mapping[str, Any], written: str | None, now: datetime) -> Decision:
    if "ticket" in named:
        return _decide_ticket(desk, named["ticket"], written, now)
    email = named.get("email")
    requester = Requester(email=email, named_by_operator=True)
    evidence = read_ticket(TicketText(subject="", body=written or ""), requester, None)
    lookup = None if email else str(next(iter(named.values())))
    return decide(evidence, desk.reader.snapshot(evidence, now=now, lookup=lookup), desk.policy)


def _decide_ticket(desk: Desk, ticket_id: int, written: str | None, now: datetime) -> Decision:
    from zendesk.tickets import read_request

    _, text, requester = read_request(desk.zendesk, ticket_id)
    if written is not None:
        text = TicketText(subject=text.subject, body=written, channel=text.channel, headers=text.headers)
    evidence = read_ticket(text, requester, ticket_id)
    return decide(evidence, desk.reader.snapshot(evidence, now=now), desk.policy)


def _card(desk: Desk, decision: Decision) -> dict[str, Any]:
    repository = desk.filing.repository(decision.gap) if desk.filing and decision.gap else None
    return to_card(decision, desk.policy, repository=repository)


def _exit_code(decision: Decision) -> int:
    if decision.identity.level is Level.UNKNOWN and not decision.snapshot.customers:
        return MISSING
    return PERSON if state_of(decision) == "needs_human" else DONE


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Stop("--at is no time. Write 2026-11-22 or 2026-11-22T10:00:00Z.", USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(help="Show the product-gap ledger, or the report of one week.")
@click.option("--week", help="the report of this week, like 2026-W47, in place of the ledger")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option("--markdown", is_flag=True, help="print the week's report as Markdown, which is how it is shown anyway")
@click.pass_obj
def gaps(desk_of: Callable[[], Desk], week: str | None, as_json: bool, markdown: bool) -> None:
    if as_json and markdown:
        raise Stop("--json and --markdown exclude each other.", USAGE)
    if week is not None or markdown:
        _show_week(desk_of(), week, as_json)
        return
    with desk_of().engine.connect() as connection:
        rows = ledger(connection)
    if as_json:
        click.echo(json.dumps({"gaps": rows}, indent=2, default=stamp))
        return
    if not rows:
        click.echo("No gap was filed yet. One is counted each time a plan with a gap is approved.")
    for row in rows:
        click.echo("\n".join(line[:80] for line in _gap_lines(row)))


def _gap_lines(row: Mapping[str, Any]) -> list[str]:
    issue = f"{row['repository']}#{row['issue']['number']}" if row["issue"] else f"{row['repository']}, no issue yet"
    refunded, at_risk = (_sums(row[name]) for name in ("refunded", "at_risk"))
    return [
        f"{row['kind'][:40]:<40} {row['tickets']:>4} tickets  {issue}",
        f"    customers {row['customers']}, seen {row['first_seen']:%Y-%m-%d} to {row['last_seen']:%Y-%m-%d}",
        f"    refunded {refunded}, at risk a month {at_risk}",
    ]


def _sums(by_currency: Mapping[str, int]) -> str:
    return " + ".join(Money(amount, currency).plain() for currency, amount in sorted(by_currency.items())) or "nothing"


def _show_week(desk: Desk, name: str | None, as_json: bool) -> None:
    try:
        week = gap_week.read_week(name) if name else gap_week.week_of(desk.now())
    except ValueError:
        raise Stop("--week is no week. Write it like 2026-W47.", USAGE) from None
    with desk.engine.connect() as connection:
        document = gap_week.report(connection, week, desk.now())
    click.echo(json.dumps(document, indent=2) if as_json else gap_week_text.markdown(document), nl=as_json)


@click.group(help="Check or export the audit chain.")
def audit() -> None:
    """The append-only record of who did what."""


@audit.command(help="Check the chain; names the first broken entry.")
@click.option(
    "--head", "heads", multiple=True, metavar="NUMBER:HASH", help="an end of the chain as it was logged earlier"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def verify(desk_of: Callable[[], Desk], heads: tuple[str, ...], as_json: bool) -> None:
    desk = desk_of()
    try:
        known = [audit_log.Head.of(words) for words in heads] + audit_head.kept(desk)
    except ValueError:
        raise Stop("--head is NUMBER:HASH, as billing-desk logs it every day.", USAGE) from None
    with desk.engine.connect() as connection:
        verdict, last = audit_log.check(connection, known), audit_log.head(connection)
    if as_json:
        end = last.words if last else None
        click.echo(json.dumps({"entries": verdict.count, "first_broken": verdict.broken, "head": end}))
        sys.exit(DONE if verdict.broken is None else NO)
    if verdict.broken is not None:
        missing = " or missing" if last is None or verdict.broken > last.number else ""
        raise Stop(f"The audit chain is broken{missing} at entry {verdict.broken}.", NO)
    click.echo(f"{verdict.count} entries, chain whole.")


@audit.command(help="Print every entry as one JSON document a line.")
@click.pass_obj
def export(desk_of: Callable[[], Desk]) -> None:
    with desk_of().engine.connect() as connection:
        for entry in audit_log.entries(connection):
            document = {
                "number": entry.number, "at": entry.at.isoformat(), "actor": entry.actor, "event": entry.event,
                "ticket_id": entry.ticket_id, "body": entry.body, "previous": entry.previous, "hash": entry.hash,
            }  # fmt: skip
            click.echo(json.dumps(document))


@click.command(help="Handle a stored webhook delivery again.")
@click.argument("delivery_id")
@click.pass_obj
def replay(desk_of: Callable[[], Desk], delivery_id: str) -> None:
    desk = desk_of()
    with desk.engine.begin() as connection:
        found = deliveries.find(connection, delivery_id)
        if found is not None and found["source"] == "stripe":
            tickets = look_again(desk, connection, (found["body"] or {}).get("names") or [])
            click.echo(f"Tickets that are read again: {', '.join(map(str, tickets)) or 'none'}.")
            return
        if found is None or found["ticket_id"] is None:
            raise Stop("There is no such delivery.", MISSING)
        ask(desk, connection, found["ticket_id"])
    click.echo(f"Ticket {found['ticket_id']} is read again.")
