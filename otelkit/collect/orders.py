"""What the collector says of orders: where one is, and which are late. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from otelkit.collect.clock import Policy, Run, State
from otelkit.collect.decode import Event
from otelkit.collect.engine import Engine
from otelkit.collect.standing import AT_RISK, OVERDUE, is_at_risk, is_overdue
from otelkit.collect.store import BEGINNING, LAST_NUMBER, Alarm, Place, Store

Late = Literal["overdue", "at_risk"]
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
            return [self._story(state, now) for _, state in self._engine.named(name)]

    def _story(self, state: State, now: float) -> OrderStory:
        events = tuple(self._store.timeline(state))
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
        chosen = self._store.first_alarms(kind, places, after=after, until=until, limit=limit)
        chosen = chosen[:limit]
        states = self._store.get(number for (_, number), _ in chosen)
        return [_late(alarm, place, states[alarm[1]]) for alarm, place in chosen]

    def _fits(self, kind: Late, order: LateOrder) -> bool:
        return kind == OVERDUE or order.deadline > self._engine.watermark

    def deadlines(self) -> Deadlines:
        """The deadlines that ``/metrics`` shows: a few seeks for each place, whatever is open."""
        with self._engine.lock:
            now = self._engine.watermark
            places = self._store.places(OVERDUE)
            coming = self._store.first_alarms(
                OVERDUE, places, after=(now, LAST_NUMBER), until=float("inf"), limit=1
            )
            passed = self._store.first_alarms(
                OVERDUE, places, after=BEGINNING, until=now, limit=NAMED_A_STAGE
            )
            longest: dict[tuple[str, str], list[Alarm]] = {}
            for alarm, (objective, stage, _) in passed:
                longest.setdefault((objective, stage), []).append(alarm)
            states = self._store.get({number for (_, number), _ in passed})
        earliest = {place: instant for (instant, _), place in coming}
        overdue = {
            (*where, states[number].order_id): instant
            for where, alarms in longest.items()
            for instant, number in alarms[:NAMED_A_STAGE]
        }
        return Deadlines(earliest, overdue)


def _late(alarm: Alarm, place: Place, state: State) -> LateOrder:
    objective, _, tier = place
    running = (r for r in state.runs if r.objective == objective and r.ended is None)
    deadline = next((r.deadline for r in running if r.deadline is not None), alarm[0])
    return LateOrder(alarm, objective, tier, state, deadline)
