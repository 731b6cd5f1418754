"""More events than the collector can take now: they wait where they are safe, and come again."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from collecting import StartCollector, batch, depth, moved, of, publish, scrape, source_up, value
from otelkit import names
from otelkit.collect.api.requests import MAX_STREAMS
from otelkit.errors import UnavailableError
from otelkit.instrument.destinations import HttpDestination
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.spool import Spool
from shop.waiting import until

NOW = time.time() - 60


@contextmanager
def busy(store: Path) -> Iterator[None]:
    """The store waits for somebody who writes to its file, five seconds at most."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def outcomes(url: str, source: str) -> dict[str, float]:
    counted = of(scrape(url), names.ORDER_EVENTS.name, "source", "outcome")
    return {outcome: n for (told, outcome), n in counted.items() if told == source and n}


def test_posts_beyond_what_may_wait_are_told_to_come_again(
    tmp_path: Path, start_collector: StartCollector
) -> None:
    store = tmp_path / "orders.db"
    collector = start_collector({"store": str(store)})

    def post(number: int) -> httpx.Response:
        return api.post("/events", content=moved(f"A-{number}", "submitted", NOW))

    with (
        httpx.Client(base_url=collector.url, timeout=20) as api,
        ThreadPoolExecutor(40) as senders,
    ):
        api.get("/healthz")
        with busy(store):
            posts = [senders.submit(post, number) for number in range(40)]
            assert until(lambda: sum(p.done() for p in posts) == 40 - 16, 4)
            assert api.get("/healthz").is_success, "it has threads left"
            with (
                closing(HttpDestination(collector.url, None)) as destination,
                pytest.raises(UnavailableError) as refused,
            ):
                destination.send([moved("A-1", "submitted", NOW)])
            assert refused.value.retry_after == 1
        answers = [p.result() for p in posts]
        assert post(100).json()["applied"] == 1, "who has left makes room"
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    told = next(answer for answer in answers if answer.status_code == 429)
    assert told.headers["Retry-After"] == "1"
    assert told.json() == {"error": "more events wait than may; send them again later"}
    scraped = scrape(collector.url)
    assert outcomes(collector.url, "http") == {"applied": 17}
    told_to_wait = sum(answer.status_code == 429 for answer in answers)
    assert value(scraped, names.COLLECTOR_REFUSED.name, status="429") == told_to_wait + 1


def test_scrapes_and_health_wait_for_no_questions_and_nor_do_refusals(
    tmp_path: Path, start_collector: StartCollector
) -> None:
    store = tmp_path / "orders.db"
    collector = start_collector({"store": str(store)})
    scrape(collector.url)

    def ask(_: int) -> httpx.Response:
        return api.get("/orders/A-1")

    limits = httpx.Limits(max_connections=200)
    with (
        httpx.Client(base_url=collector.url, timeout=20, limits=limits) as api,
        ThreadPoolExecutor(61) as clients,
    ):
        with busy(store):
            first = clients.submit(api.post, "/events", content=moved("A-1", "submitted", NOW))
            time.sleep(0.2)
            questions = [clients.submit(ask, number) for number in range(60)]
            time.sleep(0.5)
            for path, status in (("/healthz", 200), ("/metrics", 200), ("/nowhere", 404)):
                assert api.get(path, timeout=2).status_code == status
            assert not any(question.done() for question in questions)
        assert first.result().is_success
        assert all(question.result().is_success for question in questions)


def test_a_body_that_grows_too_large_frees_what_it_held(start_collector: StartCollector) -> None:
    collector = start_collector()
    large = batch([b" " * 9_000_000])
    for _ in range(5):
        assert httpx.post(f"{collector.url}/events", content=large).status_code == 413
    held = batch([moved("A-1", "submitted", NOW), b" " * 7_000_000 + b"1"])
    assert httpx.post(f"{collector.url}/events", content=held).json()["applied"] == 1


class Busy:
    """A destination that has no time at first."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.taken: list[bytes] = []

    def send(self, bodies: Sequence[bytes]) -> None:
        self.asked.append(time.monotonic())
        if len(self.asked) == 1:
            raise UnavailableError("busy", retry_after=2)
        self.taken += bodies

    def idle(self) -> None: ...

    def close(self) -> None: ...

    def forget(self) -> None: ...


def test_a_sender_waits_for_as_long_as_it_is_asked_to(tmp_path: Path) -> None:
    spool, destination = Spool(tmp_path, limit=10, fsync=False), Busy()
    spool.append(b"1")
    publisher = Publisher(spool, destination)
    assert until(lambda: destination.taken == [b"1"], 10)
    assert publisher.stop(5)
    assert len(destination.asked) == 2
    assert 2 <= destination.asked[1] - destination.asked[0] < 4


def test_large_events_are_sent_in_requests_that_the_collector_takes(
    start_collector: StartCollector,
) -> None:
    collector = start_collector()
    event = moved("A-1", "submitted", NOW)
    with closing(HttpDestination(collector.url, None)) as destination:
        destination.send([b"1" * 60_000] * 199 + [event])
    assert outcomes(collector.url, "http") == {"applied": 1, "quarantined": 199}


def test_events_stay_in_the_broker_until_they_are_committed_and_only_a_few_are_taken_ahead(
    vhost: str, tmp_path: Path, start_collector: StartCollector
) -> None:
    store = tmp_path / "orders.db"
    collector = start_collector({"amqp": vhost, "batch": "10", "store": str(store)})
    assert until(lambda: source_up(collector.url, "rabbitmq"), 10)
    with busy(store):
        publish(vhost, (moved(f"A-{n}", "submitted", NOW) for n in range(100)))
        assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 80, 4), "twice the batch"
        collector.process.kill()
        assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 100, 10), "none is acknowledged"
    collector.start()
    assert until(lambda: outcomes(collector.url, "rabbitmq") == {"applied": 100}, 20)
    assert depth(vhost, names.ORDERS_QUEUE) == 0


def test_of_two_collectors_on_a_queue_one_reads_until_it_ends_and_then_the_other(
    vhost: str, start_collector: StartCollector
) -> None:
    first = start_collector({"amqp": vhost})
    assert until(lambda: source_up(first.url, "rabbitmq"), 10)
    second = start_collector({"amqp": vhost})
    assert until(lambda: source_up(second.url, "rabbitmq"), 10)
    publish(vhost, (moved(f"A-{n}", "submitted", NOW) for n in range(20)))
    assert until(lambda: outcomes(first.url, "rabbitmq") == {"applied": 20}, 10)
    assert outcomes(second.url, "rabbitmq") == {}
    first.stop()
    publish(vhost, (moved(f"B-{n}", "submitted", NOW) for n in range(20)))
    assert until(lambda: outcomes(second.url, "rabbitmq") == {"applied": 20}, 10)


def test_streams_that_come_at_once_are_no_more_than_may_be(start_collector: StartCollector) -> None:
    collector = start_collector()
    ask = b"GET /orders HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n"

    def begun(count: int) -> Counter[bytes]:
        with ExitStack() as stack:
            address = ("127.0.0.1", collector.port)
            clients = [
                stack.enter_context(socket.create_connection(address, timeout=10))
                for _ in range(count)
            ]
            for client in clients:
                client.sendall(ask)
            return Counter(client.recv(12)[9:] for client in clients)

    assert begun(80) == {b"200": MAX_STREAMS, b"429": 80 - MAX_STREAMS}
    assert until(lambda: begun(1) == {b"200": 1}, 5), "who has gone makes room"
