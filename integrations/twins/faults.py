"""Which fault, if any, meets the next request of a twin?

A fault is chosen by method and path and may be limited in number or drawn by chance. Kinds in BEFORE never reach the
twin's state; all others let the request take effect first, because a lost answer after an effect is the hard one.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BEFORE = frozenset({"hang_before", "reset_before", "status", "rate_limited", "html_502", "redirect"})
AFTER = frozenset(
    {
        "hang_after",
        "reset_after",
        "close_after",
        "html_200",
        "bad_json",
        "empty",
        "json_null",
        "json_list",
        "truncated",
        "drip",
        "drip_header",
        "huge",
        "gzip_bomb",
        "altered",
    }
)
KINDS = BEFORE | AFTER | {"latency", "stale"}


@dataclass(slots=True)
class Fault:
    """One armed fault. `times` None means for ever; `hits` counts how often it struck."""

    kind: str
    method: str | None
    path: str | None
    times: int | None
    args: dict[str, Any]
    share: float = 1.0
    chance: random.Random | None = None
    hits: int = 0

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    @property
    def takes_effect(self) -> bool:
        return bool(self.args.get("effect", self.kind not in BEFORE))

    def fits(self, method: str, path: str) -> bool:
        if self.spent or (self.method is not None and self.method != method):
            return False
        if self.kind == "stale" and method != "GET":
            return False
        if self.path is not None and not path.startswith(self.path) and not re.fullmatch(self.path, path):
            return False
        return self.chance is None or self.chance.random() < self.share


@dataclass(frozen=True, slots=True)
class Struck:
    """What meets one request: the seconds of latency, whether it reads stale state, and at most one real fault."""

    latency: float = 0.0
    stale: bool = False
    fault: Fault | None = None

    @property
    def name(self) -> str | None:
        if self.fault is not None:
            return self.fault.kind
        if self.stale:
            return "stale"
        return "latency" if self.latency else None


@dataclass(slots=True)
class Faults:
    """The faults of one twin, oldest first; safe to change while requests run."""

    armed: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self, kind: str, *, method: str | None = None, path: str | None = None, times: int | None = 1, **args: Any
    ) -> Fault:
        """Arm a fault. `path` is a prefix or a regular expression for the whole path; `effect=` overrides the kind."""
        return self._arm(Fault(_known(kind), method, path, times, args))

    def probability(
        self,
        kind: str,
        share: float,
        *,
        seed: int = 0,
        method: str | None = None,
        path: str | None = None,
        **args: Any,
    ) -> Fault:
        """Arm a fault that strikes a share of the matching requests, repeatably for one seed."""
        chance = random.Random(seed)  # noqa: S311  repeatable chaos wants a seeded generator, not a secret one
        return self._arm(Fault(_known(kind), method, path, None, args, share, chance))

    def clear(self) -> None:
        with self.lock:
            self.armed.clear()

    def watches_stale(self) -> bool:
        with self.lock:
            return any(fault.kind == "stale" and not fault.spent for fault in self.armed)

    def strike(self, method: str, path: str) -> Struck:
        """The faults for this request; counts them as used. Latencies add up, of the rest the first one wins."""
        latency, stale, chosen = 0.0, False, None
        with self.lock:
            for fault in self.armed:
                if (chosen is not None and fault.kind not in ("latency", "stale")) or not fault.fits(method, path):
                    continue
                fault.hits += 1
                if fault.kind == "latency":
                    latency += float(fault.args.get("seconds", 0.1))
                elif fault.kind == "stale":
                    stale = True
                else:
                    chosen = fault
        return Struck(latency, stale, chosen)

    def add_json(self, wanted: Mapping[str, Any]) -> Fault:
        """Arm a fault from the admin route's JSON: {"kind":…, "method":…, "path":…, "times":…, "share":…, …}."""
        rest = dict(wanted)
        kind = str(rest.pop("kind"))
        if "share" in rest:
            return self.probability(kind, float(rest.pop("share")), **rest)
        return self.add(kind, **rest)

    def _arm(self, fault: Fault) -> Fault:
        with self.lock:
            self.armed.append(fault)
        return fault


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown fault kind {kind!r}; known: {', '.join(sorted(KINDS))}")
    return kind
