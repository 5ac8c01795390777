"""Does everything exist that the documents name, and is everything named that exists?"""

from __future__ import annotations

import re
from pathlib import Path

import click

import app
from integrations.settings import NAMES
from zendesk.refusals import STATUS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_stands_in_the_example_and_no_other() -> None:
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == set(NAMES)


def test_every_setting_of_the_readme_exists() -> None:
    named = set(re.findall(r"`?\b((?:BILLING_DESK|ZENDESK|STRIPE|GITHUB|DATABASE|SENTRY|LOG)_[A-Z_]+)", README))
    assert named <= set(NAMES)


def test_every_command_of_the_readme_exists_and_every_command_is_named() -> None:
    named = set(re.findall(r"billing-desk ([a-z]+)", README)) - {"listens"}
    assert named == set(app.cli.commands)


def test_every_command_has_help_that_fits_80_columns() -> None:
    for name, command in app.cli.commands.items():
        with click.Context(command, info_name=name, max_content_width=80) as context:
            assert all(len(line) <= 80 for line in command.get_help(context).splitlines()), name


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_refusal_codes_have_a_status_that_means_a_refusal() -> None:
    assert all(400 <= status < 600 for status in STATUS.values())
