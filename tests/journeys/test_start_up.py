"""Does a wrong installation say in one line what is wrong, and does a right one stop without dropping a request?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testkit.indoors import migrated_copy
from testkit.nursery import alive, kill, run_to_end
from testkit.rig import Rig, free_port, wait_for

SECRETS = {
    "BILLING_DESK_SECRET_KEY": "page-signing-key-of-this-test",
    "ZENDESK_OAUTH_CLIENT_SECRET": "zd-oauth-secret-of-this-test",
    "ZENDESK_WEBHOOK_SECRET": "whs-signing-secret-of-this-test",
    "STRIPE_READ_KEY": "rk_test_readkeyofthistest",
    "STRIPE_WRITE_KEY": "rk_test_writekeyofthistest",
    "GITHUB_TOKEN": "ghp_tokenofthistest",
}
# Nothing outside is ever reached: every address is this machine's discard port.
WHOLE = SECRETS | {
    "ZENDESK_SUBDOMAIN": "acme", "ZENDESK_API_BASE": "http://127.0.0.1:9", "ZENDESK_OAUTH_CLIENT_ID": "billing_desk",
    "STRIPE_API_BASE": "http://127.0.0.1:9", "GITHUB_API_BASE": "http://127.0.0.1:9", "GITHUB_REPOSITORY": "acme/web",
    "LOG_LEVEL": "error",
}  # fmt: skip


def end_of(folder: Path, arguments: list[str], **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with only these settings."""
    settings = WHOLE | {"DATABASE_URL": f"sqlite:///{folder / 'desk.db'}"} | changes
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return run_to_end(arguments, clean | {name: v for name, v in settings.items() if v is not None}, folder=folder)


def one_line(ended: subprocess.CompletedProcess[str], *names: str) -> str:
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("Error: ")
    for name in names:
        assert name in lines[0]
    assert not [secret for secret in SECRETS.values() if secret in lines[0]]
    return lines[0]


