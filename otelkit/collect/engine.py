"""The engine: batches of events and ticks, each one transaction, counted once.

Everything that changes an order goes through here, under one lock. Tallies in memory change after
the commit that changed them on disk, so a scrape reads memory, and what it says has happened.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from msgspec.structs import replace

from otelkit import names
from otelkit.calendars import ALWAYS, build
from otelkit.collect.clock import REMEMBERED, Policy, State, advance, is_newer, replay
from otelkit.collect.decode import Event, decode
from otelkit.collect.standing import carry_over, is_overdue, settle, standing
from otelkit.collect.store import DeadLetter, Rejected, Store
from otelkit.collect.tallies import Tallies
from otelkit.errors import EventError
from otelkit.model import Sla

APPLIED: Final = "applied"
LATE: Final = "late"
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"
OUTCOMES: Final = (APPLIED, LATE, DUPLICATE, QUARANTINED)
"""What becomes of an event: ``late`` ones were put in their place among those that came before."""

TICK_CHUNK: Final = 2000
"""Clocks that one transaction of a tick handles; bounds how long events wait for it."""
QUARANTINE_BYTES: Final = 4096
"""Of a rejected body so much is kept: enough to see what it is."""
_LAST_TICK: Final = "tick"


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from a source. ``source`` is its configured name, not what the event says."""

    source: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """A clock that a tick found overdue: order, objective, and the deadline it missed."""

    state: State
    objective: str
    deadline: float
    trace_id: str | None


class Engine:
    """Orders and their clocks over a store. Safe for threads."""

    def __init__(self, sla: Sla, store: Store) -> None:
        self._policies = policies(sla)
        self._store = store
        self._lock = threading.RLock()
        self._tallies = store.tallies()
        # Deadlines up to here have been looked at; standing() asks by it, so that memory and
        # ticks agree on who is overdue.
        self._watermark = store.read_number(_LAST_TICK) or 0.0

    @property
    def lock(self) -> threading.RLock:
        """Held by everything that reads the store or changes it."""
        return self._lock

    @property
    def watermark(self) -> float:
        """The instant up to which deadlines have been looked at, in Unix seconds."""
        return self._watermark

    def tallies(self) -> Tallies:
        """A copy of all counters and gauges."""
        with self._lock:
            return Tallies(self._tallies)

    def apply(self, batch: Sequence[Received]) -> list[str]:
        """Take in events; returns what became of each once all of it is committed."""
        with self._lock:
            work = _Batch(self._policies, self._store, self._watermark)
            with self._store.transaction():
                outcomes = [work.take(received) for received in batch]
                work.flush()
            self._tallies.merge(work.changes)
            return outcomes

    def tick(self, now: float) -> list[Overdue]:
        """Let time come to ``now``: count what became overdue since the last tick, once each.

        Works in chunks, so that a collector that was away for long lets events through between
        them. An earlier ``now`` than before does nothing.
        """
        found: list[Overdue] = []
        while self._watermark < now:
            with self._lock:
                found += self._advance(now)
        return found

    def _advance(self, now: float) -> list[Overdue]:
        work = _Batch(self._policies, self._store, self._watermark)
        with self._store.transaction():
            until, due = self._store.due(self._watermark, now, TICK_CHUNK)
            found = [overdue for number in due for overdue in work.age(number, until)]
            work.flush()
            self._store.write_number(_LAST_TICK, until)
        self._tallies.merge(work.changes)
        self._watermark = until
        return found

    def letters(self, letters: Iterable[DeadLetter]) -> None:
        """Take in arrivals in dead-letter queues."""
        arrived = list(letters)
        changes = Tallies()
        changes.change(
            (names.DLQ_ARRIVALS.name, letter.queue, letter.source_queue, letter.reason)
            for letter in arrived
        )
        with self._lock:
            with self._store.transaction():
                self._store.arrived(arrived)
                self._store.add(changes)
            self._tallies.merge(changes)


def policies(sla: Sla) -> dict[str, Policy]:
    """The processes of an SLA file with their clocks."""
    times = {name: build(calendar) for name, calendar in sla.calendars.items()}
    found = {}
    for process in sla.processes.values():
        clocks = tuple(clock for clock in sla.clocks if clock.process.name == process.name)
        own = {c.name: times[c.calendar.name] if c.calendar else ALWAYS for c in clocks}
        found[process.name] = Policy(process, clocks, own)
    return found


