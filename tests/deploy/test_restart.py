"""Can both web processes be replaced, one after the other, without one request that fails?"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testkit.nursery import alive, kill
from testkit.rig import Rig, free_port, rigged, wait_for


class Proxy(threading.Thread):
    """What the Caddyfile does: the next process is tried when a connection is refused; nothing else is repeated."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self.ports, self.statuses, self.stop = ports, list[int](), threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            self.statuses.append(self.ask(number))

    def ask(self, number: int) -> int:
        for turn in range(200):
            port = self.ports[(number + turn) % len(self.ports)]
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10, headers={"Connection": "close"})
                return answer.status_code
            except requests.exceptions.ConnectionError as error:
                if "refused" not in str(error):
                    return 0
                time.sleep(0.01)
        return 0


@pytest.fixture
def rig(tmp_path: Path, postgres_database: str) -> Iterator[Rig]:
    with rigged(tmp_path, postgres_database) as made:
        yield made


def test_a_rolling_restart_of_two_processes_on_postgresql_loses_no_request(rig: Rig) -> None:
    ports = [free_port(), free_port()]
    pids = [start(rig, port) for port in ports]
    proxies = [Proxy(ports) for _ in range(4)]
    for proxy in proxies:
        proxy.start()
    for number, port in enumerate(ports):
        kill(pids[number], signal.SIGTERM)
        wait_for(lambda pid=pids[number]: not alive(pid), 20, "it does not stop")
        pids[number] = start(rig, port)
    for proxy in proxies:
        proxy.stop.set()
        proxy.join(15)
    statuses = [status for proxy in proxies for status in proxy.statuses]
    assert len(statuses) > 50
    assert set(statuses) == {200}


def start(rig: Rig, port: int) -> int:
    pid = rig.nursery.start(["serve", "--port", str(port)], rig.environment, rig.folder / f"web-{port}.log")

    def ready() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
        except requests.exceptions.ConnectionError:
            return False

    wait_for(ready, 30, f"no web process on {port}")
    return pid
