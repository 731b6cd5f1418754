"""Breaches while the collector was down: each is told once, with how late it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from collecting import StartCollector, batch, of, scrape
from otelkit import events, names
from otelkit.events import OrderMoved
from shop.services import Collector
from shop.waiting import until

ORDERS = 2500
"""More than one transaction of a tick takes."""
HOUR = 3600.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ALLOWED = {
    "manufacturing-on-time": {"vip": 4.0, "standard": 8.0},
    "delivered-on-time": {"vip": 20.0, "standard": 20.0},
}
"""Seconds, by objective and tier."""


def begun(start: float) -> Iterator[bytes]:
    for number in range(ORDERS):
        yield events.encode(
            OrderMoved(
                source="test",
                id=str(number),
                order_id=f"A-{number}",
                at=datetime.fromtimestamp(began(start, number), UTC),
                process="order",
                status="manufacturing",
                tier=tier_of(number),
                traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
            )
        )


def began(start: float, number: int) -> float:
    return start - number / ORDERS


def tier_of(number: int) -> str:
    return ("vip", "standard")[number % 2]


def test_a_collector_that_was_down_for_an_hour_tells_each_breach_once_and_how_late_it_is(
    start_collector: StartCollector, tmp_path: Path
) -> None:
    start, clock = float(int(time.time())), tmp_path / "clock"
    clock.write_text(f"={start}")
    kept = {"store": str(tmp_path / "orders.db")}
    first = start_collector(kept, clock=clock)
    told = httpx.post(f"{first.url}/events", content=batch(begun(start)), timeout=30)
    assert told.json()["applied"] == ORDERS
    first.process.kill()
    assert records(first) == []

    clock.write_text(f"={start + HOUR}")
    second = start_collector(kept, clock=clock)
    assert until(lambda: len(records(second)) >= 2 * ORDERS, 30)
    expected = {
        (f"A-{number}", objective): (
            tier_of(number),
            "manufacturing",
            TRACE,
            round(start + HOUR - began(start, number) - allowed[tier_of(number)], 3),
        )
        for number in range(ORDERS)
        for objective, allowed in ALLOWED.items()
    }
    assert said(records(second)) == expected
    assert len(records(second)) == len(expected)
    breached = of(scrape(second.url), names.ORDER_CLOCKS.name, "objective", "outcome")
    for objective in ALLOWED:
        assert breached[objective, names.OUTCOME_BREACHED] == ORDERS
    second.process.kill()

    third = start_collector(kept, clock=clock)
    assert until(lambda: tick(third) == start + HOUR, 30)
    assert records(third) == [], "what was told is not told again"


def said(lines: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (line[names.ATTR_ORDER_ID], line[names.ATTR_OBJECTIVE]): (
            line[names.ATTR_ORDER_TIER],
            line[names.ATTR_ORDER_STAGE],
            line["last_trace_id"],
            line[names.ATTR_OVERDUE_SECONDS],
        )
        for line in lines
    }


def records(collector: Collector) -> list[dict[str, Any]]:
    """The log records ``order.overdue``."""
    lines = collector.process.log.read_text().splitlines()
    found = (json.loads(line) for line in lines if line.startswith("{"))
    return [line for line in found if line.get(names.ATTR_EVENT_NAME) == names.EVENT_ORDER_OVERDUE]


def tick(collector: Collector) -> float:
    (at,) = of(scrape(collector.url), names.COLLECTOR_TICK.name, "shard").values()
    return at
