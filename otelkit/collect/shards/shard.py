"""A store with all that works on it: clocks, sources, answers. A collector alone has one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from otelkit import names
from otelkit.collect.api.exposition import HTTP, Exposition
from otelkit.collect.api.orders import Orders
from otelkit.collect.clocks.policies import terms
from otelkit.collect.engine.changeover import Changeover, in_force
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Overdue
from otelkit.collect.settings import Settings
from otelkit.collect.shards.ticker import CLOCK, STORE, Ticker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.deadletters import DeadLetterWatch, Reading, source_name
from otelkit.collect.storage.store import Store
from otelkit.model import Sla

log = logging.getLogger("otelkit.collect")


class Part(Protocol):
    """What works in a thread of its own."""

    def run(self) -> None: ...


class Reader(Part, Protocol):
    """A source that is read, as opposed to one that is told."""

    def horizon(self, now: float) -> float | None: ...


@dataclass
class Shard:
    """``name`` is the label of its last tick. It works until ``stopping`` is set.

    ``ready`` returns once it may take events.
    """

    sla: Sla
    settings: Settings
    name: str
    store: Store
    sources: Sources
    stopping: threading.Event
    readers: list[Reader] = field(default_factory=list)
    others: list[Part] = field(default_factory=list)
    watch: DeadLetterWatch | None = None
    ready: Callable[[], None] = lambda: None
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        sla = in_force(self.sla, self.store)
        self.engine = Engine(sla, self.store, partial(_tell, self.sla))
        self.orders = Orders(self.engine, self.store)
        started = terms(self.sla).fingerprint
        self.changeover = Changeover(self.engine, self.store, started, self.stopping)
        self.sources.up(HTTP)
        self.sources.up(STORE)
        self.sources.up(CLOCK)
        horizon = partial(_horizon, self.readers)
        self.ticker = Ticker(self.engine, self.settings, self.sources, self.stopping, horizon)

    def watch_dead_letters(self) -> None:
        """Of all queues of the SLA file."""
        settings = self.settings
        if settings.amqp is None:
            for queue in self.sla.queues:
                why = "no broker is set; set amqp in the configuration"
                self.sources.down(source_name(queue), why)
        elif self.sla.queues:
            self.watch = DeadLetterWatch(
                settings.amqp,
                settings.management,
                self.sla.queues,
                self.engine,
                self.sources,
                self.stopping,
                every=settings.tick.total_seconds(),
            )
            self.others.append(self.watch)

    def exposition(self, event_sources: Sequence[str]) -> Exposition:
        """Its metrics."""
        readings = self.watch.readings if self.watch is not None else dict[str, Reading]
        return Exposition(self.engine, self.orders, readings, time.time, event_sources, self.name)

    def start(self) -> None:
        """Begin to work."""
        parts: list[Part] = [self.ticker, self.changeover, *self.readers, *self.others]
        self._threads = [
            threading.Thread(target=self._run, args=(part,), name=type(part).__name__, daemon=True)
            for part in parts
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, part: Part) -> None:
        if part is not self.ticker:  # which judges nothing before sources are read
            self.ready()
        part.run()

    def stop(self, seconds: float) -> None:
        """Finish the batch in hand, for which so long is waited."""
        self.stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))


def _horizon(readers: Sequence[Reader], now: float) -> float | None:
    """Up to when every source is read; one that is away may hold the event that met a deadline."""
    horizons = [reader.horizon(now) for reader in readers]
    known = [horizon for horizon in horizons if horizon is not None]
    return min([now, *known]) if len(known) == len(horizons) else None


def _tell(sla: Sla, overdue: Overdue) -> None:
    """A log record for each order that became overdue: what a dashboard lists them from."""
    state = overdue.state
    late = time.time() - overdue.deadline
    log.warning(
        "order %s is overdue: %s, stage %s",
        state.order_id,
        overdue.objective,
        state.stage,
        extra={
            names.ATTR_EVENT_NAME: names.EVENT_ORDER_OVERDUE,
            names.ATTR_SYSTEM: sla.system,
            names.ATTR_OBJECTIVE: overdue.objective,
            names.ATTR_ORDER_ID: state.order_id,
            names.ATTR_ORDER_PROCESS: state.process,
            names.ATTR_ORDER_STAGE: state.stage,
            names.ATTR_ORDER_TIER: state.tier,
            names.ATTR_OVERDUE_SECONDS: round(late, 3),
            "last_trace_id": overdue.trace_id,
        },
    )
