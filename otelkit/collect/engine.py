"""The engine: batches of events and ticks, each one transaction, counted once.

Everything that changes an order goes through here, under one lock. Tallies in memory change after
the commit that changed them on disk, so a scrape reads memory, and what it says has happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
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
class Taken:
    """What became of an event, and why where it was quarantined."""

    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A clock that runs and has become overdue: order, objective, and the missed deadline."""

    state: State
    objective: str
    deadline: float
    trace_id: str | None


class Engine:
    """Orders and their clocks over a store. Safe for threads.

    ``on_overdue`` is told of each clock once, after the commit in which it became overdue.
    """

    def __init__(
        self, sla: Sla, store: Store, on_overdue: Callable[[Overdue], None] = lambda _: None
    ) -> None:
        self._on_overdue = on_overdue
        self._policies = policies(sla)
        self._store = store
        self._lock = threading.RLock()
        self._tallies = store.tallies()
        # Deadlines up to here have been looked at; standing() asks by it, so that memory and
        # ticks agree on who is overdue.
        self._watermark = store.read_number(_LAST_TICK) or 0.0
        self.ticked: float | None = None
        """When :meth:`tick` last came to its end, in Unix seconds; None before it ever has."""

    @property
    def lock(self) -> threading.RLock:
        """Held by everything that reads the store or changes it."""
        return self._lock

    @property
    def processes(self) -> tuple[str, ...]:
        """The processes of the SLA file."""
        return tuple(self._policies)

    @property
    def watermark(self) -> float:
        """The instant up to which deadlines have been looked at, in Unix seconds."""
        return self._watermark

    def tallies(self) -> Tallies:
        """A copy of all counters and gauges."""
        with self._lock:
            return Tallies(self._tallies)

    def apply(self, batch: Sequence[Received]) -> list[Taken]:
        """Take in events; returns what became of each once all of it is committed."""
        with self._lock:
            work = _Batch(self._policies, self._store, self._watermark)
            with self._store.transaction():
                taken = [work.take(received) for received in batch]
                work.flush()
            self._tallies.merge(work.changes)
        self._tell(work)
        return taken

    def tick(self, now: float, *, lateness: float = 0.0) -> None:
        """Let time come to ``now - lateness``, and count what became overdue, once each.

        Works in chunks, so that a collector that was away for long lets events through between
        them. An earlier ``now`` than before counts nothing.
        """
        while self._watermark < now - lateness:
            with self._lock:
                work = self._advance(now - lateness)
            self._tell(work)
        self.ticked = now

    def _advance(self, now: float) -> _Batch:
        work = _Batch(self._policies, self._store, self._watermark)
        with self._store.transaction():
            until, due = self._store.due(self._watermark, now, TICK_CHUNK)
            for number in due:
                work.age(number, until)
            work.flush()
            self._store.write_number(_LAST_TICK, until)
        self._tallies.merge(work.changes)
        self._watermark = until
        return work

    def _tell(self, work: _Batch) -> None:
        for overdue in work.overdue:
            self._on_overdue(overdue)

    def letters(
        self, letters: Iterable[DeadLetter], numbers: Mapping[str, float] | None = None
    ) -> None:
        """Take in arrivals in dead-letter queues, and numbers to remember along with them."""
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
                for name, value in (numbers or {}).items():
                    self._store.write_number(name, value)
            self._tallies.merge(changes)

    def nth_latest_arrival(self, queue: str, n: int) -> float | None:
        """As of :meth:`Store.nth_latest_arrival`."""
        with self._lock:
            return self._store.nth_latest_arrival(queue, n)

    def quarantined(self, limit: int) -> list[Rejected]:
        """What was no event, the latest first."""
        with self._lock:
            return self._store.quarantined(limit)

    def read_number(self, name: str) -> float | None:
        """A number that was given to :meth:`letters`."""
        with self._lock:
            return self._store.read_number(name)


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
        self.overdue: list[Overdue] = []
        self._policies = policies
        self._store = store
        self._watermark = watermark
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        self._rejected: list[Rejected] = []

    def take(self, received: Received) -> Taken:
        """What becomes of one event."""
        try:
            event = decode(received.body, received.at)
            taken = Taken(self._take(self._policy(event), event))
        except EventError as error:
            body = received.body[:QUARANTINE_BYTES]
            self._rejected.append(Rejected(received.source, received.at, str(error), body))
            taken = Taken(QUARANTINED, str(error))
        self.changes[names.ORDER_EVENTS.name, received.source, taken.outcome] += 1
        return taken

    def _policy(self, event: Event) -> Policy:
        policy = self._policies.get(event.process)
        if policy is None:
            raise EventError(
                f"no process {event.process!r} in the SLA file; add it or send another"
            )
        policy.check(event)
        return policy

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

    def age(self, number: int, until: float) -> None:
        """An order some of whose alarms lie between the watermark and ``until``."""
        state = self._store.get(number)
        order = self._load(state.process, state.order_id)
        self._change(order, order.state or state, until)

    def _change(self, order: _Loaded, state: State, now: float) -> None:
        settled, counted = settle(state, now)
        self.changes.change(counted)
        self.changes.change(standing(order.state, self._watermark), -1.0)
        self.changes.change(standing(settled, now))
        self._note_overdue(state, settled, now)
        order.state = settled
        order.changed = True

    def _note_overdue(self, before: State, after: State, now: float) -> None:
        for old, new in zip(before.runs, after.runs, strict=True):
            if old.counted != new.counted and is_overdue(new, now):
                trace_id = self._store.timeline(after.log)[-1].trace_id
                self.overdue.append(Overdue(after, new.objective, new.deadline or 0.0, trace_id))

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
