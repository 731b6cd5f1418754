"""Which alerts would have fired, had the rules been there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from otelkit import names
from otelkit.errors import ConfigError
from otelkit.verify.firing import Active, Firing
from otelkit.verify.prometheus import Series
from otelkit.verify.replay import Rule, Server, Store, Task, pieces, plan, replay


@dataclass(frozen=True, slots=True)
class Measured:
    """An objective and what is stored of its events.

    ``first`` is the earliest time at which any are known, None if at none; ``wanted`` the one from
    which the budget would like to know them. ``within`` is whether there are any in the time asked
    for: where not, silence means nothing.
    """

    labels: Mapping[str, str]
    first: datetime | None
    wanted: datetime
    within: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The firings in order of time, and the objectives with a budget in the order of the file."""

    firings: tuple[Firing, ...]
    measured: tuple[Measured, ...]


@dataclass(slots=True)
class Backtest:
    """A replay of ``rules`` from ``start`` to ``end``, evaluated every ``step``.

    Evaluations are at whole steps of Unix time, as subqueries are.
    """

    rules: Sequence[Rule]
    start: datetime
    end: datetime
    step: timedelta
    tasks: tuple[Task, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self._end < self._start:
            raise ConfigError("the time is shorter than a step; move --from, or make --step less")
        self.tasks = plan(self.rules, self._start, self._step)

    @property
    def _step(self) -> float:
        return self.step.total_seconds()

    @property
    def _start(self) -> float:
        return math.ceil(self.start.timestamp() / self._step) * self._step

    @property
    def _end(self) -> float:
        return self.end.timestamp() // self._step * self._step

    @property
    def pieces(self) -> int:
        """How often ``run`` calls ``done``."""
        return pieces(self.tasks, self._end, self._step)

    @property
    def span(self) -> timedelta:
        """The time that the rules need, from the oldest evaluation on."""
        return timedelta(
            seconds=self._end - min([self._start, *(task.since for task in self.tasks)])
        )

    def run(self, live: Server, own: Store, done: Callable[[], None]) -> Outcome:
        """Ask the live server for what was stored; ``own`` is an empty one, and is filled."""
        active = {id(t.rule): Active(t.rule.name, t.rule.hold) for t in self.tasks if t.rule.alert}
        seen: dict[int, list[float]] = {}

        def take(rule: Rule, found: Sequence[Series]) -> None:
            if rule.alert:
                active[id(rule)].add(found)
            elif found and rule.name == f"{names.TOTAL}5m":
                times = seen.setdefault(id(rule), [])
                times += [min(one.points[0][0] for one in found)]
                times += [max(one.points[-1][0] for one in found)]

        replay(self.tasks, live, own, self._end, self._step, take, done)
        found = [f for a in active.values() for f in a.firings(self._start, self._end, self._step)]
        found.sort(key=lambda one: (one.since, one.alert, sorted(one.labels.items())))
        measured = (
            self._measured(task, seen.get(id(task.rule), []))
            for task in self.tasks
            if task.rule.name == f"{names.TOTAL}5m"
        )
        return Outcome(tuple(found), tuple(measured))

    def _measured(self, task: Task, times: Sequence[float]) -> Measured:
        zone = self.start.tzinfo
        first = datetime.fromtimestamp(min(times), zone) if times else None
        wanted = datetime.fromtimestamp(task.since, zone)
        return Measured(task.rule.labels, first, wanted, bool(times) and max(times) >= self._start)
