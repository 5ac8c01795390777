"""What does Prometheus get to see? Counters of this process, and what the store knows for every process.

Cards, runs, money, stopped holds, overrides, issues and the oldest job are read from the store at each scrape, so any
process tells the same. Latencies and refused webhooks are counted here and begin anew with the process. Labels hold
codes only: never an id, an address or a text from outside.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, TypeVar

import sqlalchemy as sa

from integrations.http import Observation
from integrations.store import marks, reads
from integrations.store.approvals import ENDED, PARKED, paid
from integrations.store.tables import action, approval, audit, card, correction, gap, gap_ticket

log = logging.getLogger(__name__)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "billing_desk_"
WORKER_SEEN = "worker_seen"  # the mark that every worker renews once a minute
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MOST_SERIES = 500  # of one name; more would be a label that is no code
_P = ParamSpec("_P")
_R = TypeVar("_R")
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric. `labels` are exactly the labels that each of its series has."""

    name: str
    kind: str  # counter, gauge or histogram
    says: str
    labels: tuple[str, ...] = ()


# fmt: off
FAMILIES = (
    Family(name="cards_total", kind="gauge", says="Cards by bucket and present state.", labels=("bucket", "outcome")),
    Family(name="card_seconds", kind="histogram", says="Seconds that one reading of a ticket takes."),
    Family(
        name="upstream_seconds", kind="histogram", says="Seconds of one attempt at an upstream.",
        labels=("service", "status"),
    ),
    Family(name="runs_total", kind="counter", says="Approvals that have ended, by how.", labels=("result",)),
    Family(
        name="money_moved_minor", kind="gauge",  # a refund that fails later is taken off again
        says="Minor units moved by confirmed steps.",
        labels=("currency", "kind"),
    ),
    Family(name="holds_stopped_total", kind="counter", says="Approvals that an agent stopped before all was sent."),
    Family(name="overrides_total", kind="counter", says="Buckets that agents corrected.", labels=("from", "to")),
    Family(name="issues_total", kind="counter", says="What became of product issues.", labels=("action",)),
    Family(name="parked_steps", kind="gauge", says="Steps that wait for a person."),
    Family(name="stripe_reads_spent", kind="gauge", says="Reads made at Stripe in the last 30 days."),
    Family(name="stripe_reads_granted", kind="gauge", says="Reads in 30 days that policy.toml allows."),
    Family(name="worker_age_seconds", kind="gauge", says="Age of a worker's last sign of life, once a minute."),
    Family(name="oldest_job_seconds", kind="gauge", says="Age of the oldest work that should be running."),
    Family(
        name="webhook_rejected_total", kind="counter", says="Webhook deliveries refused, by reason.", labels=("reason",)
    ),
    Family(name="store_up", kind="gauge", says="1 when the store answered this scrape."),
)
# fmt: on
_BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}


@dataclass(slots=True)
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the exposition; `suffix` is `_bucket`, `_sum`, `_count` or empty."""

    name: str
    labels: Labels
    value: float
    suffix: str = ""


class Registry:
    """Thread-safe counters and histograms of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}

    def record(self, name: str, value: float = 1, **labels: str) -> None:
        """Add `value` to a counter, or put it into a histogram. Raises ValueError for a name or label not declared."""
        family = _BY_NAME.get(name)
        if family is None or family.kind == "gauge" or set(labels) != set(family.labels):
            raise ValueError(f"{name} has no such labels")
        key = name, tuple((label, labels[label]) for label in family.labels)
        with self._lock:
            if family.kind == "counter":
                if self._room(self._counters, key):
                    self._counters[key] = self._counters.get(key, 0) + value
            elif self._room(self._histograms, key):
                histogram = self._histograms.setdefault(key, _Histogram())
                histogram.counts[bisect_left(BUCKETS, value)] += 1
                histogram.total += value

    @staticmethod
    def _room(known: Mapping[tuple[str, Labels], object], key: tuple[str, Labels]) -> bool:
        return key in known or sum(name == key[0] for name, _ in known) < MOST_SERIES

    def samples(self) -> Iterator[Sample]:
        with self._lock:
            counters = sorted(self._counters.items())
            histograms = sorted((key, list(one.counts), one.total) for key, one in self._histograms.items())
        for (name, labels), value in counters:
            yield Sample(name, labels, value)
        for (name, labels), counts, total in histograms:
            running = 0
            for edge, count in zip([*map(_number, BUCKETS), "+Inf"], counts, strict=True):
                running += count
                yield Sample(name, (*labels, ("le", edge)), running, "_bucket")
            yield Sample(name, labels, total, "_sum")
            yield Sample(name, labels, running, "_count")


PROCESS = Registry()
record = PROCESS.record  # what other modules call


def observed(observation: Observation) -> None:
    """For `observer=…`: how long an attempt took, and its status or the failure's name; one log line for each."""
    status = str(observation.status or observation.failure or "none")
    record("upstream_seconds", observation.seconds, service=observation.service, status=status)
    told = {"service": observation.service, "method": observation.method, "path": observation.path, "status": status}
    log.info("upstream_answered", extra=told | {"seconds": round(observation.seconds, 4)})


