"""The process itself: processor time, memory, files, threads, garbage collection, event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Final
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from otelkit import names
from otelkit.instrument.metrics import register

LAG_INTERVAL: Final = 0.5
"""Seconds from one look at an event loop to the next: two of them cost a loop some 20 us."""
_TASKS: Final = Path("/proc/self/task")


class ProcessMetrics:
    """What a process says of itself, in a registry until it is closed.

    Prometheus' own collector is added to a registry that has none: only the default one does.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._pauses = _Pauses()
        self._lag = _histogram(names.EVENT_LOOP_LAG)
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._open = True
        families: list[Collector] = [_Threads(), self._pauses, self._lag]
        if not _has(registry, names.PROCESS_CPU.name):
            families.append(ProcessCollector(registry=None))
        self._registered = [family for family in families if register(registry, family)]
        gc.callbacks.append(self._pauses.told)

    def watch_loop(self) -> None:
        """Measure from now on how late timers of the running asyncio loop fire."""
        loop = asyncio._get_running_loop()
        if loop is not None and loop not in self._loops:
            self._loops.add(loop)
            self._look_again(loop)

    def after_fork_in_child(self) -> None:
        """What the parent has paused is not this process's to tell."""
        self._pauses.clear()

    def close(self) -> None:
        """Leave the registry and measure no more."""
        self._open = False
        if self._pauses.told in gc.callbacks:
            gc.callbacks.remove(self._pauses.told)
        while self._registered:
            self._registry.unregister(self._registered.pop())

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LAG_INTERVAL

        def look() -> None:
            if self._open:
                self._lag.observe(max(loop.time() - due, 0))
                self._look_again(loop)

        loop.call_at(due, look)


class _Threads(Collector):
    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(names.PROCESS_THREADS.name, names.PROCESS_THREADS.help)

    def collect(self) -> Iterator[Metric]:
        metric = names.PROCESS_THREADS
        yield GaugeMetricFamily(metric.name, metric.help, value=_thread_count())


class _Pauses(Collector):
    """The time that each generation's collections took.

    Plain numbers, for a collection may begin anywhere, also within a lock of the metrics.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self.clear()

    def clear(self) -> None:
        self._seconds = [0.0] * len(gc.get_count())

    def told(self, phase: str, info: dict[str, int]) -> None:
        """The interpreter is about to collect, or has done so."""
        if phase == "start":
            self._began = perf_counter()
        elif self._began:
            self._seconds[info["generation"]] += perf_counter() - self._began

    def describe(self) -> Iterator[Metric]:
        metric = names.GC_PAUSES
        yield CounterMetricFamily(metric.name, metric.help, labels=metric.labels)

    def collect(self) -> Iterator[Metric]:
        metric = names.GC_PAUSES
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for generation, seconds in enumerate(self._seconds):
            family.add_metric([str(generation)], seconds)
        yield family


def _thread_count() -> int:
    """Of the whole process where the system tells, else those that Python knows."""
    try:
        return sum(1 for _ in _TASKS.iterdir())
    except OSError:
        return threading.active_count()


def _has(registry: CollectorRegistry, name: str) -> bool:
    """Whether a collector in a registry has a sample of that name."""
    if any(registry.restricted_registry([name]).collect()):  # asks that collector alone
        return True
    with suppress(Exception):  # one of the service's own, whose names are not known, may fail
        return registry.get_sample_value(name) is not None
    return False


def _histogram(metric: names.Metric) -> Histogram:
    return Histogram(metric.name, metric.help, registry=None, buckets=names.LAG_BUCKETS)
