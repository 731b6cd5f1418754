"""What the collector says of orders: where one is, and which are late. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from otelkit import names
from otelkit.collect.api.acks import Acks
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.standing import ANYWHERE, AT_RISK, OVERDUE, Standing, standing_of
from otelkit.collect.clocks.state import Run, State
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.alarms import BEGINNING, Alarm, Place
from otelkit.collect.storage.ledger import Acknowledgement
from otelkit.collect.storage.store import Store

Kind = Literal["overdue", "at_risk", "open"]
OPEN: Final = "open"
SEEN_SECONDS: Final = 60.0
"""What a scrape saw is told again for so long, while a transaction is at work."""
_LOOKS: Final = 20
"""Pages of alarms that one question looks at, so that a rare partner costs no more than others."""


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An order and all its events, as they arrived. ``now`` is when that was asked."""

    number: int
    state: State
    events: tuple[Event, ...]
    now: float
    policy: Policy | None
    """None for a process that has left the SLA file."""
    ack: Acknowledgement | None = None

    @property
    def deadline(self) -> float | None:
        """The first that it has to meet, or has missed; None while no clock runs."""
        running = (run.deadline for run in self.state.runs if run.ended is None)
        return min((deadline for deadline in running if deadline is not None), default=None)

    @property
    def next_statuses(self) -> tuple[str, ...]:
        """What it waits for: the statuses that it may come to next, in order; none once ended.

        For a paused order these begin with its stage, to which it has to go back.
        """
        if self.policy is None or not self.state.open:
            return ()
        process = self.policy.process
        if self.state.stage not in process.stages:
            return ()  # it has left the SLA file
        if self.state.paused:
            return (self.state.stage,)
        found = []
        for stage in process.stages[process.stages.index(self.state.stage) + 1 :]:
            found.append(stage)
            if stage not in process.optional:
                return tuple(found)
        return (*found, *process.done)

    def standing(self, run: Run) -> Standing:
        """The state of a clock."""
        return standing_of(run, self.now)

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
    ack: Acknowledgement | None = None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What ``/metrics`` says of deadlines, by objective, stage and tier."""

    earliest: dict[tuple[str, ...], float]
    """The next one that is still to be met, to the minute."""
    overdue: dict[tuple[str, str, str], float]
    """The longest overdue, by objective, stage and order id."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What ``/metrics`` says of single orders, and when that was looked at."""

    at: float
    deadlines: Deadlines
    acknowledged: dict[tuple[str, ...], int]
    """Overdue clocks of acknowledged orders, by objective, stage and tier."""


class Page(list[LateOrder]):
    """Orders of a list. The list goes on behind the alarm ``next``, or ends where that is None."""

    next: Alarm | None = None


class Orders:
    """Answers from an engine and its store. Safe for threads."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self.acks = Acks(engine, store)
        self._seen: Seen | None = None

    def find(self, name: str, now: float) -> list[OrderStory]:
        """Orders by their id, in each process, or else by the name another system gives them."""
        with self._engine.lock:
            return [self._story(n, state, now) for n, state in self._engine.named(name)]

    def _story(self, number: int, state: State, now: float) -> OrderStory:
        events = tuple(self._store.timeline(state))
        policy = self._engine.policies.get(state.process)
        return OrderStory(number, state, events, now, policy, self.acks.of(number, now))

    def late(
        self,
        kind: Kind,
        *,
        process: str | None = None,
        objective: str | None = None,
        stage: str | None = None,
        tier: str | None = None,
        partner: str | None = None,
        acknowledged: bool | None = None,
        after: Alarm = BEGINNING,
        limit: int = 50,
        now: float = 0.0,
    ) -> Page:
        """Clocks that are overdue, at risk and not yet overdue, or run at all: the earliest first.

        ``after`` is the ``next`` of the page before. A page may hold fewer than ``limit`` and not
        be the last, because of those that it looks at only some may fit; ``now`` tells which
        acknowledgements have run out.
        """
        found = Page()

        def fits(order: LateOrder) -> bool:
            return (
                (kind != AT_RISK or order.deadline > self._engine.watermark)
                and process in (None, order.state.process)
                and stage in (None, order.state.stage)
                and partner in (None, order.state.partner)
                and acknowledged in (None, order.ack is not None)
            )

        with self._engine.lock:
            places = [
                place
                for place in self._store.places(AT_RISK if kind == AT_RISK else OVERDUE)
                if objective in (None, place[0])
                and (stage is None or place[1] in {stage, ANYWHERE})
                and tier in (None, place[2])
            ]
            for _ in range(_LOOKS):
                page = self._page(kind, places, after, limit, now)
                found.next = None if len(page) < limit else page[-1].alarm
                for alarm, same in groupby(page, key=lambda order: order.alarm):
                    found += filter(fits, same)
                    if len(found) >= limit:
                        found.next = alarm
                        return found
                if found.next is None:
                    return found
                after = found.next
        return found

    def _page(
        self, kind: Kind, places: list[Place], after: Alarm, limit: int, now: float
    ) -> list[LateOrder]:
        until = float("inf") if kind == OPEN else self._engine.watermark
        index = AT_RISK if kind == AT_RISK else OVERDUE
        found = self._store.first_alarms(index, places, after=after, until=until, limit=limit)
        # Two clocks of an order may share an alarm, and the next page begins behind that.
        chosen = [one for one in found if one[0] <= found[min(limit, len(found)) - 1][0]]
        states = self._store.get(number for (_, number), _ in chosen)
        return [
            _late(alarm, place, states[alarm[1]], self.acks.of(alarm[1], now))
            for alarm, place in chosen
        ]

    def seen(self, now: float) -> Seen:
        """What a scrape says of single orders.

        It waits for no transaction, but says what the scrape before it did: for a minute at most.
        """
        seen, lock = self._seen, self._engine.lock
        is_fresh = seen is not None and 0 <= now - seen.at < SEEN_SECONDS
        if lock.acquire(blocking=not is_fresh):
            try:
                seen = self._seen = Seen(now, self.deadlines(now), self.acks.overdue(now))
            finally:
                lock.release()
        assert seen is not None  # noqa: S101 - nobody waits for the lock where it is not
        return seen

    def deadlines(self, at: float = 0.0) -> Deadlines:
        """The deadlines that ``/metrics`` shows: a few seeks for each place, whatever is open.

        Orders that are acknowledged ``at`` that time are not named.
        """
        known = self.acks.active(at)
        with self._engine.lock:
            now = self._engine.watermark
            places = [place for place in self._store.places(OVERDUE) if place[1] != ANYWHERE]
            enough = names.NAMED_A_STAGE + len(known)
            passed = self._store.first_alarms(
                OVERDUE, places, after=BEGINNING, until=now, limit=enough
            )
            longest: dict[tuple[str, str], list[Alarm]] = {}
            for alarm, (objective, stage, _) in passed:
                if alarm[1] not in known:
                    longest.setdefault((objective, stage), []).append(alarm)
            named = {where: alarms[: names.NAMED_A_STAGE] for where, alarms in longest.items()}
            states = self._store.get({number for every in named.values() for _, number in every})
        overdue = {
            (*where, states[number].order_id): instant
            for where, alarms in named.items()
            for instant, number in alarms
        }
        return Deadlines(self._engine.earliest(), overdue)


def _late(alarm: Alarm, place: Place, state: State, ack: Acknowledgement | None) -> LateOrder:
    objective, _, tier = place
    running = (r for r in state.runs if r.objective == objective and r.ended is None)
    deadline = next((r.deadline for r in running if r.deadline is not None), alarm[0])
    return LateOrder(alarm, objective, tier, state, deadline, ack)
