"""What did the checks find? Values only: what was checked, how it stands, on what evidence, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GROUPS = ("Zendesk", "Stripe", "GitHub", "Server")


class State(StrEnum):
    """The word that a person reads; FAIL alone shouts."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


class Ability(StrEnum):
    """What agents can do only while the check holds; the summary speaks of these."""

    CARDS = "cards"
    FIXES = "fixes and refunds"
    SELF_SERVICE = "self-service"
    ISSUES = "product issues"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the report. `fix` is empty where nothing needs mending."""

    group: str
    name: str
    state: State
    evidence: str
    fix: str = ""
    ability: Ability = Ability.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The checks in the order they are shown. `places`: group to what it is about, such as an account's host."""

    checks: tuple[Check, ...]
    places: tuple[tuple[str, str], ...] = ()

    @property
    def failed(self) -> bool:
        return any(check.state is State.FAIL for check in self.checks)

    def count(self, state: State) -> int:
        return sum(check.state is state for check in self.checks)

    @property
    def summary(self) -> str:
        """Two sentences: how many of each, and what agents can do."""
        counts = [f"{self.count(State.OK)} ok"]
        for state, word in ((State.WARN, "warning"), (State.FAIL, "failure")):
            number = self.count(state)
            counts.append(f"{number} {word}{'' if number == 1 else 's'}")
        if self.count(State.SKIP):
            counts.append(f"{self.count(State.SKIP)} skipped")
        return ". ".join([", ".join(counts), *self._abilities()]) + "."

    def _abilities(self) -> list[str]:
        works: list[str] = []
        fails: list[str] = []
        unset: list[str] = []
        server = any(check.state is State.FAIL for check in self.checks if check.group == "Server")
        for ability in Ability:
            states = {check.state for check in self.checks if check.ability is ability}
            if ability is Ability.NONE or not states:
                continue
            if State.FAIL in states or (server and states != {State.SKIP}):
                fails.append(ability.value)
            elif states == {State.SKIP}:
                unset.append(ability.value)
            else:
                works.append(ability.value)
        told = (("Working", works), ("Not working", fails), ("Not set up", unset))
        return [f"{word}: {', '.join(names)}" for word, names in told if names]


def ordered(checks: Iterable[Check]) -> tuple[Check, ...]:
    """By group; within one as they came."""
    return tuple(sorted(checks, key=lambda check: GROUPS.index(check.group)))
