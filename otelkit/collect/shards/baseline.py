"""The counters of a shard that was moved, as they came: to be seen before they rise.

To ``increase()`` a series begins with the first value that was scraped. What is counted before that
is lost to it, and a shard that takes up work has an hour of events in its queue, perhaps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from otelkit.collect.engine.engine import Engine
from otelkit.errors import StoreError

DIVIDED: Final = "divided"
"""The number 1 in the store of a shard that was moved and has not been at work since."""
LONGEST: Final = 90.0
"""Seconds to wait for a scrape: one and a half times what Prometheus takes between two unless it is
told."""
_LOOK_SECONDS: Final = 0.1


class Baseline(Collector):
    """The metrics of a shard. ``is_due`` tells whether it has to wait until they were asked for."""

    def __init__(self, metrics: Collector, engine: Engine) -> None:
        self._metrics = metrics
        self._engine = engine
        self._seen = threading.Event()
        self.is_due = bool(engine.read_number(DIVIDED))

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that a registry does not scrape on registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        found = list(self._metrics.collect())
        self._seen.set()
        return found

    def wait(self, stopping: threading.Event) -> None:
        """Until it is time to count."""
        if not self.is_due:
            return
        end = time.monotonic() + LONGEST
        while not self._seen.wait(_LOOK_SECONDS) and time.monotonic() < end:
            if stopping.is_set():
                return
        with suppress(StoreError):  # the next one waits, too
            self._engine.apply([], {DIVIDED: 0.0})
        self.is_due = False
