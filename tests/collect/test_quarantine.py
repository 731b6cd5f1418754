"""Messages that are no order events, among those that are."""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pika
import pika.data
import pytest

from collecting import StartCollector, depth, moved, of, publish, scrape, source_up, value
from hostile import hostile
from otelkit import names, spec
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.storage.stores import open_store
from shop.services import Collector
from shop.waiting import until

SPARSE = """
version: 1
system: shop
calendars:
  once_a_week: {timezone: America/New_York, hours: {mon: "09:00-10:00"}}
processes:
  order: {stages: [making], done: [shipped], tiers: [standard]}
objectives:
  - name: making
    process: order
    stage: making
    calendar: once_a_week
    within: [{partner: acme, allow: 3650bd}, {allow: 2h}]
    target: 95%
"""


def test_hostile_messages_are_counted_and_kept_and_hold_up_none_of_the_others(
    vhost: str, start_collector: StartCollector
) -> None:
    collector = start_collector({"amqp": vhost})
    assert until(lambda: source_up(collector.url, "rabbitmq"), 10)
    now = time.time()
    hostile = [
        b"",
        b"\x00\xff" * 500,
        b"[" * 60_000,
        b'{"data":' * 8_000,
        b"x" * 10_000_000,
        moved("A", "submitted", now, tier="'; DROP TABLE orders; --"),
        moved('A"} 1\nup 0', "submitted", now),
        moved("A", 'priced"} 1', now),
        moved("A", "submitted", -62_135_596_800.0),
    ]
    good = [moved(f"A-{n}", "submitted", now) for n in range(len(hostile))]
    publish(vhost, [body for pair in zip(hostile, good, strict=True) for body in pair])
    expected = {("applied",): len(good), ("quarantined",): len(hostile)}

    def outcomes() -> dict[tuple[str, ...], float]:
        counted = of(scrape(collector.url), names.ORDER_EVENTS.name, "outcome")
        return {outcome: count for outcome, count in counted.items() if count}

    assert until(lambda: outcomes() == expected, 10), outcomes()
    assert depth(vhost, names.ORDERS_QUEUE) == 0
    kept = httpx.get(f"{collector.url}/quarantine").json()["events"]
    assert [event["source"] for event in kept] == ["rabbitmq"] * len(hostile)
    assert max(len(event["body"]) for event in kept) <= 4096
    assert "DROP" not in httpx.get(f"{collector.url}/metrics").text
    assert source_up(collector.url, "rabbitmq")


class _Raw(bytes):
    """A value of a header, as it is sent."""


def _nested(levels: int) -> _Raw:
    found = b""
    for _ in range(levels):
        found = struct.pack(">cI", b"A", len(found)) + found
    return _Raw(found)


def test_headers_that_cannot_be_read_hold_up_no_event(
    vhost: str, start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a sender that tells milliseconds where AMQP has seconds."""
    original = pika.data.encode_value

    def encode(pieces: list[bytes], value: Any) -> int:
        if isinstance(value, _Raw):
            pieces.append(value)
            return len(value)
        return int(original(pieces, value))

    monkeypatch.setattr(pika.data, "encode_value", encode)
    collector = start_collector({"amqp": vhost})
    assert until(lambda: source_up(collector.url, "rabbitmq"), 10)
    odd = (_Raw(struct.pack(">cQ", b"T", 1_800_000_000_000)), _nested(5000))
    now = time.time()
    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
        for number, raw in enumerate(odd):
            headers = {"a": raw, "b": [raw], names.HEADER_SOURCE: "x"}
            connection.channel().basic_publish(
                "",
                names.ORDERS_QUEUE,
                moved(f"A-{number}", "submitted", now),
                pika.BasicProperties(headers=headers),
            )

    def applied() -> float | None:
        name = names.ORDER_EVENTS.name
        return value(scrape(collector.url), name, source="rabbitmq", outcome="applied")

    assert until(lambda: applied() == len(odd), 10)
    assert source_up(collector.url, "rabbitmq")


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_hostile_bodies_by_the_thousand_are_all_counted_and_reach_no_label(
    vhost: str, start_collector: StartCollector, count: int
) -> None:
    collector = start_collector({"amqp": vhost})
    assert until(lambda: source_up(collector.url, "rabbitmq"), 10)
    now = datetime.now(UTC).isoformat()
    before = set(scrape(collector.url))
    publish(vhost, hostile(count, seed=count, now=now))

    def quarantined() -> float | None:
        name, outcome = names.ORDER_EVENTS.name, "quarantined"
        return value(scrape(collector.url), name, source="rabbitmq", outcome=outcome)

    assert until(lambda: quarantined() == count, 10 + count / 200), quarantined()
    assert set(scrape(collector.url)) - before <= {
        (names.COLLECTOR_TICK.name, frozenset({("system", "shop"), ("shard", "0")}))
    }
    publish(vhost, [moved("A-1", "submitted", time.time())])
    assert until(lambda: httpx.get(f"{collector.url}/orders/A-1").is_success, 10)
    assert_posts_are_counted(collector, hostile(max(50, count // 50), seed=1, now=now))
    log = collector.process.log.read_text()
    assert "Traceback" not in log
    assert log.count("listening on") == 1, "it never ended"


def assert_posts_are_counted(collector: Collector, bodies: Iterator[bytes]) -> None:
    """None that is sent over HTTP is taken, and each is counted by what became of it."""
    answered: Counter[int] = Counter()
    with httpx.Client(base_url=collector.url) as api:
        for body in bodies:
            answered[api.post("/events", content=body, timeout=20).status_code] += 1
    assert set(answered) <= {400, 413, 422}
    scraped = scrape(collector.url)
    told = of(scraped, names.COLLECTOR_REFUSED.name, "status")
    assert +Counter({int(status): n for (status,), n in told.items()}) == {
        status: n for status, n in answered.items() if status != 422
    }
    quarantined = value(scraped, names.ORDER_EVENTS.name, source="http", outcome="quarantined")
    assert quarantined == answered[422]


def test_an_order_to_which_its_calendar_gives_no_deadline_holds_up_none_of_the_others(
    tmp_path: Path,
) -> None:
    now = time.time()
    with closing(open_store(tmp_path / "orders.db")) as store:
        engine = Engine(spec.loads(SPARSE, "sla.yaml"), store)
        told = [moved("A-1", "making", now, partner="acme"), moved("A-2", "making", now)]
        never, taken = engine.apply([Received("rabbitmq", body, now) for body in told])
        assert (never.outcome, taken.outcome) == ("quarantined", "applied")
        assert "calendar 'once_a_week' does not open often enough" in never.reason
        assert not store.find([("order", "A-1")])