@pytest.mark.parametrize(
    "name",
    ["BILLING_DESK_SECRET_KEY", "ZENDESK_SUBDOMAIN", "ZENDESK_OAUTH_CLIENT_ID", "ZENDESK_OAUTH_CLIENT_SECRET",
     "ZENDESK_WEBHOOK_SECRET", "STRIPE_READ_KEY"],
)  # fmt: skip
def test_serve_without_a_setting_names_it(tmp_path: Path, name: str) -> None:
    one_line(end_of(tmp_path, ["serve"], **{name: None}), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://desk:pw@db/desk"),
        ("DATABASE_URL", "postgresql://desk:pw@db:port/desk"),
        ("STRIPE_READ_KEY", "sk_live_fullsecretkey"),
        ("SENTRY_DSN", "nonsense"),
        ("ZENDESK_API_BASE", "https://[bad"),
        ("BILLING_DESK_POLICY", "/no/such/policy.toml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_serve_with_a_wrong_setting_names_it_and_not_its_value(tmp_path: Path, name: str, value: str) -> None:
    line = one_line(end_of(tmp_path, ["serve"], **{name: value}), name)
    assert "fullsecretkey" not in line
    assert "pw@" not in line


def test_a_policy_with_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[refunds]\nhold_seconds = 0\nhold_minutes = 3\n", encoding="utf-8")
    one_line(end_of(tmp_path, ["serve"], BILLING_DESK_POLICY=str(policy)), "policy.toml", "hold_minutes", "3")


def test_a_store_that_was_never_migrated_says_what_to_run(tmp_path: Path) -> None:
    one_line(end_of(tmp_path, ["serve"]), "billing-desk migrate")


def test_a_worker_on_sqlite_says_where_the_work_is_done(tmp_path: Path) -> None:
    migrated_copy(tmp_path / "desk.db")
    one_line(end_of(tmp_path, ["worker"]), "SQLite", "billing-desk serve")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    migrated_copy(tmp_path / "desk.db")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        one_line(end_of(tmp_path, ["serve", "--port", port]), f"127.0.0.1:{port}", "--port")


def test_a_database_that_does_not_answer_is_three_and_one_line(tmp_path: Path) -> None:
    url = f"postgresql://desk:pw-of-this-test@127.0.0.1:{free_port()}/desk"
    for command in (["serve"], ["migrate"]):
        ended = end_of(tmp_path, command, DATABASE_URL=url)
        assert (ended.returncode, ended.stdout) == (3, "")
        assert ended.stderr.count("\n") == 1
        assert "DATABASE_URL" in ended.stderr
        assert "pw-of-this-test" not in ended.stderr


def test_wrong_usage_is_one_line_and_json_where_json_was_asked_for(tmp_path: Path) -> None:
    one_line(end_of(tmp_path, ["diagnose", "--nope"]), "--nope", "Try billing-desk diagnose --help.")
    one_line(end_of(tmp_path, ["frob"]), "frob", "Try billing-desk --help.")
    ended = end_of(tmp_path, ["diagnose", "--ticket", "x", "--json"])
    assert (ended.returncode, json.loads(ended.stdout)["error"]["exit_code"]) == (2, 2)
    assert len(ended.stderr.splitlines()) == 1
    bare = end_of(tmp_path, [])
    assert (bare.returncode, bare.stderr.startswith("Usage: billing-desk")) == (2, True)


def test_migrating_twice_is_safe(tmp_path: Path) -> None:
    first, second = (end_of(tmp_path, ["migrate"]) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout


def test_help_fits_eighty_columns_and_names_every_command(tmp_path: Path) -> None:
    from app import cli

    for command in ([], *([name] for name in sorted(cli.commands))):
        with cli.make_context("billing-desk", [*command], resilient_parsing=True) as context:
            found = cli.commands[command[0]] if command else cli
            text = found.get_help(type(context)(found, info_name=" ".join(["billing-desk", *command])))
        assert max(map(len, text.splitlines())) <= 80, text
    ended = end_of(tmp_path, ["--help"])
    assert ended.returncode == 0
    assert max(map(len, ended.stdout.splitlines())) <= 80
    for name in ("serve", "worker", "migrate", "diagnose", "gaps", "audit", "replay"):
        assert f"\n  {name}" in ended.stdout


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(small_rig: Rig) -> Iterator[Rig]:
    small_rig.start()
    yield small_rig
    small_rig.kill_all()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_the_request_that_runs_and_takes_no_new_one(running: Rig, number: signal.Signals) -> None:
    ticket = running.ticket("maya@acme.example", "Charged twice", "I was charged twice.")
    token = running.launch()
    answers: list[requests.Response] = []
    running.zendesk.faults.add("latency", path=f"/api/v2/tickets/{ticket}", seconds=2.0)
    asking = threading.Thread(target=lambda: answers.append(running.get(f"/api/tickets/{ticket}/card", token=token)))
    asking.start()
    time.sleep(0.5)
    began = time.monotonic()
    kill(running.web, number)
    wait_for(lambda: running.get("/healthz", token=None).status_code == 0, 3, "it still takes requests")
    asking.join()
    wait_for(lambda: not alive(running.web), 15, "it does not stop")
    assert time.monotonic() - began < 15
    assert [answer.status_code for answer in answers] == [202]
    assert "Traceback" not in (running.folder / "web.log").read_text()


def test_of_two_processes_on_one_sqlite_file_one_serves_and_one_says_why_and_the_first_stops_within_seconds(
    small_rig: Rig,
) -> None:
    started: dict[int, tuple[str, Path]] = {}
    for port in (free_port(), free_port()):  # at the same instant
        log = small_rig.folder / f"{port}.log"
        pid = small_rig.nursery.start(["serve", "--port", str(port)], small_rig.environment, log)
        started[pid] = (f"http://127.0.0.1:{port}", log)

    def said(pid: int) -> str:
        return started[pid][1].read_text() if started[pid][1].exists() else ""

    def settled() -> bool:
        return sum(map(alive, started)) == 1 and any("listens on" in said(pid) for pid in started if alive(pid))

    wait_for(settled, 10, lambda: str(list(map(said, started))))
    (first,) = filter(alive, started)
    (second,) = set(started) - {first}
    assert said(second).startswith("Error: Another billing-desk serves this SQLite file")
    assert said(second).count("\n") == 1
    assert requests.get(started[first][0] + "/readyz", timeout=10).status_code == 200
    began = time.monotonic()
    kill(first, signal.SIGTERM)
    wait_for(lambda: not alive(first), 10, "it does not stop")
    assert time.monotonic() - began < 10


def test_what_the_server_itself_refuses_is_still_our_envelope(running: Rig) -> None:
    """A body of two megabytes and a header of 64 kilobytes never reach the application."""
    large = requests.post(running.url + "/webhooks/zendesk", data=b"x" * 2 * 1024 * 1024, timeout=20)
    assert large.status_code == 413
    headers = requests.get(running.url + "/healthz", headers={"X-Long": "x" * 64 * 1024}, timeout=20)
    assert headers.status_code == 431
    for answer, code in ((large, "too_large"), (headers, "bad_request")):
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"] != ""
        assert "waitress" not in answer.text.lower()


def test_doubled_and_underscored_signature_headers_are_refused_by_the_real_server(running: Rig) -> None:
    ticket = running.ticket("maya@acme.example", "Charged twice", "I was charged twice.")
    assert running.deliver(ticket) == 202
    delivery = running.zendesk.deliveries[-1]
    fresh = running.zendesk.deliver_webhook(ticket, "http://127.0.0.1:9/", secret="whs-" + "k" * 24)
    for name in ("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp"):
        lines = [f"{key}: {value}" for key, value in fresh.headers.items()] + [f"{name}: {fresh.headers[name]}"]
        assert raw(running.port, lines, fresh.body) == 401
        renamed = [f"{key.replace('-', '_') if key == name else key}: {value}" for key, value in fresh.headers.items()]
        assert raw(running.port, renamed, fresh.body) == 401
    assert delivery.status == 202


def raw(port: int, lines: list[str], body: bytes) -> int:
    """The status of a POST whose header lines are exactly these."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        head = [
            "POST /webhooks/zendesk HTTP/1.1",
            "Host: x",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *lines,
        ]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return int(connection.recv(64).split(b" ")[1])
