"""A collector that is killed while it works, and what the next one finds."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from collecting import Scrape, StartCollector, depth, moved, of, publish, scrape, source_up, value
from otelkit import names
from shop.servers import RabbitMQ
from shop.services import Collector
from shop.waiting import until

ROUNDS = 1000
EVENTS = 20_000
KILL_AT = (1, 3_000, 6_000, 9_000, 12_000)
"""The collector is killed each time that it has applied so many events."""


@dataclass(frozen=True)
class Story:
    """What happens to an order, in seconds after it began, and what its clocks make of it."""

    steps: tuple[tuple[float, str], ...]
    making: str | None
    """The outcome of ``manufacturing-on-time`` (8 s), None where it never started."""
    whole: str
    """The outcome of ``delivered-on-time`` (20 s)."""


STORIES = {
    "quick": Story(
        (
            (0, "submitted"), (1, "priced"), (2, "manufacturing"), (4, "packed"), (5, "shipped"),
        ),
        "met", "met",
    ),
    "slow": Story(
        (
            (0, "submitted"), (1, "priced"), (2, "manufacturing"), (30, "packed"), (31, "shipped"),
        ),
        "breached", "breached",
    ),
    "waits": Story(
        (
            (0, "submitted"), (15, "priced"), (17, "manufacturing"), (19, "packed"),
            (25, "shipped"),
        ),
        "met", "breached",
    ),
    "cancelled": Story(((0, "submitted"), (2, "cancelled")), None, "cancelled"),
    "stuck": Story(
        ((0, "submitted"), (1, "priced"), (2, "manufacturing")), "breached", "breached"
    ),
}  # fmt: skip


def history(start: float) -> list[bytes]:
    """Each story in each round, one round a second, everything as it happened."""
    told = [
        (start + number + after, name, number, status)
        for number in range(ROUNDS)
        for name, story in STORIES.items()
        for after, status in story.steps
    ]
    return [moved(f"{name}-{number}", status, at) for at, name, number, status in sorted(told)]


def test_collectors_killed_amid_twenty_thousand_events_lose_none_and_count_none_twice(
    vhost: str, tmp_path: Path
) -> None:
    collector = Collector(tmp_path, {"amqp": vhost, "batch": "200"})
    collector.start()
    leave_backlog(vhost, collector)
    for enough in KILL_AT:
        collector.start()
        assert until(lambda: applied(collector) >= enough, 30, interval=0.01)  # noqa: B023
        collector.process.kill()
    assert depth(vhost, names.ORDERS_QUEUE) > 0, "even the last was killed amid its work"

    collector.start()
    try:
        assert until(lambda: overdue(collector) == 2 * ROUNDS, 60), "all deadlines are judged"
        assert depth(vhost, names.ORDERS_QUEUE) == 0
        assert_counters(scrape(collector.url))
        assert_orders(collector)
    finally:
        collector.stop()


def test_a_broker_that_pauses_amid_a_backlog_makes_no_order_late(
    rabbitmq: RabbitMQ, vhost: str, start_collector: StartCollector
) -> None:
    collector = start_collector({"amqp": vhost, "batch": "200"})
    leave_backlog(vhost, collector)
    collector.start()
    assert until(lambda: applied(collector) >= 2_000, 30, interval=0.01)
    assert rabbitmq.process.pid is not None
    os.kill(rabbitmq.process.pid, signal.SIGSTOP)
    try:
        began = applied(collector)
        assert until(lambda: applied(collector) == EVENTS, 1.5) is None, "for more than a tick"
    finally:
        os.kill(rabbitmq.process.pid, signal.SIGCONT)
    assert began < EVENTS
    assert until(lambda: overdue(collector) == 2 * ROUNDS, 60), "all deadlines are judged"
    assert_clocks(scrape(collector.url))


def leave_backlog(url: str, collector: Collector) -> None:
    """Ends the collector, which has declared the queue, and fills that."""
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)
    collector.process.kill()
    bodies = history(time.time() - 3600)
    assert len(bodies) == EVENTS
    publish(url, bodies)
    assert until(lambda: depth(url, names.ORDERS_QUEUE) == EVENTS, 30), "all are in the broker"


def applied(collector: Collector) -> float:
    scraped = scrape(collector.url)
    return value(scraped, names.ORDER_EVENTS.name, source="rabbitmq", outcome="applied") or 0


def overdue(collector: Collector) -> float:
    return sum(of(scrape(collector.url), names.ORDERS_OVERDUE.name, "objective").values())


def assert_counters(scraped: Scrape) -> None:
    events = of(scraped, names.ORDER_EVENTS.name, "source", "outcome")
    assert events["rabbitmq", "applied"] == EVENTS
    again = events.pop(("rabbitmq", "duplicate"))
    assert again <= len(KILL_AT) * 200, "of each killed collector one batch at most"
    assert +Counter(events) == {("rabbitmq", "applied"): EVENTS}

    assert_clocks(scraped)


def assert_clocks(scraped: Scrape) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    for story in STORIES.values():
        expected["delivered-on-time", story.whole] += ROUNDS
        if story.making is not None:
            expected["manufacturing-on-time", story.making] += ROUNDS
    assert +Counter(of(scraped, names.ORDER_CLOCKS.name, "objective", "outcome")) == expected
    assert sum(of(scraped, names.ORDER_CLOCK_CORRECTIONS.name, "from").values()) == 0
    assert +Counter(of(scraped, names.ORDERS_OPEN.name, "stage")) == {("manufacturing",): ROUNDS}


def assert_orders(collector: Collector) -> None:
    with httpx.Client(base_url=collector.url) as api:
        for name, story in STORIES.items():
            statuses = [status for _, status in story.steps]
            for number in range(ROUNDS):
                (order,) = api.get(f"/orders/{name}-{number}").json()["orders"]
                assert order["status"] == statuses[-1]
                assert [step["status"] for step in order["timeline"]] == statuses
                clocks = {clock["objective"]: clock["state"] for clock in order["clocks"]}
                assert len(clocks) == len(order["clocks"]), "no clock runs twice"
                whole, making = story.whole, story.making
                if name == "stuck":
                    whole = making = "overdue"
                assert clocks.pop("delivered-on-time") == whole
                assert clocks.pop("manufacturing-on-time", None) == making