class _Batch:
    """The work of one transaction: orders are read once, changed in memory and written once."""

    def __init__(self, policies: Mapping[str, Policy], store: Store, watermark: float) -> None:
        self.changes = Tallies()
        self._policies = policies
        self._store = store
        self._watermark = watermark
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        self._rejected: list[Rejected] = []

    def take(self, received: Received) -> str:
        """What becomes of one event."""
        try:
            event = decode(received.body, received.at)
            policy = self._policy(event)
        except EventError as error:
            self._reject(received, str(error))
            outcome = QUARANTINED
        else:
            outcome = self._take(policy, event)
        self.changes[(names.ORDER_EVENTS.name, received.source, outcome)] += 1
        return outcome

    def _policy(self, event: Event) -> Policy:
        policy = self._policies.get(event.process)
        if policy is None:
            raise EventError(
                f"no process {event.process!r} in the SLA file; add it or send another"
            )
        policy.check(event)
        return policy

    def _reject(self, received: Received, reason: str) -> None:
        body = received.body[:QUARANTINE_BYTES]
        self._rejected.append(Rejected(received.source, received.at, reason, body))

    def _take(self, policy: Policy, event: Event) -> str:
        order = self._load(event.process, event.order_id)
        mark = _hash(event)
        if order.state is not None and mark in order.state.seen:
            return DUPLICATE
        if order.state is None or is_newer(order.state, event):
            state = advance(policy, order.state, event)
            self._stayed(order.state, state)
            outcome = APPLIED
        else:
            known = self._store.timeline(order.state.log)
            if any(e.source == event.source and e.id == event.id for e in known):
                return DUPLICATE
            state, gone = carry_over(order.state, replay(policy, [*known, event]))
            self.changes.change(gone)
            outcome = LATE
        entry = self._store.append(order.state.log if order.state else 0, event)
        seen = (*(order.state.seen if order.state else ()), mark)[-REMEMBERED:]
        self._change(order, replace(state, log=entry, seen=seen), self._watermark)
        return outcome

    def _stayed(self, old: State | None, new: State) -> None:
        """The time in a stage, once the order has left it."""
        if old is None or not old.open or (new.open and new.since == old.since):
            return
        seconds = max(new.at - old.since, 0.0)
        place = (names.ORDER_STAGE_DURATION.name, old.process, old.stage, old.tier)
        bucket = next((b for b in names.STAGE_BUCKETS if seconds <= b), float("inf"))
        self.changes[(*place, str(bucket))] += 1
        self.changes[(*place, "sum")] += seconds

    def age(self, number: int, until: float) -> list[Overdue]:
        """An order some of whose alarms lie between the watermark and ``until``."""
        state = self._store.get(number)
        order = self._load(state.process, state.order_id)
        state = order.state or state
        late = [
            run
            for run in state.runs
            if is_overdue(run, until) and not is_overdue(run, self._watermark) and not run.counted
        ]
        self._change(order, state, until)
        if not late:
            return []
        trace_id = self._store.timeline(state.log)[-1].trace_id
        return [Overdue(state, run.objective, run.deadline or 0.0, trace_id) for run in late]

    def _change(self, order: _Loaded, state: State, now: float) -> None:
        settled, counted = settle(state, now)
        self.changes.change(counted)
        self.changes.change(standing(order.state, self._watermark), -1.0)
        self.changes.change(standing(settled, now))
        order.state = settled
        order.changed = True

    def _load(self, process: str, order_id: str) -> _Loaded:
        key = (process, order_id)
        if key not in self._loaded:
            number, state = self._store.find(process, order_id) or (None, None)
            self._loaded[key] = _Loaded(number, state, state)
        return self._loaded[key]

    def flush(self) -> None:
        """Write what has changed."""
        for order in self._loaded.values():
            if order.changed and order.state is not None:
                order.number = self._store.put(order.number, order.stored, order.state)
        self.changes = Tallies({key: change for key, change in self.changes.items() if change})
        self._store.add(self.changes)
        if self._rejected:
            self._store.quarantine(self._rejected)


@dataclass(slots=True)
class _Loaded:
    """An order within a batch: as it was stored, and as it is now."""

    number: int | None
    stored: State | None
    state: State | None
    changed: bool = False


def _hash(event: Event) -> int:
    return crc32(event.id.encode(), crc32(event.source.encode()))
