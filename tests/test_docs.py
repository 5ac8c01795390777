"""Does everything exist that the documents name, and is everything named that exists?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import app
from billing.policy import PolicyError, parse
from integrations.checks.expected import STRIPE_EVENTS
from integrations.metrics import FAMILIES, PREFIX
from integrations.settings import NAMES
from zendesk.refusals import STATUS

ROOT = Path(__file__).resolve().parents[1]
DOCS = {path.name: path for path in [ROOT / "README.md", *sorted((ROOT / "deploy" / "docs").glob("*.md"))]}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in DOCS.items()}
OPERATIONS = TEXTS["operations.md"]
RULES = yaml.safe_load((ROOT / "deploy" / "alerts" / "billing-desk.rules.yaml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy" / "dashboards" / "billing-desk.json").read_text(encoding="utf-8"))


def section(title: str) -> str:
    """The text below a heading of the operations page."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^## |\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- settings, commands, codes, policy ------------------------------------------------------------------------------


def test_every_setting_stands_in_the_example_and_no_other() -> None:
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == set(NAMES)


def test_every_setting_is_explained_and_no_other() -> None:
    assert sorted(name for first, *_ in rows("Settings") for name in code(first)) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(DOCS))
def test_every_setting_that_a_document_names_exists(name: str) -> None:
    pattern = r"\b((?:BILLING_DESK|ZENDESK|STRIPE|GITHUB|DATABASE|SENTRY|LOG)_[A-Z_]+[A-Z])(?:_FILE)?\b"
    assert {one.removesuffix("_FILE") for one in re.findall(pattern, TEXTS[name])} <= set(NAMES)


def test_every_command_is_explained_and_no_other() -> None:
    named = [code(first)[0].split()[1] for first, *_ in rows("Commands")]
    assert sorted(named) == sorted(app.cli.commands)


@pytest.mark.parametrize("name", sorted(DOCS))
def test_every_command_and_option_that_a_document_shows_exists(name: str) -> None:
    for words in re.findall(r"billing-desk ((?:[a-z]+|--[a-z-]+)(?: (?:--)?[A-Za-z_:…@.-]+)*)", TEXTS[name]):
        first, *rest = words.split()
        if first not in app.cli.commands:
            assert first in {"listens", "doctor"} or not re.search(rf"`billing-desk {first}", TEXTS[name]), words
            continue
        command: click.Command = app.cli.commands[first]
        if isinstance(command, click.Group) and rest and rest[0] in command.commands:
            command = command.commands[rest.pop(0)]
        known = {option for one in command.params for option in one.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= known, words


def test_every_command_has_help_that_fits_80_columns() -> None:
    for name, command in app.cli.commands.items():
        with click.Context(command, info_name=name, max_content_width=80) as context:
            assert all(len(line) <= 80 for line in command.get_help(context).splitlines()), name


@pytest.mark.parametrize("name", sorted(DOCS))
def test_make_targets_that_a_document_names_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z]+)", TEXTS[name], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_error_code_is_explained_with_its_status_and_no_other() -> None:
    assert {code(first)[0]: int(status) for first, status, _ in rows("Error codes")} == dict(STATUS)
    assert all(400 <= status < 600 for status in STATUS.values())


def policy_keys() -> Iterator[tuple[str, str]]:
    """Every table and key that policy.toml may hold, out of what the reader says about one that it does not know."""
    tables = known("zzz = 1\n")
    for table in tables:
        if table == "languages":
            yield "top", table
        elif table != "examples":
            yield from ((table, key) for key in known(f"[{table}]\nzzz = 1\n"))
        else:
            yield from ((table, key) for key in known('[[examples]]\nname = "a"\nbucket = "team_seats"\nzzz = 1\n'))


def known(text: str) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        parse(text, "policy.toml")
    listed = str(refused.value).partition("is not known here: ")[2].rstrip(".")
    return [word.strip() for word in re.split(r", | or ", listed)]


def test_every_event_type_of_stripes_that_is_needed_is_listed_and_no_other() -> None:
    paragraph = OPERATIONS.partition("**Stripe's webhook**")[2].partition("\n\n")[0]
    assert {one for one in code(paragraph) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", one)} == STRIPE_EVENTS


def test_every_key_of_policy_toml_is_explained_and_no_other() -> None:
    named = [
        (code(table)[0] if code(table) else table, key) for table, keys, _ in rows("policy.toml") for key in code(keys)
    ]
    assert sorted(named) == sorted(policy_keys())


# --- metrics, alerts, dashboard -------------------------------------------------------------------------------------


def test_every_metric_is_explained_with_its_labels_and_no_other() -> None:
    named = {
        name: {one.strip() for one in labels.split(",") if one.strip()}
        for names, labels, _ in rows("Metrics")
        for name in code(names)
    }
    assert named == {family.name: set(family.labels) for family in FAMILIES}


def expressions() -> list[str]:
    return [rule["expr"] for rule in ALERTS] + [
        one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"]
    ]


def test_alerts_and_dashboard_ask_for_existing_series_and_labels_only() -> None:
    series = {PREFIX + family.name: set(family.labels) for family in FAMILIES if family.kind != "histogram"}
    for family in FAMILIES:
        if family.kind == "histogram":
            series[PREFIX + family.name + "_bucket"] = {*family.labels, "le"}
            series[PREFIX + family.name + "_count"] = series[PREFIX + family.name + "_sum"] = set(family.labels)
    for expression in expressions():
        named = re.findall(rf"\b({PREFIX}\w+)(?:\{{([^}}]*)\}})?", expression)
        assert named or "up{" in expression, expression
        for name, chosen in named:
            assert name in series, name
            assert set(re.findall(r"(\w+)\s*[=!]~?", chosen)) <= series[name], expression
        grouped = {one.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for one in group.split(",")}
        assert grouped <= {label for name, _ in named for label in series[name]}, expression


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"])
    assert [family.name for family in FAMILIES if PREFIX + family.name not in shown] == []


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() -> None:
    entries = re.findall(r"^### (BillingDesk\w+)$", OPERATIONS, re.MULTILINE)
    assert entries == [rule["alert"] for rule in ALERTS]
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"deploy/docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_panels_of_the_dashboard_neither_overlap_nor_share_an_id() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


# --- proofs and links -----------------------------------------------------------------------------------------------


def test_every_proof_of_the_security_page_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXTS["security.md"])
    assert len(named) > 20
    for path, test in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, f"{path}::{test}"


@pytest.mark.parametrize("name", sorted(DOCS))
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        path, _, anchor = target.partition("#")
        aimed = (DOCS[name].parent / path).resolve() if path else DOCS[name]
        assert aimed.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", aimed.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target
