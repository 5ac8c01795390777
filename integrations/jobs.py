"""Which work goes on by itself after a crash? The only importer of the durable engine (DBOS, design/engine.md).

A job is a name and one argument. Its handler does the next bit of the work and returns when to be called again (in
seconds), or None when nothing is left. Everything that must not happen twice is guarded by our own tables, so a
handler may be called again at any point; the engine keeps the order, the clock and the memory of what is due.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, EnqueueOptions
from dbos._serialization import Serializer  # the base class; only the import is private

from integrations.slots import Slot, SlotLost

log = logging.getLogger(__name__)
Handler = Callable[[str], float | None]
# Runs at once in one worker. Few: they share one interpreter, and runs that all crawl are all lost in a crash.
PLACES: Mapping[str, int] = {"enrich": 4, "apply": 16, "follow": 2, "gap": 2, "tidy": 1}
# Seconds between looks at a queue. Each look costs, idle too: often only where an agent waits for what comes.
LOOKS: Mapping[str, float] = {"enrich": 0.25, "apply": 0.2, "follow": 2.0, "gap": 1.0, "tidy": 5.0}
VERSION = "jobs-1"  # changes only with the shape of run_job; a drain is due then
RETRY_SECONDS = 5.0
LONGEST_NAP = 2.0  # seconds a run may sleep in its place; after that it goes on as a new run
SWEEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`key` names the job for ever: the same key is the same job. Jobs of one `partition` run one after another.

    `after`: seconds before it may start.
    """

    queue: str
    key: str
    argument: str
    partition: str
    after: float = 0.0


class _JsonSerializer(Serializer):
    """JSON instead of pickle; an exception is kept as its class name only, because its text may hold an address."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"__error__": type(data).__name__}
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        data = json.loads(serialized_data)
        return RuntimeError(data["__error__"]) if isinstance(data, dict) and "__error__" in data else data

    def name(self) -> str:
        return "billing_desk_json"


class Queue:
    """Puts jobs into the engine's tables in the caller's own transaction. Needs no running engine."""

    def __init__(self, engine: sa.Engine, url: str) -> None:
        self._client = DBOSClient(
            system_database_url=url,
            system_database_engine=engine,
            application_name="billing-desk",
            serializer=_JsonSerializer(),
            lazy=True,
            retry_connection_errors=False,
        )

    def put(self, connection: sa.Connection, job: Job) -> None:
        """Enqueue within the open transaction: it runs if and only if the transaction commits."""
        options: EnqueueOptions = {
            "queue_name": job.queue,
            "workflow_name": "run_job",
            "workflow_id": job.key,
            "queue_partition_key": job.partition,
            "app_version": VERSION,
        }
        if job.after:
            options["delay_seconds"] = job.after
        self._client.enqueue_in_transaction(connection, options, job.queue, job.argument, job.partition)


class Worker:
    """The engine in this process: takes a slot, recovers what a dead process left, runs the handlers.

    `periodic`: name -> seconds. Once in each such span of wall time, over all processes together, the handler of the
    queue "tidy" is called with the name.
    """

    def __init__(
        self, engine: sa.Engine, url: str, handlers: Mapping[str, Handler], *, state: Path,
        periodic: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self._engine, self._url, self._slot = engine, url, Slot(url, state)
        self._periodic, self._put = dict(periodic or {}), dict[str, int]()
        self._queue = Queue(engine, url)
        self._stopping = threading.Event()
        _HANDLERS.clear()
        _HANDLERS.update(handlers)

    def start(self) -> None:
        name = self._slot.claim()
        _RUNNER[0] = f"{name}/{self._slot.born}"
        _launch(self._engine, self._url, executor=name)
        threading.Thread(target=self._watch, name="slot-watch", daemon=True).start()

    def stop(self, *, seconds: int = 12) -> None:
        """Stop taking work, let running handlers finish, free the slot."""
        self._stopping.set()
        DBOS.destroy(workflow_completion_timeout_sec=seconds)
        self._slot.release()

    def _watch(self) -> None:
        while not self._stopping.wait(SWEEP_SECONDS):
            try:
                if self._slot.held():
                    self._sweep()
                    self._put_periodic()
            except SlotLost:
                # Somebody else runs under our name now: the only safe thing is to be gone at once.
                os._exit(70)
            except Exception:
                log.warning("slot_watch_failed")

    def _put_periodic(self) -> None:
        """The span's number is part of the job's key, so that many processes put it once and none has to lead."""
        for name, seconds in self._periodic.items():
            span = int(time.time() // seconds)
            if self._put.get(name) != span:
                with self._engine.begin() as connection:
                    self._queue.put(
                        connection, Job(queue="tidy", key=f"tidy:{name}:{span}", argument=name, partition=name)
                    )
                self._put[name] = span

    def _sweep(self) -> None:
        """Resume runs of dead slots (free twice in a row) and runs of our own slot from before we were born."""
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        mine = [
            run
            for run in pending
            if run.executor_id == self._slot.name and (run.dequeued_at or run.created_at or 0) < self._slot.born
        ]
        others = {run.executor_id for run in pending if run.executor_id} - {self._slot.name}
        dead = self._slot.dead(others)
        for run in [*mine, *(run for run in pending if run.executor_id in dead)]:
            DBOS.resume_workflows([run.workflow_id], queue_name=run.queue_name)


def migrate(engine: sa.Engine, url: str) -> None:
    """Bring the engine's own tables to this version; safe to repeat."""
    if url.startswith("sqlite"):
        _launch(engine, url, executor="migrate", run=False)
        DBOS.destroy()
    else:
        DBOS.migrate(url.replace("postgresql://", "postgresql+psycopg://", 1))


