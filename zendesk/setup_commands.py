"""How is an installation set up and checked on the command line? `doctor`, `package`, `install`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import sqlalchemy as sa

from billing.policy import Policy, PolicyError, parse
from integrations.checks import Check, Report, State, examine
from integrations.checks.expected import SETUP_SCOPES
from integrations.checks.report import GROUPS
from integrations.checks.stripe_access import NoPortal, switch_on_portal
from integrations.errors import Forbidden, OutsideError, Refused, Unauthorized
from integrations.http import Door
from integrations.settings import Settings, SettingsError, read_settings
from integrations.store import database
from integrations.zendesk_client import ApiToken, OAuthClient, ZendeskClient
from zendesk.commands import NO, UPSTREAM, USAGE, Stop
from zendesk.installing import Installing, NotInstalled, Seen
from zendesk.links import signed_link
from zendesk.packaging import build, validate
from zendesk.setup_page import DOTENV, question
from zendesk.uninstalling import kept, remove

WIDTH = 80
INSTALL_SECONDS = 30.0  # of one call; an upload is the longest
_NAME, _INDENT = 22, 31
_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.SKIP: "bright_black"}


@click.command(help="Check settings, store, Stripe, Zendesk and GitHub; each fault with its mend.")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option("--fix", type=click.Choice(["portal"]), help="first switch on what customers need in Stripe's portal")
@click.option("--only", type=click.Choice([group.lower() for group in GROUPS]), help="look at one part")
@click.option("--link", is_flag=True, help="only print a link to the same checks as a page, good for seven days")
def doctor(as_json: bool, fix: str | None, only: str | None, link: bool) -> None:
    settings = _settings()
    policy = _policy(settings)
    if link:
        if not (settings.secret_keys and settings.public_url):
            raise Stop("--link needs BILLING_DESK_SECRET_KEY and BILLING_DESK_PUBLIC_URL.", USAGE)
        click.echo(signed_link(settings, "setup", datetime.now(UTC)))
        return
    if fix:
        _fix_portal(settings)
    group = next((one for one in GROUPS if one.lower() == only), "")
    report = examine(dataclasses.replace(question(settings, policy), only=group))
    if as_json:
        click.echo(json.dumps(_document(report), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report, colour=_coloured())))
    sys.exit(NO if report.failed else 0)


@click.command(help="Build the Zendesk app package and validate it offline.")
@click.option("-o", "--output", default="app.zip", show_default=True, help="where the package is written; - is stdout")
def package(output: str) -> None:
    built = build()
    findings = validate(built)
    for warning in findings.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not findings.good:
        raise Stop(f"The package is not valid: {'; '.join(str(finding) for finding in findings.errors)}", NO)
    if output == "-":
        sys.stdout.buffer.write(built)
        return
    try:
        Path(output).write_bytes(built)
    except OSError as error:
        raise Stop(f"{output} cannot be written: {error.strerror}.", USAGE) from error
    digest = hashlib.sha256(built).hexdigest()[:16]
    click.echo(f"{Path(output).name[:24]}  {len(built):,} bytes, sha256 {digest}, no errors")


@click.command(help="Create or update webhook, ticket fields and app in Zendesk; prints the settings obtained.")
@click.option("--role", "roles", multiple=True, type=click.IntRange(1), help="only this Zendesk role sees the app (id)")
@click.option("--group", "groups", multiple=True, type=click.IntRange(1), help="only this group sees the app (id)")
@click.option("--take-over", is_flag=True, help="change webhook and app although they serve another address")
def install(roles: tuple[int, ...], groups: tuple[int, ...], take_over: bool) -> None:
    settings = _settings()
    _installable(settings)
    engine = database.open_engine(settings.database_url, pool=1)
    try:
        with _one_sentence():
            database.check_schema(engine)
            done = Installing(
                _admin(settings), engine, public_url=settings.public_url, app_id=settings.zendesk_app_id,
                seen_by=Seen(roles=roles, groups=groups), take_over=take_over,
                tell=lambda words: click.echo(words, err=True),
            ).run()  # fmt: skip
    finally:
        engine.dispose()
    if not done.changes:
        click.echo("Everything was in place; nothing was changed.", err=True)
    for name, value in done.settings.items():
        click.echo(f"{name}={value}")


@click.command(help="Remove from Zendesk what install made; without --yes it is only listed.")
@click.option("--yes", is_flag=True, help="remove it; ticket fields lose their values on every ticket")
def uninstall(yes: bool) -> None:
    settings = _settings()
    if not settings.zendesk:
        raise Stop("ZENDESK_SUBDOMAIN and an admin's ZENDESK_OAUTH_CLIENT_ID are not set.", USAGE)
    engine = database.open_engine(settings.database_url, pool=1)
    try:
        with _one_sentence("uninstall"):
            database.check_schema(engine)
            things = kept(engine)
            if not yes:
                for _, kind, number in things:
                    click.echo(f"{kind} {number}")
                click.echo("Run it with --yes to remove these." if things else "There is nothing to remove.", err=True)
                return
            for sentence in remove(_admin(settings), engine) if things else ():
                click.echo(sentence)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _one_sentence(command: str = "install") -> Iterator[None]:
    """Turn what can go wrong while installing into Stop, with the exit code that it has."""
    try:
        yield
    except database.SchemaMismatch as error:
        raise Stop(str(error), USAGE) from error
    except sa.exc.SQLAlchemyError as error:
        raise Stop("The store does not answer. Check DATABASE_URL and that the database runs.", UPSTREAM) from error
    except NotInstalled as error:
        raise Stop(str(error), NO) from error
    except Unauthorized as error:
        raise Stop("Zendesk rejects the credentials. Check client, secret and user.", USAGE) from error
    except Forbidden as error:
        needs = f" (it needs the scope {error.permission})" if error.permission else ""
        raise Stop(f"These credentials may not set up Zendesk{needs}. Use those of an admin.", USAGE) from error
    except Refused as error:
        raise Stop(f"Zendesk refused {error.method} {error.path}: {error.code or error.status}.", NO) from error
    except OutsideError as error:
        raise Stop(f"Zendesk did not answer ({error.kind}). Run billing-desk {command} again.", UPSTREAM) from error


def _installable(settings: Settings) -> None:
    """One sentence for whatever is missing before Zendesk is asked at all."""
    if not settings.public_url:
        raise Stop("BILLING_DESK_PUBLIC_URL is not set: the https address Zendesk calls.", USAGE)
    if not settings.zendesk:
        raise Stop("ZENDESK_SUBDOMAIN and an admin's ZENDESK_OAUTH_CLIENT_ID are not set.", USAGE)


def _admin(settings: Settings) -> ZendeskClient:
    """A client whose user is an admin. Raises Stop, OutsideError."""
    door = Door("zendesk", settings.zendesk_base, total_seconds=INSTALL_SECONDS, concurrency=2)
    if settings.zendesk_oauth_client_id:
        credentials: OAuthClient | ApiToken = OAuthClient(
            client_id=settings.zendesk_oauth_client_id,
            client_secret=settings.zendesk_oauth_client_secret,
            scopes=SETUP_SCOPES,
        )
    else:
        credentials = ApiToken(email=settings.zendesk_email, token=settings.zendesk_api_token)
    client = ZendeskClient(door, credentials)
    probe = client.probe()
    if probe.role != "admin":
        raise Stop(f"install needs an admin's credentials; these are of role {probe.role}.", USAGE)
    if probe.missing:
        scopes = ", ".join(sorted(probe.missing))
        raise Stop(f"The OAuth client was not granted {scopes}. Allow these scopes for install.", USAGE)
    return client


def _fix_portal(settings: Settings) -> None:
    if not settings.stripe_write_key:
        raise Stop("STRIPE_WRITE_KEY is not set: --fix portal needs it.", USAGE)
    try:
        changed = switch_on_portal(settings)
    except NoPortal as error:
        raise Stop(str(error), NO) from error
    except (Unauthorized, Forbidden) as error:
        raise Stop("STRIPE_WRITE_KEY lacks rak_customer_portal_write.", USAGE) from error
    except OutsideError as error:
        raise Stop(f"Stripe did not change the portal ({error.kind}). Run it again.", UPSTREAM) from error
    click.echo(f"Portal {changed}: cancel, payment method, invoices and login page are on.", err=True)


def _document(report: Report) -> Mapping[str, object]:
    checks = [
        {
            "group": check.group, "name": check.name, "state": check.state.value, "evidence": check.evidence,
            "fix": check.fix,
        }
        for check in report.checks
    ]  # fmt: skip
    return {"checks": checks, "summary": report.summary}


def _lines(report: Report, *, colour: bool) -> list[str]:
    places, lines, group = dict(report.places), [], ""
    for check in report.checks:
        if check.group != group:
            group = check.group
            lines.append(f"{group:<9} {places.get(group, '')}".rstrip()[:WIDTH])
        lines += _check_lines(check, colour=colour)
    return [*lines, "", *textwrap.wrap(report.summary, WIDTH)]


def _check_lines(check: Check, *, colour: bool) -> list[str]:
    word = click.style(f"{check.state.value:<5}", fg=_COLOURS[check.state]) if colour else f"{check.state.value:<5}"
    told = _wrapped(check.evidence)
    first = f"  {word} {check.name[:_NAME]:<{_NAME}} {told[0]}".rstrip()
    rest = [*told[1:], *(_wrapped(f"fix: {check.fix}") if check.fix else [])]
    return [first, *(f"{'':<{_INDENT}}{line}" for line in rest)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - _INDENT, break_on_hyphens=False) or [""]


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _settings() -> Settings:
    try:
        return read_settings(dotenv=DOTENV)
    except SettingsError as error:
        raise Stop(str(error), USAGE) from error


def _policy(settings: Settings) -> Policy:
    if not settings.policy_path:
        return Policy()
    try:
        return parse(Path(settings.policy_path).read_text(encoding="utf-8"), settings.policy_path)
    except (OSError, UnicodeDecodeError) as error:
        raise Stop("BILLING_DESK_POLICY names a file that cannot be read.", USAGE) from error
    except PolicyError as error:
        raise Stop(str(error), USAGE) from error
