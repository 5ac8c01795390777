"""How is an installation set up and checked on the command line? `doctor`, `package`, `install`."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import click

from billing.gap import CATALOGUE
from billing.policy import Policy, PolicyError, parse
from integrations.checks import Check, Question, Report, State, examine
from integrations.settings import Settings, SettingsError, read_settings
from zendesk.commands import NO, USAGE, Stop

DOTENV = Path(".env")
WIDTH = 80
_NAME, _INDENT = 20, 29
_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.SKIP: "bright_black"}


@click.command(help="Check settings, store, Stripe, Zendesk and GitHub; each fault with its mend.")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def doctor(as_json: bool) -> None:
    settings = _settings()
    policy = _policy(settings)
    report = examine(
        Question(
            settings=settings,
            labels=(*policy.github.labels, *(f"gap:{kind}" for kind in sorted(CATALOGUE))),
            repositories=tuple(sorted(set(policy.github.routes.values()))),
            environment=os.environ,
            dotenv=DOTENV,
        )
    )
    if as_json:
        click.echo(json.dumps(_document(report), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report, colour=_coloured())))
    sys.exit(NO if report.failed else 0)


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
