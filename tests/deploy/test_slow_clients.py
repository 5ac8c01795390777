"""Does the web process keep answering while hundreds of clients send their requests one letter at a time?"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testkit.rig import Rig, rigged

CLIENTS = 400
HEAD = b"POST /webhooks/zendesk HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Rig]:
    with rigged(tmp_path) as rig:
        rig.start()
        yield rig
        rig.kill_all()


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"\r\n{"], ids=["headers", "bodies"])
def test_a_server_beside_400_slow_clients_still_answers(running: Rig, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 5)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(sent)
        began = time.monotonic()
        for _ in range(5):
            assert requests.get(running.url + "/healthz", timeout=3).status_code == 200
        assert requests.get(running.url + "/readyz", timeout=3).status_code == 200
        for client in clients:
            client.sendall(b"x")
        assert requests.get(running.url + "/healthz", timeout=3).status_code == 200
        assert time.monotonic() - began < 10
