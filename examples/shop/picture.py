"""What there is to see of a running shop: its orders, what is late, and who was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from otelkit import names
from shop import monitoring
from shop.prometheus import Alertmanager
from shop.services import Collector


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as Alertmanager has it."""

    name: str
    objective: str
    severity: str
    owner: str
    description: str

    def __str__(self) -> str:
        who = f"{self.severity} for {self.owner}" if self.owner else self.severity
        return f"{self.name} ({who}), {self.objective or 'system'}: {self.description}"


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment. ``open`` are orders by stage, ``overdue`` what the collector's API says."""

    open: Mapping[str, int]
    outcomes: Mapping[str, int]
    overdue: Sequence[Mapping[str, Any]]
    overdue_on_metrics: int
    dead_letters: int | None
    alerts: Sequence[Alert]


def take(collector: Collector, alertmanager: Alertmanager | None) -> Picture | None:
    """A picture of now; None while the collector does not answer."""
    try:
        metrics = httpx.get(f"{collector.url}/metrics", timeout=5).raise_for_status().text
        overdue = httpx.get(f"{collector.url}/orders", timeout=5).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return None
    samples = [s for f in text_string_to_metric_families(metrics) for s in f.samples]

    def sums(metric: str, label: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for sample in samples:
            if sample.name == metric:
                key = sample.labels[label]
                found[key] = found.get(key, 0) + int(sample.value)
        return found

    letters = sums(names.DLQ_MESSAGES.name, "queue")
    return Picture(
        sums(names.ORDERS_OPEN.name, "stage"),
        sums(names.ORDER_CLOCKS.name, "outcome"),
        overdue["orders"],
        sum(sums(names.ORDERS_OVERDUE.name, "objective").values()),
        sum(letters.values()) if letters else None,
        [] if alertmanager is None else [_alert(a) for a in monitoring.alerts(alertmanager)],
    )


def _alert(found: Mapping[str, Any]) -> Alert:
    labels = found["labels"]
    return Alert(
        labels["alertname"],
        labels.get("objective", ""),
        labels.get("severity", ""),
        labels.get("owner", ""),
        found["annotations"].get("description", ""),
    )
