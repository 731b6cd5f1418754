"""What an alert says and what the collector's API lists are one list."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from collecting import StartCollector, batch, moved
from conftest import enter
from otelkit import names
from shop import monitoring
from shop.prometheus import Alertmanager, Prometheus
from shop.services import Collector
from shop.waiting import until

RULES = Path(__file__).parents[2] / "alert_rules"
OBJECTIVES = ("manufacturing-on-time", "delivered-on-time")
ORDERS = 31
Named = list[tuple[str, str]]
"""Orders and their stages."""


def late_orders(now: float) -> Iterator[bytes]:
    """Of any age, and more in each stage than an alert names; no two share a deadline."""
    for number in range(ORDERS):
        yield moved(
            f"A-{number}",
            ("submitted", "manufacturing", "packed")[number % 3],
            now - 100 - 7 * (13 * number % ORDERS),
            tier=("vip", "standard")[number % 2],
            partner=(None, "acme")[number % 5 == 0],
        )


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    with ExitStack() as stack:
        yield enter(stack, lambda: monitoring.alertmanager(tmp_path / "alertmanager"))


def test_the_orders_that_an_alert_names_are_the_first_that_the_api_lists(
    alertmanager: Alertmanager, start_collector: StartCollector, tmp_path: Path
) -> None:
    clock, now = tmp_path / "clock", time.time()
    clock.write_text(f"={now}")
    collector = start_collector(clock=clock)
    targets = {"otelkit-collector": collector.port}
    with ExitStack() as stack:
        prometheus = enter(
            stack,
            lambda: monitoring.prometheus(tmp_path / "prometheus", RULES, targets, alertmanager),
        )

        def agree() -> bool:
            return all(named(alertmanager, o) == listed(collector, o) for o in OBJECTIVES)

        assert until(lambda: has_scraped(prometheus), 30), "what was late before is not new"
        body = batch(late_orders(now))
        assert httpx.post(f"{collector.url}/events", content=body).json()["applied"] == ORDERS
        first, second = listed(collector, OBJECTIVES[1])[:2]
        assert until(agree, 30), [named(alertmanager, o) for o in OBJECTIVES]
        until_then = datetime.fromtimestamp(now + 60, UTC).isoformat()
        known = {"order": first[0], "until": until_then, "reason": "part on order"}
        httpx.post(f"{collector.url}/acks", json=known).raise_for_status()
        assert listed(collector, OBJECTIVES[1])[0] == second
        assert until(agree, 30), [named(alertmanager, o) for o in OBJECTIVES]


def has_scraped(prometheus: Prometheus) -> bool:
    """Whether it has counted the breaches that there were at first: none."""
    asked = {"query": f"count({names.ORDER_CLOCKS.name})"}
    answer = httpx.get(f"{prometheus.url}/api/v1/query", params=asked)
    return bool(answer.json()["data"]["result"])


def named(alertmanager: Alertmanager, objective: str) -> Named:
    """What the alert on an objective says."""
    said = [
        alert["annotations"]["description"]
        for alert in monitoring.alerts(alertmanager)
        if alert["labels"]["alertname"] == names.ALERT_ORDERS_OVERDUE
        and alert["labels"]["objective"] == objective
        and alert["labels"]["severity"] == names.SEVERITY_TICKET
    ]
    return re.findall(r"(A-\d+) in (\w+)", said[0]) if said else []


def listed(collector: Collector, objective: str) -> Named:
    """The first that are overdue on it, and not known to be."""
    page = httpx.get(f"{collector.url}/orders?state=overdue&limit=500").json()
    found = [
        (order["id"], order["stage"])
        for order in page["orders"]
        if order["objective"] == objective and order["acknowledged"] is None
    ]
    return found[: names.NAMED_A_STAGE]
