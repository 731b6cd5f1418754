"""The metrics of a service: the contract's families in a Prometheus registry."""

from __future__ import annotations

import logging
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.registry import Collector

from otelkit import names

log = logging.getLogger("otelkit")

ORDER_EVENTS: Final = "order_events"
SPANS: Final = "spans"
LOGS: Final = "logs"
SPOOL_FULL: Final = "spool_full"
SPOOL_ERROR: Final = "spool_error"
INVALID: Final = "invalid"
EXPORT_FAILED: Final = "export_failed"
_DROPS: Final = (
    (ORDER_EVENTS, SPOOL_FULL),
    (ORDER_EVENTS, SPOOL_ERROR),
    (ORDER_EVENTS, INVALID),
    (SPANS, EXPORT_FAILED),
    (LOGS, EXPORT_FAILED),
)
"""Signals and reasons of ``otelkit_telemetry_dropped_total``: each series starts at 0."""


class ServiceMetrics:
    """The families that services expose, in one registry until they are closed."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        families = (*durations, self.sent, self.consumed, self.dropped)
        self._registered = [family for family in families if register(registry, family)]

    def drop(self, signal: str, reason: str, count: int = 1) -> None:
        """Count telemetry that could not be delivered."""
        self.dropped.labels(signal, reason).inc(count)

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


def _counter(metric: names.Metric) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=None)


def _histogram(metric: names.Metric) -> Histogram:
    return Histogram(
        metric.name, metric.help, metric.labels, registry=None, buckets=names.DURATION_BUCKETS
    )
