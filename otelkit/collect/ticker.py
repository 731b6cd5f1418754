"""What the collector does by the clock: deadlines, deletions, and counting anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from otelkit.collect.engine import Engine
from otelkit.collect.settings import Settings
from otelkit.collect.sources import Sources
from otelkit.errors import StoreError

STORE: Final = "store"
"""The name under which conditions tell of the store."""
STALE_TICKS: Final = 12
"""So many ticks may be missed before ``/healthz`` says so; a catch-up takes some."""


class Ticker:
    """Lets the engine's time go on, as far as ``horizon`` says that events are known."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        sources: Sources,
        stopping: threading.Event,
        horizon: Callable[[float], float | None],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._every = settings.tick.total_seconds()
        self._sources = sources
        self._stopping = stopping
        self._horizon = horizon
        self._beat = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it still looks, also where it has nothing to judge."""
        return time.monotonic() - self._beat < STALE_TICKS * self._every

    def run(self) -> None:
        """The body of a thread."""
        while not self._stopping.is_set():
            try:
                self._tick(time.time())
            except StoreError as error:
                self._sources.down(STORE, str(error))
            else:
                self._sources.up(STORE)
            self._beat = time.monotonic()
            self._stopping.wait(self._every)

    def _tick(self, now: float) -> None:
        known_until = self._horizon(now)
        if known_until is not None:
            lateness = self._settings.lateness.total_seconds()
            self._engine.tick(known_until, lateness=lateness)
        self._engine.learn(now)
        timelines, orders = self._settings.keep_timelines, self._settings.keep_orders
        self._engine.forget(
            timelines=float("-inf") if timelines is None else now - timelines.total_seconds(),
            orders=float("-inf") if orders is None else now - orders.total_seconds(),
        )
        self._engine.reconcile()
