"""What the collector says of orders: where one is, and which are late. Reads only."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from otelkit.collect.clock import Policy, Run, State
from otelkit.collect.decode import Event
from otelkit.collect.engine import Engine
from otelkit.collect.standing import AT_RISK, OVERDUE, is_at_risk, is_overdue
from otelkit.collect.store import LAST_NUMBER, Alarm, Place, Store

Late = Literal["overdue", "at_risk"]
BEGINNING: Final[Alarm] = (float("-inf"), 0)
NAMED_A_STAGE: Final = 5
"""Overdue orders that ``/metrics`` names for each objective and stage, by the contract."""


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An order and all its events, as they arrived. ``now`` is when that was asked."""

    state: State
    events: tuple[Event, ...]
    now: float
    policy: Policy | None
    """None for a process that has left the SLA file."""

    def standing(self, run: Run) -> str:
        """The state of a clock, in the word that is its metric label where it has one."""
        if run.outcome:
            return run.outcome
        if run.deadline is None:
            return "paused"
        if is_overdue(run, self.now):
            return OVERDUE
        return AT_RISK if is_at_risk(run, self.now) else "running"

    def closed_until(self, run: Run) -> float | None:
        """When a clock that runs goes on, if it is outside of its hours; a paused one waits for its
        order and for no hour."""
        if self.policy is None or run.objective not in self.policy.times:
            return None
        if run.ended is not None or run.deadline is None:
            return None
        opens = self.policy.time_of(run.objective, business=run.business).next_open(self.now)
        return opens if opens > self.now else None


@dataclass(frozen=True, slots=True)
class LateOrder:
    """A clock of an order that is overdue or at risk; ``alarm`` orders them, the earliest first."""

    alarm: Alarm
    objective: str
    tier: str
    state: State
    deadline: float


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What ``/metrics`` says of deadlines, by objective, stage and tier."""

    earliest: dict[Place, float]
    """The next one that is still to be met."""
    overdue: dict[tuple[str, str, str], float]
    """The longest overdue, by objective, stage and order id."""


class Orders:
    """Answers from an engine and its store. Safe for threads."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store

    def find(self, name: str, now: float) -> list[OrderStory]:
        """Orders by their id, in each process, or else by the name another system gives them."""
        with self._engine.lock:
            own = (self._store.find(process, name) for process in self._engine.policies)
            found = [order for order in own if order is not None] or self._store.find_alias(name)
            return [self._story(state, now) for _, state in found]

    def _story(self, state: State, now: float) -> OrderStory:
        events = tuple(self._store.timeline(state.log))
        return OrderStory(state, events, now, self._engine.policies.get(state.process))

    def late(
        self,
        kind: Late,
        *,
        objective: str | None = None,
        stage: str | None = None,
        after: Alarm = BEGINNING,
        limit: int = 50,
    ) -> list[LateOrder]:
        """Clocks that are overdue, or at risk and not yet overdue: the earliest first.

        ``after`` is the alarm of the last one on the page before.
        """
        found: list[LateOrder] = []
        with self._engine.lock:
            places = [
                place
                for place in self._store.places(kind)
                if objective in (None, place[0]) and stage in (None, place[1])
            ]
            while len(found) < limit:
                page = self._page(kind, places, after, limit)
                found += [order for order in page if self._fits(kind, order)]
                if len(page) < limit:
                    break
                after = page[-1].alarm
        return found[:limit]

    def _page(self, kind: Late, places: list[Place], after: Alarm, limit: int) -> list[LateOrder]:
        until = self._engine.watermark
        alarms = heapq.merge(
            *(
                [
                    (alarm, place)
                    for alarm in self._store.first_alarms(
                        kind, place, after=after, until=until, limit=limit
                    )
                ]
                for place in places
            )
        )
        return [
            self._late(alarm, place)
            for (alarm, place), _ in zip(alarms, range(limit), strict=False)
        ]

    def _late(self, alarm: Alarm, place: Place) -> LateOrder:
        objective, _, tier = place
        state = self._store.get(alarm[1])
        running = (r for r in state.runs if r.objective == objective and r.ended is None)
        deadline = next((r.deadline for r in running if r.deadline is not None), alarm[0])
        return LateOrder(alarm, objective, tier, state, deadline)

    def _fits(self, kind: Late, order: LateOrder) -> bool:
        return kind == OVERDUE or order.deadline > self._engine.watermark

    def deadlines(self) -> Deadlines:
        """The deadlines that ``/metrics`` shows: a few seeks for each place, whatever is open."""
        now = self._engine.watermark
        with self._engine.lock:
            places = self._store.places(OVERDUE)
            earliest = {
                place: alarms[0][0]
                for place in places
                if (alarms := self._first(place, after=(now, LAST_NUMBER), until=float("inf")))
            }
            overdue = {}
            for objective, stage in dict.fromkeys(place[:2] for place in places):
                tiers = [place for place in places if place[:2] == (objective, stage)]
                for alarm in self._longest(tiers, now):
                    order_id = self._store.get(alarm[1]).order_id
                    overdue[objective, stage, order_id] = alarm[0]
        return Deadlines(earliest, overdue)

    def _longest(self, places: list[Place], now: float) -> Iterator[Alarm]:
        found = [
            alarm
            for place in places
            for alarm in self._first(place, after=BEGINNING, until=now, limit=NAMED_A_STAGE)
        ]
        yield from sorted(found)[:NAMED_A_STAGE]

    def _first(self, place: Place, *, after: Alarm, until: float, limit: int = 1) -> list[Alarm]:
        return self._store.first_alarms(OVERDUE, place, after=after, until=until, limit=limit)
