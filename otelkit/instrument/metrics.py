"""The metrics of a service: the contract's families in a Prometheus registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from otelkit import names


class ServiceMetrics:
    """The families that services expose, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.operations = _histogram(names.OPERATION_DURATION, registry)
        self.http = _histogram(names.HTTP_SERVER_DURATION, registry)
        self.messages = _histogram(names.MESSAGING_PROCESS_DURATION, registry)
        dropped = names.TELEMETRY_DROPPED
        self.dropped = Counter(dropped.name, dropped.help, dropped.labels, registry=registry)

    def drop(self, signal: str, reason: str) -> None:
        """Count one piece of telemetry that could not be delivered."""
        self.dropped.labels(signal=signal, reason=reason).inc()


def _histogram(metric: names.Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        metric.name,
        metric.help,
        metric.labels,
        registry=registry,
        buckets=names.DURATION_BUCKETS,
    )
