"""Does a language model's word reach the card as a doubt, and does nothing ever wait for it or hang on it?"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from testkit.indoors import Indoors, indoors
from tests.zendesk.test_applying import approve, seed


class Model(ThreadingHTTPServer):
    """A server that answers every question with one bucket and the ticket's own first words."""

    asked: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked = []


class _Answers(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path, **asked})
        quote = " ".join(asked["messages"][1]["content"].split("ˆ")[:3])
        content = json.dumps({"bucket": "team_seats", "quote": quote})
        answer = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def desk(model: Model, tmp_path: Path) -> Iterator[Indoors]:
    where = {"language_model_url": f"http://127.0.0.1:{model.server_port}/v1", "language_model_name": "small-1"}
    with indoors(tmp_path, policy="[refunds]\nhold_seconds = 0\n", **where) as made:
        yield made


def test_its_doubt_is_on_the_card_and_the_plan_is_approved_without_asking_it_again(desk: Indoors, model: Model) -> None:
    seeded = seed(desk)
    desk.deliver(seeded.ticket)
    desk.work()
    decision = desk.card(seeded.ticket)["decision"]
    assert (decision["bucket"], decision["band"]) == ("duplicate_subscription", "check")
    assert "second_reader" in {row["code"] for row in decision["against"]}
    assert [one["path"] for one in model.asked] == ["/v1/chat/completions"]
    approve(desk, seeded)
    assert len(model.asked) == 1


def test_while_it_is_down_everything_is_as_without_it(desk: Indoors, model: Model) -> None:
    model.shutdown()
    model.server_close()
    seeded = seed(desk)
    desk.deliver(seeded.ticket)
    desk.work()
    decision = desk.card(seeded.ticket)["decision"]
    assert (decision["bucket"], decision["band"]) == ("duplicate_subscription", "suggest")
