"""What ``/metrics`` say of dead-letter queues, on a real broker that keeps its messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from collecting import StartCollector, depth, mute, of, scrape, source_up, value
from otelkit import names
from otelkit.collect.sources.deadletters import Bindings
from otelkit.errors import UnavailableError
from shop.servers import RabbitMQ, free_port
from shop.services import Collector
from shop.waiting import until

DLQ = "orders.dlq"
SOURCE = f"dlq:{DLQ}"


@dataclass
class Broker:
    """A virtual host whose queue ``work`` dead-letters through ``exchange``."""

    server: RabbitMQ
    url: str
    channel: BlockingChannel

    def declare(self, kind: str, *, exchange: str = "dead") -> None:
        arguments = {"x-queue-type": kind}
        self.channel.queue_declare(DLQ, durable=True, arguments=arguments)
        if exchange:
            self.channel.exchange_declare(exchange, "fanout", durable=True)
            self.channel.queue_bind(DLQ, exchange)
        dead = {"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": DLQ}
        self.channel.queue_declare("work", durable=True, arguments=arguments | dead)

    def reject(self, *bodies: str) -> None:
        for body in bodies:
            self.publish(body)
            tag = until(lambda: self.channel.basic_get("work")[0], 5, interval=0.01)
            assert tag is not None
            self.channel.basic_reject(tag.delivery_tag, requeue=False)

    def expire(self, body: str) -> None:
        self.publish(body, expiration="1")

    def publish(self, body: str, **properties: Any) -> None:
        kept = pika.BasicProperties(delivery_mode=2, **properties)
        self.channel.basic_publish("", "work", body.encode(), kept)

    def drain(self) -> list[tuple[str, bool]]:
        """The bodies of the dead letters in their order, and whether each was ever delivered."""
        found = []
        for method, _, body in self.channel.consume(DLQ, inactivity_timeout=0.5):
            if method is None:
                break
            found.append((body.decode(), method.redelivered))
        self.channel.cancel()
        return found

    def settings(self, **more: str) -> dict[str, str]:
        return {"amqp": self.url, "management": self.server.management_url, **more}


@pytest.fixture
def broker(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Broker]:
    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
        yield Broker(rabbitmq, vhost, connection.channel())


def letters(collector: Collector) -> float | None:
    return value(scrape(collector.url), names.DLQ_MESSAGES.name, queue=DLQ)


def oldest(collector: Collector) -> float | None:
    return value(scrape(collector.url), names.DLQ_OLDEST_MESSAGE.name, queue=DLQ)


def ticked(collector: Collector) -> float | None:
    return value(scrape(collector.url), names.COLLECTOR_TICK.name, shard="0")


def arrivals(collector: Collector) -> dict[tuple[str, ...], float]:
    return of(scrape(collector.url), names.DLQ_ARRIVALS.name, "source_queue", "reason")


def test_a_queue_that_does_not_exist_is_down_until_it_is_declared(
    broker: Broker, start_collector: StartCollector
) -> None:
    collector = start_collector(broker.settings())
    assert until(lambda: source_up(collector.url, "rabbitmq"), 10)
    why = f"there is no queue '{DLQ}'; declare it, or correct its name in the SLA file"
    sources = httpx.get(f"{collector.url}/readyz").json()["sources"]
    assert sources[SOURCE] == {"up": False, "why": why}
    assert not source_up(collector.url, SOURCE)
    assert letters(collector) is None, "what is not known is absent"

    broker.declare("classic")
    assert until(lambda: letters(collector) == 0, 10)
    assert oldest(collector) is None, "an empty queue has no oldest message"
    assert source_up(collector.url, SOURCE)
    assert httpx.get(f"{collector.url}/readyz").json()["ready"]

    broker.channel.queue_delete(DLQ)
    assert until(lambda: letters(collector) is None, 10)
    assert not source_up(collector.url, SOURCE)


def test_a_queue_that_does_not_answer_is_down_and_not_empty(
    broker: Broker, start_collector: StartCollector
) -> None:
    broker.declare("quorum")
    broker.reject("one")
    collector = start_collector(broker.settings())
    assert until(lambda: letters(collector) == 1, 10)
    with mute(broker.server, broker.url, DLQ):
        assert until(lambda: letters(collector) is None, 10)
        assert not source_up(collector.url, SOURCE)
    assert until(lambda: letters(collector) == 1, 10)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_dead_letters_are_counted_and_dated_and_stay_where_they_are(
    broker: Broker, start_collector: StartCollector, kind: str
) -> None:
    broker.declare(kind)
    broker.reject("before")
    assert until(lambda: depth(broker.url, DLQ) == 1, 10)
    collector = start_collector(broker.settings())
    assert until(lambda: letters(collector) == 1, 10)
    assert arrivals(collector) == {("unknown", "unknown"): 1}, "it came before we looked"

    began = time.time()
    broker.reject("first", "second")
    broker.expire("third")
    assert until(lambda: letters(collector) == 4, 10)
    seen = {("unknown", "unknown"): 1, ("work", "rejected"): 2, ("work", "expired"): 1}
    assert until(lambda: arrivals(collector) == seen, 10), arrivals(collector)
    first = oldest(collector)
    assert first is not None
    assert first < began, "the one from before is the oldest"

    # Whoever takes the oldest away makes the next one the oldest.
    method, _, body = broker.channel.basic_get(DLQ, auto_ack=True)
    assert (body, method.redelivered) == (b"before", False)
    assert until(lambda: letters(collector) == 3, 10)
    second = oldest(collector)
    assert second is not None
    assert int(began) <= second <= time.time(), "RabbitMQ dates deaths in whole seconds"
    assert [body for body, _ in broker.drain()] == ["first", "second", "third"]
    assert until(lambda: letters(collector) == 0, 10)
    assert oldest(collector) is None
    assert arrivals(collector) == seen


def test_a_collector_never_takes_a_dead_letter_in_hand(
    broker: Broker, start_collector: StartCollector
) -> None:
    broker.declare("quorum")
    collector = start_collector(broker.settings())
    assert until(lambda: source_up(collector.url, SOURCE), 10)
    broker.reject("first", "second")
    assert until(lambda: letters(collector) == 2, 10)
    assert until(lambda: ticked(collector) is not None, 10)
    before = ticked(collector) or 0.0
    assert until(lambda: (ticked(collector) or 0.0) - before >= 3, 10)
    assert broker.drain() == [("first", False), ("second", False)]


def test_arrivals_while_no_collector_ran_are_counted_by_the_next_one_once(
    broker: Broker, start_collector: StartCollector, tmp_path: Any
) -> None:
    broker.declare("classic")
    store = {"store": str(tmp_path / "orders.db")}
    first = start_collector(broker.settings(**store))
    assert until(lambda: letters(first) == 0, 10)
    broker.reject("one")
    assert until(lambda: arrivals(first) == {("work", "rejected"): 1}, 10)
    first.stop()

    broker.reject("two")
    # Its management API is away now, and what it told before still holds.
    away = f"http://127.0.0.1:{free_port()}"
    second = start_collector(broker.settings(**store) | {"management": away})
    assert until(lambda: arrivals(second) == {("work", "rejected"): 2}, 10), arrivals(second)
    assert letters(second) == 2
    broker.reject("three")
    assert until(lambda: arrivals(second) == {("work", "rejected"): 3}, 10), arrivals(second)


@pytest.mark.parametrize(
    ("exchange", "password"),
    [("", "guest"), ("dead", "hidden")],
    ids=["default exchange", "management refuses"],
)
def test_without_a_way_to_see_them_arrivals_are_estimated_from_the_depth(
    broker: Broker, start_collector: StartCollector, exchange: str, password: str
) -> None:
    broker.declare("classic", exchange=exchange)
    management = broker.server.management_url.replace(":guest@", f":{password}@")
    collector = start_collector(broker.settings() | {"management": management})
    assert until(lambda: letters(collector) == 0, 10)
    began = time.time()
    broker.reject("one", "two")
    assert until(lambda: letters(collector) == 2, 10)
    assert arrivals(collector) == {("unknown", "unknown"): 2}
    assert began <= (oldest(collector) or 0) <= time.time()
    log = collector.process.log.read_text()
    said = "does not tell the bindings of 'orders.dlq': it answers 401 Unauthorized; arrivals are"
    assert (said in log) == (password == "hidden")
    assert "hidden" not in log
    assert "guest" not in log, "no address with a password in it"


MADE_UP: list[dict[str, Any]] = [
    {"x-death": "yesterday"},
    {"x-death": ["yesterday"]},
    {"x-death": [{"count": 1, "queue": 7, "reason": "x" * 300}]},
    {"x-first-death-queue": "work\x00", "x-first-death-reason": ""},
]


def test_what_a_sender_makes_up_about_a_death_is_an_arrival_like_any_other(
    broker: Broker, start_collector: StartCollector, place: Path | str
) -> None:
    broker.declare("classic")
    collector = start_collector(broker.settings(store=str(place)))
    assert until(lambda: letters(collector) == 0, 10), "it is looked at once it is shadowed"
    for headers in MADE_UP:
        broker.channel.basic_publish("dead", DLQ, b"", pika.BasicProperties(headers=headers))
    assert until(lambda: arrivals(collector) == {("unknown", "unknown"): len(MADE_UP)}, 10)
    assert source_up(collector.url, SOURCE)


def test_arrivals_are_seen_again_in_a_queue_that_was_deleted_with_its_exchange_and_is_back(
    broker: Broker, start_collector: StartCollector
) -> None:
    broker.declare("classic")
    collector = start_collector(broker.settings())
    assert until(lambda: letters(collector) == 0, 10)
    broker.reject("one")
    assert until(lambda: arrivals(collector) == {("work", "rejected"): 1.0}, 10)

    broker.channel.queue_delete("work")
    broker.channel.queue_delete(DLQ)
    broker.channel.exchange_delete("dead")
    assert until(lambda: letters(collector) is None, 10)
    broker.declare("classic")
    assert until(lambda: letters(collector) == 0, 10)
    broker.reject("two")
    assert until(lambda: arrivals(collector) == {("work", "rejected"): 2.0}, 10)

    def is_seen_again() -> bool:
        broker.reject("three")  # what comes before the shadow is back is not seen
        return arrivals(collector)["work", "rejected"] > 2

    broker.channel.queue_delete(f"otelkit.shadow.{DLQ}")
    assert until(is_seen_again, 20)


class _Other(BaseHTTPRequestHandler):
    """Answers 200, and is no management API."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "fine"}')


def test_what_answers_and_is_no_management_api_is_a_sentence() -> None:
    with HTTPServer(("127.0.0.1", 0), _Other) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        for url in (f"http://127.0.0.1:{server.server_port}", "http://a\x7f:1"):
            with pytest.raises(UnavailableError, match="does not tell the bindings of 'q'"):
                Bindings(url, "/").of("q")
        thread.join()
