"""The metrics of a service: the contract's families in a Prometheus registry."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from otelkit import names
from otelkit.instrument import workers

log = logging.getLogger("otelkit")

ORDER_EVENTS: Final = "order_events"
SPANS: Final = "spans"
LOGS: Final = "logs"
LOKI: Final = "loki"
SPOOL_FULL: Final = "spool_full"
SPOOL_ERROR: Final = "spool_error"
INVALID: Final = "invalid"
QUEUE_FULL: Final = "queue_full"
EXPORT_FAILED: Final = "export_failed"
"""The server has refused it, or was not there when the process ended."""
SHUTDOWN: Final = "shutdown"
"""Still queued, or in a request without an answer, when the time for the end was over."""
_QUEUE_DROPS: Final = (QUEUE_FULL, EXPORT_FAILED, SHUTDOWN)
_DROPS: Final = (
    (ORDER_EVENTS, SPOOL_FULL),
    (ORDER_EVENTS, SPOOL_ERROR),
    (ORDER_EVENTS, INVALID),
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
        dropped = names.TELEMETRY_DROPPED
        self.dropped = Counter(dropped.name, dropped.help, dropped.labels, registry=None)
        for signal, reason in _DROPS:
            self.dropped.labels(signal, reason)
        self._registry = registry
        families = (self.operations, self.http, self.messages, self.dropped)
        self._registered = [family for family in families if self._register(family)]

    def drop(self, signal: str, reason: str, count: int = 1) -> None:
        """Count telemetry that could not be delivered."""
        self.dropped.labels(signal, reason).inc(count)

    def reset(self) -> None:
        """Begin at zero, in a child: what was counted before a fork is the parent's.

        With ``PROMETHEUS_MULTIPROC_DIR`` the values do so themselves.
        """
        if workers.enabled():
            return
        for family in (self.operations, self.http, self.messages, self.dropped):
            _begin(family)

    def close(self) -> None:
        """Leave the registry, so that a later ``init`` can use it."""
        while self._registered:
            self._registry.unregister(self._registered.pop())

    def _register(self, family: Histogram | Counter) -> bool:
        try:
            self._registry.register(family)
        except ValueError as error:
            log.error("a metric is off: %s; the service goes on without it", error)
            return False
        return True


def _begin(family: Any) -> None:
    """At zero, with locks that nobody holds: in the parent, a thread may have held the old ones."""
    family._lock = threading.Lock()
    for series in family._metrics.values():
        series._metric_init()


def _histogram(metric: names.Metric) -> Histogram:
    return Histogram(
        metric.name, metric.help, metric.labels, registry=None, buckets=names.DURATION_BUCKETS
    )
