"""The metrics of a service: the contract's families in a Prometheus registry."""

from __future__ import annotations

import logging
import re
import threading
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from otelkit import names
from otelkit.instrument import workers

log = logging.getLogger("otelkit")

ORDER_EVENTS: Final = "order_events"
SPANS: Final = "spans"
LOGS: Final = "logs"
LOKI: Final = "loki"
METRICS: Final = "metrics"
SPOOL_FULL: Final = "spool_full"
SPOOL_ERROR: Final = "spool_error"
INVALID: Final = "invalid"
QUEUE_FULL: Final = "queue_full"
EXPORT_FAILED: Final = "export_failed"
"""The server has refused it, or was not there when the process ended."""
SHUTDOWN: Final = "shutdown"
"""Still queued, or in a request without an answer, when the time for the end was over."""
COLLECTOR_FAILED: Final = "collector_failed"
"""A collector of the service raised at a scrape: one of its kind each time."""
_QUEUE_DROPS: Final = (QUEUE_FULL, EXPORT_FAILED, SHUTDOWN)
OTHER: Final = "other"
MOST_VALUES: Final = 200
"""Of one label. 20,000 series of a histogram were measured to cost 78 MB, and 2.9 s a scrape."""
_LARGEST_MEMORY: Final = 10_000
_ID: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-"  # a UUID
    r"|\d{5}"
    r"|(?<![^/_:. -])\d{4,}(?![^/_:. -])|^[A-Za-z]{1,4}-\d{3,}$"  # a number, A-1001
    r"|(?=[0-9a-fA-F]*\d)(?<![0-9a-zA-Z])[0-9a-fA-F]{16}"
    r"|\w@\w"
)
"""What no label's value may look like."""
_DROPS: Final = (
    (ORDER_EVENTS, SPOOL_FULL),
    (ORDER_EVENTS, SPOOL_ERROR),
    (ORDER_EVENTS, INVALID),
    (METRICS, COLLECTOR_FAILED),
    *((signal, reason) for signal in (SPANS, LOGS, LOKI) for reason in _QUEUE_DROPS),
)
"""Signals and reasons of ``otelkit_telemetry_dropped_total``: each series starts at 0."""


class ServiceMetrics:
    """The families that services expose, in one registry until they are closed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        workers.prepare()
        self.operations = _histogram(names.OPERATION_DURATION)
        self.http = _histogram(names.HTTP_SERVER_DURATION)
        self.messages = _histogram(names.MESSAGING_PROCESS_DURATION)
        self.sent = _counter(names.MESSAGING_SENT)
        self.consumed = _counter(names.MESSAGING_CONSUMED)
        self.dropped = _counter(names.TELEMETRY_DROPPED)
        for signal, reason in _DROPS:
            self.dropped.labels(signal, reason)
        self._registry = registry
        durations = (self.operations, self.http, self.messages)
        self._families = (*durations, self.sent, self.consumed, self.dropped)
        self._registered = [family for family in self._families if register(registry, family)]

    def drop(self, signal: str, reason: str, count: int = 1) -> None:
        """Count telemetry that could not be delivered."""
        self.dropped.labels(signal, reason).inc(count)

    def reset(self) -> None:
        """Begin at zero, in a child: what was counted before a fork is the parent's.

        With ``PROMETHEUS_MULTIPROC_DIR`` the values do so themselves.
        """
        if workers.enabled():
            return
        for family in self._families:
            _begin(family)

    def close(self) -> None:
        """Leave the registry, so that a later ``init`` can use it."""
        while self._registered:
            self._registry.unregister(self._registered.pop())


def register(registry: CollectorRegistry, family: Collector) -> bool:
    """Whether the registry has taken it; one that has the name already is said and left alone."""
    try:
        registry.register(family)
    except ValueError as error:
        log.error("a metric is off: %s; the service goes on without it", error)
        return False
    return True


def _begin(family: Any) -> None:
    """At zero, with locks that nobody holds: in the parent, a thread may have held the old ones."""
    family._lock = threading.Lock()
    for series in family._metrics.values():
        series._metric_init()


class _Bounded(MetricWrapperBase):
    """Takes so many values of each label, and no ids: what is above that counts as ``other``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._known: dict[tuple[object, ...], Self] = {}
        self._values: dict[str, set[str]] = {name: set() for name in self._labelnames}
        self._warned: set[str] = set()

    def labels(self, *values: object, **named: object) -> Self:
        """The series of these values."""
        if named:
            values = tuple(named[name] for name in self._labelnames)
        found = self._known.get(values)
        if found is None:
            pairs = zip(self._labelnames, values, strict=True)
            found = super().labels(*(self._bounded(name, str(value)) for name, value in pairs))
            if len(self._known) < _LARGEST_MEMORY:
                self._known[values] = found
        return found

    def _bounded(self, label: str, value: str) -> str:
        known = self._values[label]
        if value in known or value == OTHER:
            return value
        if _ID.search(value):
            self._warn(label, f"{value!r:.60} looks like an id, for which a span has attributes")
            return OTHER
        if len(known) >= MOST_VALUES:
            self._warn(label, f"it has more than {MOST_VALUES} values")
            return OTHER
        known.add(value)
        return value

    def _warn(self, label: str, why: str) -> None:
        if label not in self._warned:
            self._warned.add(label)
            log.warning("%s counts values of %s as %r: %s", self._name, label, OTHER, why)


class BoundedHistogram(_Bounded, Histogram):
    """A histogram with bounded labels."""


class BoundedCounter(_Bounded, Counter):
    """A counter with bounded labels."""


def _counter(metric: names.Metric) -> Counter:
    return BoundedCounter(metric.name, metric.help, metric.labels, registry=None)


def _histogram(metric: names.Metric) -> Histogram:
    return BoundedHistogram(
        metric.name, metric.help, metric.labels, registry=None, buckets=names.DURATION_BUCKETS
    )