def timed(name: str, call: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same callable, with the seconds of each call put into a histogram without labels."""

    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        began = time.monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            record(name, time.monotonic() - began)

    return run


def exposition(engine: sa.Engine, now: datetime, registry: Registry = PROCESS) -> str:
    """The text of a scrape. Without the store it holds what the process counted, and `store_up 0`."""
    samples = list(registry.samples())
    try:
        with engine.connect() as connection:
            samples += stored(connection, now)
        samples.append(Sample("store_up", (), 1))
    except sa.exc.SQLAlchemyError:
        samples.append(Sample("store_up", (), 0))
    return render(samples)


def render(samples: Iterable[Sample]) -> str:
    """Text format 0.0.4: every declared family with its help and type, its samples together."""
    found = list(samples)
    lines = []
    for family in FAMILIES:
        lines += [
            f"# HELP {PREFIX}{family.name} {family.says}",
            f"# TYPE {PREFIX}{family.name} {family.kind}",
        ]
        lines += [_line(sample) for sample in found if sample.name == family.name]
    return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
    shown = f"{{{labels}}}" if labels else ""
    return f"{PREFIX}{sample.name}{sample.suffix}{shown} {_number(sample.value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


# --- what the store knows -----------------------------------------------------------------------------------------


def stored(connection: sa.Connection, now: datetime) -> list[Sample]:
    """Everything whose truth is in the store."""
    number = sa.func.count()
    bucket = sa.func.coalesce(card.c.document["decision"]["bucket"].as_string(), "undecided")
    ended = approval.c.state.in_(ENDED)
    stopped = sa.and_(audit.c.event == "stopped", audit.c.actor.like("agent:%"))
    counted = {
        "cards_total": sa.select(bucket, card.c.state, number).group_by(bucket, card.c.state),
        "runs_total": sa.select(approval.c.state, number).where(ended).group_by(approval.c.state),
        "money_moved_minor": sa.select(action.c.currency, action.c.kind, sa.func.sum(action.c.amount))
        .where(paid())
        .group_by(action.c.currency, action.c.kind),
        "holds_stopped_total": sa.select(number).select_from(audit).where(stopped),
        "overrides_total": sa.select(correction.c.was, correction.c.bucket, number).group_by(
            correction.c.was, correction.c.bucket
        ),
    }
    samples = [
        Sample(name, tuple(zip(_BY_NAME[name].labels, map(str, labels), strict=True)), float(value))
        for name, statement in counted.items()
        for *labels, value in sorted(map(tuple, connection.execute(statement)), key=repr)
    ]
    samples += [Sample("issues_total", (("action", what),), count) for what, count in _issues(connection)]
    parked = connection.execute(sa.select(number).select_from(action).where(PARKED)).scalar_one()
    samples.append(Sample("parked_steps", (), parked))
    samples.append(Sample("stripe_reads_spent", (), reads.spent(connection, now)))
    if (granted := reads.granted(connection)) is not None:
        samples.append(Sample("stripe_reads_granted", (), granted))
    if (age := worker_age_seconds(connection, now)) is not None:
        samples.append(Sample("worker_age_seconds", (), age))
    return [*samples, Sample("oldest_job_seconds", (), oldest_job_seconds(connection, now))]


def worker_age_seconds(connection: sa.Connection, now: datetime) -> float | None:
    """Seconds since any worker's last sign of life; None before the first."""
    seen = marks.read(connection, WORKER_SEEN)
    return max(0.0, (now - datetime.fromisoformat(seen)).total_seconds()) if seen else None


def _issues(connection: sa.Connection) -> list[tuple[str, int]]:
    """created: gaps with an issue; counted: further tickets on them; refused: GitHub said no; waiting: not yet."""

    def count(table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())

    filed = sa.select(gap.c.fingerprint).where(gap.c.issue_number.is_not(None))
    created = count(gap, gap.c.issue_number.is_not(None))
    tickets = count(gap_ticket, gap_ticket.c.fingerprint.in_(filed))
    issue = action.c.kind == "file_issue"
    return [
        ("created", created),
        ("counted", max(0, tickets - created)),
        ("refused", count(action, issue, action.c.state == "refused")),
        ("waiting", count(action, issue, action.c.state.in_(("sending", "unknown")))),
    ]


def oldest_job_seconds(connection: sa.Connection, now: datetime) -> float:
    """Seconds since the oldest reading, run or issue that nobody has to wait for a person for."""
    unread = sa.or_(card.c.state == "enriching", card.c.requested_at > card.c.updated_at)
    issue = sa.and_(action.c.kind == "file_issue", action.c.state.in_(("sending", "unknown")))
    statements = (
        sa.select(sa.func.min(card.c.requested_at)).where(unread),
        sa.select(sa.func.min(approval.c.created_at)).where(approval.c.state == "applying"),
        sa.select(sa.func.min(approval.c.hold_until)).where(approval.c.state == "holding"),
        sa.select(sa.func.min(action.c.created_at)).where(issue),
    )
    since: list[datetime] = [at for one in statements if (at := connection.execute(one).scalar()) is not None]
    return max([0.0, *((now - at).total_seconds() for at in since)])