def prune(*, before: str) -> int:
    """Delete the engine's memory of runs that ended before the ISO time `before`, 200 at a time; how many."""
    ended = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
    gone = 0
    while True:
        runs = DBOS.list_workflows(
            status=ended, completed_before=before, limit=200, load_input=False, load_output=False
        )
        if not runs:
            return gone
        DBOS.delete_workflows([run.workflow_id for run in runs])
        gone += len(runs)


def unfinished() -> int:
    """How many jobs the engine holds that have not ended."""
    return len(DBOS.list_workflows(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False))


_HANDLERS: dict[str, Handler] = {}
_RUNNER = [f"none/{os.getpid()}-{time.time_ns()}"]


def runner() -> str:
    """This process's worker as `slot/birth`: whoever holds the same slot later knows that this one is gone."""
    return _RUNNER[0]


@DBOS.step(name="turn")
def _turn(queue: str, argument: str) -> float | None:
    """The handler until it wants to wait. What it raises is our bug or a lost database: the job is tried again."""
    try:
        while (again := _HANDLERS[queue](argument)) == 0:
            pass  # the handler keeps its own record of how far it is
        return again
    except Exception as error:
        log.warning("job_failed", extra={"job": queue, "failure": type(error).__name__}, exc_info=error)
        return RETRY_SECONDS


@DBOS.workflow(name="run_job", max_recovery_attempts=10_000)
def _run_job(queue: str, argument: str, partition: str) -> None:
    while (again := _turn(queue, argument)) is not None:
        if again > LONGEST_NAP:
            _continue_later(queue, argument, partition, again)
            return
        DBOS.sleep(again)


def _continue_later(queue: str, argument: str, partition: str, seconds: float) -> None:
    """Go on as a new run of the same job: a long wait must not hold one of the worker's places."""
    key, _, number = str(DBOS.workflow_id).partition("~")
    DBOS.enqueue_workflow_with_options(
        {
            "queue_name": queue,
            "workflow_name": "run_job",
            "workflow_id": f"{key}~{int(number or 0) + 1}",
            "queue_partition_key": partition,  # the same: two at once would both create the issue
            "app_version": VERSION,
            "delay_seconds": seconds,
        },
        queue,
        argument,
        partition,
    )


def _launch(engine: sa.Engine, url: str, *, executor: str, run: bool = True) -> None:
    DBOS(
        config={
            "name": "billing-desk",
            "application_version": VERSION,
            "executor_id": executor,
            "system_database_url": url,
            "system_database_engine": engine,
            "serializer": _JsonSerializer(),
            "console_log_level": "ERROR",
            "notification_listener_polling_interval_sec": 0.25,
        }
    )
    DBOS.launch()
    if run:
        for queue, places in PLACES.items():
            DBOS.register_queue(
                queue, partition_concurrency=1, worker_concurrency=places, polling_interval_sec=LOOKS[queue]
            )
