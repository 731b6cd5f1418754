"""The engine: batches of events and ticks, each one transaction, counted once.

Everything that changes an order goes through here, under one lock. Tallies in memory change after
the commit that changed them on disk, so a scrape reads memory, and what it says has happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from otelkit import names
from otelkit.calendars import ALWAYS, build
from otelkit.collect.ages import AGE_BUCKETS, Aged, Ages, Labels
from otelkit.collect.batch import Batch, Overdue, Received, Taken
from otelkit.collect.clock import Policy
from otelkit.collect.store import DeadLetter, Rejected, Store
from otelkit.collect.tallies import Tallies
from otelkit.model import Sla

TICK_CHUNK: Final = 2000
"""Clocks that one transaction of a tick handles; bounds how long events wait for it."""
_LAST_TICK: Final = "tick"


class Engine:
    """Orders and their clocks over a store. Safe for threads.

    ``on_overdue`` is told of each clock once, after the commit in which it became overdue.
    """

    def __init__(
        self, sla: Sla, store: Store, on_overdue: Callable[[Overdue], None] = lambda _: None
    ) -> None:
        self._on_overdue = on_overdue
        self.policies: Final = policies(sla)
        """The processes of the SLA file by name, with their clocks."""
        self._store = store
        self._lock = threading.RLock()
        self._tallies = Tallies()
        self._ages = Ages(AGE_BUCKETS)
        self._remember(store.tallies())
        # Deadlines up to here have been looked at; standing() asks by it, so that memory and
        # ticks agree on who is overdue.
        self._watermark = store.read_number(_LAST_TICK) or 0.0
        self.ticked: float | None = None
        """The ``now`` of the last :meth:`tick`; None before there was one."""
        self.heard: float | None = None
        """The time of the newest event in the last batch; None before there was one."""

    @property
    def lock(self) -> threading.RLock:
        """Held by everything that reads the store or changes it."""
        return self._lock

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives of the SLA file that are order clocks."""
        return tuple(clock.name for p in self.policies.values() for clock in p.clocks)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of all processes of the SLA file."""
        stages = (stage for p in self.policies.values() for stage in p.process.stages)
        return tuple(dict.fromkeys(stages))

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers of all processes of the SLA file."""
        tiers = (tier for p in self.policies.values() for tier in p.process.tiers)
        return tuple(dict.fromkeys(tiers))

    @property
    def watermark(self) -> float:
        """The instant up to which deadlines have been looked at, in Unix seconds."""
        return self._watermark

    def tallies(self) -> Tallies:
        """A copy of all counters and gauges but the ages."""
        with self._lock:
            return Tallies(self._tallies)

    def ages(self, now: float) -> dict[Labels, Aged]:
        """How long open orders have stood in their stages, by process, stage and tier."""
        with self._lock:
            return dict(self._ages.at(now))

    def _remember(self, changes: Tallies) -> None:
        """In memory, what has been committed."""
        metric = names.ORDER_STAGE_AGE.name
        self._ages.merge(changes)
        self._tallies.merge({key: n for key, n in changes.items() if key[0] != metric})

    def apply(
        self, batch: Sequence[Received], numbers: Mapping[str, float] | None = None
    ) -> list[Taken]:
        """Take in events, and numbers to remember along with them.

        Returns what became of each event once all of it is committed.
        """
        with self._lock:
            work = Batch(self.policies, self._store, self._watermark)
            with self._store.transaction():
                taken = work.take(batch)
                work.flush(self._watermark)
                for name, value in (numbers or {}).items():
                    self._store.write_number(name, value)
            self._remember(work.changes)
            self.heard = work.heard or self.heard
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

    def _advance(self, now: float) -> Batch:
        work = Batch(self.policies, self._store, self._watermark)
        with self._store.transaction():
            until, due = self._store.due(self._watermark, now, TICK_CHUNK)
            work.age(due)
            work.flush(until)
            self._store.write_number(_LAST_TICK, until)
        self._remember(work.changes)
        self._watermark = until
        return work

    def _tell(self, work: Batch) -> None:
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
            self._remember(changes)

    def nth_latest_arrival(self, queue: str, n: int) -> float | None:
        """As of :meth:`Store.nth_latest_arrival`."""
        with self._lock:
            return self._store.nth_latest_arrival(queue, n)

    def quarantined(self, limit: int) -> list[Rejected]:
        """What was no event, the latest first."""
        with self._lock:
            return self._store.quarantined(limit)

    def read_number(self, name: str) -> float | None:
        """A number that was given to :meth:`apply` or :meth:`letters`."""
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
