"""Do the README's four steps, word for word, lead from an empty folder to a ticket with its card?

The commands are taken out of the README. Installed is the wheel that hatchling builds, unpacked beside this run's
dependencies: `pip install` would ask a package index. The twins stand for the vendors.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from integrations.checks.stripe_access import READING, WRITING
from integrations.twins.stripe_twin import StripeTwin, World
from integrations.twins.zendesk_twin import ZendeskTwin
from testkit.rig import READ_KEY, WRITE_KEY, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("billing", "integrations", "zendesk", "github_issues")
MOST_SECONDS = 15.0  # of processor time for all steps together: what a wall clock shows is the neighbours' work too


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (built,) = folder.glob("billing_desk-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_file_of_the_product_and_no_test(wheel: Path) -> None:
    wanted = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    held = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    assert sorted(wanted - held) == []
    assert {path.parts[0] for path in held} <= {*PACKAGES, "app.py", *(p.name for p in wheel.glob("*.dist-info"))}


def fences(kind: str) -> list[str]:
    """The README's blocks of this kind between the four steps' heading and the next."""
    steps = README.partition("## Four steps to production")[2].partition("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", steps, re.DOTALL)


@dataclass
class Machine:
    """A fresh folder, a `billing-desk` on the PATH, and what stands for the world outside."""

    folder: Path
    environment: dict[str, str]
    stripe: StripeTwin
    zendesk: ZendeskTwin
    port: int

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """One line of the README in a shell."""
        return subprocess.run(
            ["/bin/sh", "-ec", line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, wheel: Path) -> Iterator[Machine]:
    with StripeTwin(check_responses=False) as stripe, ZendeskTwin() as zendesk:
        stripe.add_key(READ_KEY, {probe.permission for probe in READING} | {"rak_plan_read"})
        stripe.add_key(WRITE_KEY, {probe.permission for probe in (*READING, *WRITING)})
        port = free_port()
        commands = tmp_path / "bin"
        commands.mkdir()
        (commands / "billing-desk").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n', encoding="utf-8")
        (commands / "billing-desk").chmod(0o755)
        folder = tmp_path / "empty"
        folder.mkdir()
        environment = {
            "PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(wheel),
            # Where the twins are; a real installation has none of these.
            "STRIPE_API_BASE": stripe.url, "ZENDESK_API_BASE": zendesk.url, "LOG_LEVEL": "warning",
        }  # fmt: skip
        yield Machine(folder, environment, stripe, zendesk, port)


def keys(machine: Machine) -> str:
    """The README's `.env` with values for its placeholders."""
    values = {
        "BILLING_DESK_SECRET_KEY": "s" * 40, "BILLING_DESK_PUBLIC_URL": f"http://127.0.0.1:{machine.port}",
        "ZENDESK_SUBDOMAIN": "acme", "ZENDESK_OAUTH_CLIENT_ID": machine.zendesk.client_id,
        "ZENDESK_OAUTH_CLIENT_SECRET": machine.zendesk.client_secret, "STRIPE_READ_KEY": READ_KEY,
        "STRIPE_WRITE_KEY": WRITE_KEY,
    }  # fmt: skip
    (block,) = fences("ini")
    names = [line.partition("=")[0] for line in block.splitlines()]
    assert sorted(names) == sorted(values)
    return "".join(f"{name}={values[name]}\n" for name in names)


def test_the_four_steps_of_the_readme_lead_to_a_ticket_with_its_card(machine: Machine) -> None:
    install, set_up, run = (block.splitlines() for block in fences("sh"))
    assert any("pip install ." in line for line in install)
    World(machine.stripe).portal_configuration()
    before = os.times()
    (machine.folder / ".env").write_text(keys(machine), encoding="utf-8")
    for line in set_up:
        done = machine.shell(line)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    serve, *rest = run
    with serving(machine, serve):
        for line in rest:
            done = machine.shell(line)
            assert done.returncode == 0, f"{line}: {done.stdout}"
            assert "Working: cards, fixes and refunds, self-service" in " ".join(done.stdout.split())
        ticket = ticket_of(machine)
        wait_for(lambda: enriched(machine, ticket), 20, "the ticket got no card")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    assert busy < MOST_SECONDS, "the steps themselves need too long"


@contextlib.contextmanager
def serving(machine: Machine, line: str) -> Iterator[None]:
    """The README's line that stays running, at a free port."""
    assert line.endswith(" &")
    command = [*line.removesuffix(" &").split(), "--port", str(machine.port)]
    with (machine.folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command, cwd=machine.folder, env=machine.environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: ready(machine), 30, "serve does not get ready")
            yield
        finally:
            process.terminate()
            process.wait(20)


def ready(machine: Machine) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{machine.port}/readyz", timeout=5).status_code == 200
    except requests.exceptions.ConnectionError:
        return False


def ticket_of(machine: Machine) -> int:
    """A new ticket of a customer who pays twice; the twin delivers it as Zendesk would."""
    world = World(machine.stripe)
    price = world.price(world.product("Pro"), 2900)
    customer = world.customer("maya@acme.example", name="Maya Okafor")
    for _ in range(2):
        world.subscription(customer, price)
    user = machine.zendesk.add_user("Maya Okafor", "maya@acme.example", verification_method="full")
    return int(machine.zendesk.add_ticket("Charged twice", "I was charged twice this month.", user["id"])["id"])


def enriched(machine: Machine, ticket: int) -> bool:
    found = next(one for one in machine.zendesk.state()["tickets"] if one["id"] == ticket)
    return "billing_desk" in found["tags"]
