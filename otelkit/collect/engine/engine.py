"""The engine: batches of events and ticks, each one transaction, counted once.

Everything that changes an order goes through here, under one lock. Tallies in memory change after
the commit that changed them on disk, so a scrape reads memory, and what it says has happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from otelkit import names
from otelkit.collect.clocks.ages import AGE_BUCKETS, Aged, Ages, Labels
from otelkit.collect.clocks.coming import Coming, Place
from otelkit.collect.clocks.learned import EVERY, Percentiles, faded, learned
from otelkit.collect.clocks.policies import Terms, terms
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.standing import ARCHIVED, ENDED, NOWHERE
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Minutes, Tallies
from otelkit.collect.engine.audit import Audit
from otelkit.collect.engine.batch import Batch
from otelkit.collect.engine.intake import Overdue, Received, Taken
from otelkit.collect.storage.alarms import BEGINNING, WATERMARK
from otelkit.collect.storage.ledger import DeadLetter, Rejected
from otelkit.collect.storage.store import Store
from otelkit.model import Sla

AUDIT_CHUNK: Final = 1000
"""Orders that are counted anew at once."""
FORGET_CHUNK: Final = 500
"""Orders that one transaction deletes."""
TICK_CHUNK: Final = 1000
"""Clocks that one transaction of a tick handles; bounds how long events wait for it."""
ALL: Final = 10**9
"""More orders than there are."""
_AUDITED: Final = "audited"
_LEARNED: Final = "learned"


class Engine:
    """Orders and their clocks over a store. Safe for threads.

    ``on_overdue`` is told of each clock once, after the commit in which it became overdue.
    """

    def __init__(
        self, sla: Sla, store: Store, on_overdue: Callable[[Overdue], None] = lambda _: None
    ) -> None:
        self._on_overdue = on_overdue
        self._percentiles = Percentiles()
        self._learned = 0.0
        self.terms = terms(sla)
        self._store = store
        self._lock = threading.RLock()
        self._memory = threading.Lock()
        """Of counts, ages and deadlines alone, so that a scrape waits for no transaction."""
        self._tallies = Tallies()
        self._ages = Ages(AGE_BUCKETS)
        self._coming = Coming()
        self._audit = Audit()
        self._watermark = 0.0
        self._remembers = False
        self._recall()
        self.ticked: float | None = None
        """The ``now`` of the last :meth:`tick`; None before there was one."""
        self.drift: float | None = None
        """By how much memory was wrong when all orders were last counted; None before that."""

    @property
    def lock(self) -> threading.RLock:
        """Held by everything that reads the store or changes it."""
        return self._lock

    @property
    def terms(self) -> Terms:
        """The SLA file in force."""
        return self._terms

    @terms.setter
    def terms(self, found: Terms) -> None:
        self._terms = self.informed(found)

    def informed(self, found: Terms) -> Terms:
        """An SLA file with what clocks took before."""
        return found.learning_from(self._percentiles)

    @property
    def policies(self) -> Mapping[str, Policy]:
        """The processes of the SLA file by name, with their clocks."""
        return self.terms.policies

    @property
    def watermark(self) -> float:
        """The instant up to which deadlines have been looked at, in Unix seconds."""
        return self._watermark

    def tallies(self) -> Tallies:
        """A copy of all counters and gauges but those by minute."""
        with self._memory:
            return Tallies(self._tallies)

    def ages(self, now: float) -> dict[Labels, Aged]:
        """How long open orders have stood in their stages, by process, stage and tier."""
        with self._memory:
            return dict(self._ages.at(now))

    def remembered(self) -> Tallies:
        """All counters and gauges as they are in memory."""
        with self._memory:
            minutes = (self._ages.minutes().flat(), self._coming.minutes().flat())
            return Tallies({**self._tallies, **minutes[0], **minutes[1]})

    def earliest(self) -> dict[Place, float]:
        """The next deadline, to the minute, by objective, stage and tier."""
        with self._memory:
            return dict(self._coming.earliest())

    def _remember(self, changes: Tallies, minutes: Minutes) -> None:
        """In memory, what has been committed."""
        with self._memory:
            self._tallies.merge(changes)
            self._ages.merge(minutes)
            self._coming.merge(minutes)

    def apply(
        self, batch: Sequence[Received], numbers: Mapping[str, float] | None = None
    ) -> list[Taken]:
        """Take in events, and numbers to remember along with them.

        Returns what became of each event once all of it is committed.
        """
        with self.work() as work:
            taken = work.take(batch)
            for name, value in (numbers or {}).items():
                self._store.write_number(name, value)
        return taken

    @contextmanager
    def work(self) -> Iterator[Batch]:
        """A batch in a transaction: written at its end, then remembered and told of."""
        with self._lock:
            with self._transaction():
                work = Batch(self.policies, self._store, self._watermark, self._audit.upto)
                yield work
                work.flush()
            self._watermark = work.until
            self._remember(work.changes, work.minutes)
            self._audit.change(work.recounted)
        for overdue in work.overdue:
            self._on_overdue(overdue)

    def tick(self, now: float, *, lateness: float = 0.0) -> None:
        """Let time come to ``now - lateness``, and count what became overdue, once each.

        Works in chunks, so that a collector that was away for long lets events through between
        them. An earlier ``now`` than before counts nothing.
        """
        while self._watermark < now - lateness:
            self._advance(now - lateness)
        self.ticked = now

    def _advance(self, now: float) -> None:
        with self.work() as work:
            work.until, due = self._store.due(self._watermark, now, TICK_CHUNK)
            work.age(due)
            self._store.write_number(WATERMARK, work.until)

    def learn(self, now: float) -> None:
        """Now and then work out how long clocks take, where an objective asks for it."""
        rules = self.terms.rules
        passed = now - self._learned  # less than nothing where the clock was set back
        if not rules or 0.0 <= passed < EVERY:
            return
        with self._lock:
            with self.work() as work:
                if self._learned:
                    work.changes.merge(faded(self._tallies, max(passed, 0.0)))
                counts = Tallies(self._tallies)
                counts.merge(work.changes)
                found = learned(counts, rules, self._percentiles, now)
                self._store.keep_percentiles(found)
                self._store.write_number(_LEARNED, now)
            self._percentiles.add(found)
            self._learned = now

    def rewind(self, to: float) -> None:
        """Take back that time has come further than ``to``.

        Nobody is overdue any more whose deadline is to come again. What was counted stays counted,
        and is not counted again when it does.
        """
        while self._watermark > to:
            with self.work() as work:
                work.until, passed = self._passed_last(to)
                work.age(passed)
                self._store.write_number(WATERMARK, work.until)

    def _passed_last(self, after: float) -> tuple[float, list[int]]:
        """Orders with an alarm in the last of the time behind ``after``, and where that begins."""
        until = self._watermark
        while until - after > 1.0:
            complete, numbers = self._store.due(after, until, TICK_CHUNK)
            if complete == until:
                return after, numbers
            after = (after + until) / 2
        return after, self._store.due(after, until, ALL)[1]

    def reconcile(self) -> None:
        """Count some orders anew; after the last, mend what is counted of them."""
        with self._lock, self._transaction():
            orders = self._store.following(self._audit.upto, AUDIT_CHUNK)
            self._audit.count(orders, self._watermark)
            if not orders:
                self._mend()
            # A write, so that a store that takes none is noticed also where nothing comes in.
            self._store.write_number(_AUDITED, self._audit.upto)
        self._recall_if_lost()

    def _mend(self) -> None:
        stored = self._store.tallies()
        wrong = self._audit.differences(stored)
        self._store.add(wrong)
        stored.merge(wrong)
        drift = Tallies(stored)
        drift.merge({key: -count for key, count in self.remembered().items()})
        self.drift = max(sum(map(abs, off.values())) for off in (drift, wrong))
        self._remembers = not self.drift
        self._audit = Audit()

    def forget(self, *, timelines: float, orders: float) -> None:
        """Delete the timelines, and all else, of orders that ended before these instants."""
        for kinds, before, forget in (
            ((ENDED,), timelines, self._store.archive),
            ((ENDED, ARCHIVED), orders, self._store.delete),
        ):
            for kind in kinds:
                while self._forget(kind, before, forget) == FORGET_CHUNK:
                    pass

    def _forget(self, kind: str, before: float, forget: Callable[[list[int]], None]) -> int:
        with self._lock, self._transaction():
            ended = self._store.first_alarms(
                kind, [NOWHERE], after=BEGINNING, until=before, limit=FORGET_CHUNK
            )
            forget([number for (_, number), _ in ended])
        return len(ended)

    def erase(self, name: str) -> int:
        """Delete what is personal of an order, by its id or an alias; returns how many it were."""
        with self._lock, self._transaction():
            found = self.named(name)
            for number, state in found:
                self._store.erase(number, state)
        return len(found)

    def named(self, name: str) -> list[tuple[int, State]]:
        """Orders by their id, in each process, or else by the name another system gives them."""
        return self._store.find_id(name) or self._store.find_alias(name)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Of the store. Where it fails, nobody knows what was committed: memory is read anew."""
        self._recall_if_lost()
        try:
            with self._store.transaction():
                yield
        except BaseException:
            self._remembers = False
            raise

    def _recall_if_lost(self) -> None:
        with self._lock:
            if not self._remembers:
                self._recall()

    def _recall(self) -> None:
        """What is known of the store without asking."""
        stored, minutes = self._store.counts()
        ages, coming = Ages(AGE_BUCKETS), Coming()
        ages.merge(minutes)
        coming.merge(minutes)
        with self._memory:
            self._tallies, self._ages, self._coming = stored, ages, coming
        self._audit = Audit()
        # Deadlines up to here have been looked at; standing() asks by it, so that memory and
        # ticks agree on who is overdue.
        self._watermark = self._store.read_number(WATERMARK) or 0.0
        self._percentiles.forget()
        self._percentiles.add(self._store.percentiles())
        self._learned = self._store.read_number(_LEARNED) or 0.0
        self._remembers = True

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
            with self._transaction():
                self._store.arrived(arrived)
                self._store.add(changes)
                for name, value in (numbers or {}).items():
                    self._store.write_number(name, value)
            self._remember(changes, Minutes())

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
