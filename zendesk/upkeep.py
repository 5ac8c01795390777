"""What is done by itself, again and again? Each task has a name, a period, and no memory but the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`run` does one round and may be cut short or repeated at any point; what it raises is tried again."""

    every_seconds: float
    run: Callable[[], None]


class Upkeep:
    """The handler of the queue "tidy". Argument of a job: the task's name."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = dict(tasks)

    @property
    def periods(self) -> dict[str, float]:
        """Name -> seconds, as the worker wants it."""
        return {name: task.every_seconds for name, task in self._tasks.items()}

    def also(self, name: str, task: Task) -> Upkeep:
        """This and one more."""
        return Upkeep({**self._tasks, name: task})

    def turn(self, name: str) -> float | None:
        """One round; a name that a newer version knows is left alone."""
        if name in self._tasks:
            self._tasks[name].run()
        return None
