"""What the collector does by the clock: deadlines, deletions, and counting anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from otelkit.collect.api.answers import instant
from otelkit.collect.clocks.decode import FUTURE_SECONDS
from otelkit.collect.engine.engine import Engine
from otelkit.collect.settings import Settings
from otelkit.collect.sources.conditions import Sources
from otelkit.errors import StoreError

STORE: Final = "store"
"""The name under which conditions tell of the store."""
CLOCK: Final = "clock"
"""The name under which they tell of the machine's clock."""
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
        self._set_back = ""
        self._was = 0.0

    @property
    def alive(self) -> bool:
        """Whether it still looks, also where it has nothing to judge."""
        return time.monotonic() - self._beat < STALE_TICKS * self._every

    def run(self) -> None:
        """The body of a thread."""
        while not self._stopping.is_set():
            try:
                now = time.time()
                self._follow(now)
                self._tick(now)
            except StoreError as error:
                self._sources.down(STORE, str(error))
            else:
                self._sources.up(STORE)
            self._beat = time.monotonic()
            self._stopping.wait(self._every)

    def _follow(self, now: float) -> None:
        """The clock, also where it goes back: deadlines that come again are judged again then.

        Back by more than events may be ahead of us, it is wrong, and is waited for.
        """
        judged = self._engine.watermark
        if now < judged:
            self._was = max(self._was, judged)
            self._set_back = self._set_back or _told(judged, now)
            if judged - now <= FUTURE_SECONDS:
                self._engine.rewind(now - self._settings.lateness.total_seconds())
        if now < self._was:
            self._sources.down(CLOCK, self._set_back)
        else:
            self._set_back = ""
            self._sources.up(CLOCK)

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


def _told(judged: float, now: float) -> str:
    return (
        f"the clock was set back to {instant(now)}, and deadlines were judged up to "
        f"{instant(judged)} before; set it right, or wait until it comes there"
    )
