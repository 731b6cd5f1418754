"""Order events from a table that somebody else keeps, which only has to be read.

Every so often the rows since the *watermark* are asked for: the newest time of a row that was read,
which is kept once its events are. Rows with the watermark's own time, and rows that became visible
late because their transaction took long, lie within the overlap, and are read again; an event that
was there before is known by its id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from otelkit.collect.clocks.decode import EARLIEST
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.sqlquery import Query
from otelkit.collect.sources.tables import WATERMARK
from otelkit.rows import RowEvent

_KNOWN: Final = 10_000
"""Events that are remembered before old ones are forgotten amid a reading."""


class Sink(Protocol):
    """Where the events of rows go, and numbers are kept."""

    def read_number(self, name: str) -> float | None:
        """A number that was given to :meth:`take`."""

    def take(self, source: str, bodies: Sequence[bytes], numbers: Mapping[str, float]) -> None:
        """Return once no event can be lost any more, and the numbers are kept."""

    def complete(self, source: str, until: float) -> None:
        """All events up to then have been taken."""

    def close(self) -> None:
        """Let connections go."""


class Own:
    """The orders of this collector, which has all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.read_number = engine.read_number

    def take(self, source: str, bodies: Sequence[bytes], numbers: Mapping[str, float]) -> None:
        now = time.time()
        self._engine.apply([Received(source, body, now) for body in bodies], numbers)

    def complete(self, source: str, until: float) -> None:
        """Its ticks ask the source itself."""

    def close(self) -> None:
        """There are none."""


class DatabaseSource:
    """Reads one table until ``stopping`` is set; tries again for as long."""

    def __init__(
        self, query: Query, sink: Sink, sources: Sources, stopping: threading.Event, *, batch: int
    ) -> None:
        database = query.database
        self._query = query
        self._name = database.name
        self._every = database.every.total_seconds()
        self._overlap = database.overlap.total_seconds()
        self._sink = sink
        self._sources = sources
        self._stopping = stopping
        self._batch = batch
        self._number = f"{WATERMARK}:{self._name}"
        self._watermark = sink.read_number(self._number) or EARLIEST
        self._known: dict[str, float] = {}
        """Events within the overlap that are taken, with their times."""
        self._enough = _KNOWN
        self._complete_until: float | None = None

    def horizon(self, now: float) -> float | None:
        """Up to when all events are known, in Unix seconds; None while that cannot be told."""
        return None if self._complete_until is None else min(self._complete_until, now)

    def run(self) -> None:
        """The body of a thread."""
        try:
            broker.keep_trying(self._follow, self._down, self._stopping)
        finally:
            self._sink.close()

    def _down(self, why: str) -> None:
        self._complete_until = None
        self._sources.down(self._name, why)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            began = time.time()
            if not self._read(began):
                return
            self._sink.complete(self._name, began)
            self._complete_until = began
            self._sources.up(self._name)
            self._stopping.wait(self._every)

    def _read(self, now: float) -> bool:
        """Whether it came to the end, and was not stopped."""
        newest = self._watermark
        pages = self._fresh(self._query.rows(self._watermark, now, self._batch))
        for events, is_last in _telling_the_last(pages):
            if self._stopping.is_set():
                return False
            times = [event.at.timestamp() for event in events if event.at is not None]
            # A row from ahead of us would hide those that come in the meantime.
            newest = max([newest, *(min(at, now) for at in times)])
            # Rows come in any order, so that only the last of them says what all were.
            self._take(events, {self._number: newest} if is_last else {})
            if len(self._known) >= self._enough:
                self._forget(newest)
        self._watermark = newest
        self._forget(newest)
        return True

    def _fresh(self, pages: Iterable[Sequence[RowEvent]]) -> Iterator[list[RowEvent]]:
        for page in pages:
            fresh = [event for event in page if event.id not in self._known]
            if fresh:
                yield fresh

    def _take(self, events: Sequence[RowEvent], numbers: Mapping[str, float]) -> None:
        now = time.time()
        self._sink.take(self._name, [event.body for event in events], numbers)
        for event in events:
            self._known[event.id] = now if event.at is None else event.at.timestamp()

    def _forget(self, newest: float) -> None:
        """Events before the overlap, which are not read again."""
        before = newest - self._overlap
        self._known = {key: at for key, at in self._known.items() if at >= before}
        self._enough = max(_KNOWN, 2 * len(self._known))


def _telling_the_last(
    pages: Iterable[list[RowEvent]],
) -> Iterator[tuple[list[RowEvent], bool]]:
    before: list[RowEvent] | None = None
    for page in pages:
        if before is not None:
            yield before, False
        before = page
    if before is not None:
        yield before, True
