"""The process that reads RabbitMQ for a collector: it dies, its collector dies, or sleeps."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import pika
import psutil
import pytest

from collecting import (
    StartCollector,
    check_store,
    depth,
    moved,
    of,
    overdue,
    publish,
    scrape,
    source_up,
)
from otelkit import names
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received, Taken
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import (
    WholeInlet,
    declare_exchanges,
    declare_shard,
    queue_of,
)
from otelkit.collect.sources.inbox import Inbox
from otelkit.collect.sources.rabbitmq import NAME, OrderSource
from otelkit.collect.sources.reader import COMMAND
from shop.servers import RabbitMQ
from shop.services import Collector
from shop.waiting import until

EVENTS = 6000


def reader(collector: Collector) -> psutil.Process:
    """The one that reads for it."""
    (found,) = psutil.Process(collector.process.pid).children()
    return found


def applied(collector: Collector) -> float:
    counted = of(scrape(collector.url), names.ORDER_EVENTS.name, "source", "outcome")
    assert {outcome for (_, outcome), n in counted.items() if n} <= {"applied", "duplicate"}
    return counted[NAME, "applied"]


def breached(collector: Collector) -> float:
    counted = of(scrape(collector.url), names.ORDER_CLOCKS.name, "objective", "outcome")
    return counted["manufacturing-on-time", "breached"]


def connected(vhost: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(vhost))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_reader_that_is_killed_amid_events_is_told_of_and_replaced_and_none_is_lost_or_doubled(
    vhost: str, start_collector: StartCollector, tmp_path: Path
) -> None:
    place = tmp_path / "orders.db"
    collector = start_collector({"amqp": vhost, "batch": "50", "store": str(place)})
    assert until(lambda: source_up(collector.url, NAME), 10)
    start, first = time.time() - 3600, reader(collector)

    def killing() -> Iterator[bytes]:
        for n in range(EVENTS):
            if n == EVENTS // 2:
                first.kill()
            yield moved(f"A-{n}", "manufacturing", start + n / 10)

    publish(vhost, killing())
    told = f"source {NAME} is down: the process that reads RabbitMQ was killed by signal 9"
    assert until(lambda: told in collector.process.log.read_text(), 10)
    assert until(lambda: applied(collector) == EVENTS, 30)
    assert source_up(collector.url, NAME)
    assert depth(vhost, names.ORDERS_QUEUE) == 0
    assert until(lambda: breached(collector) == EVENTS, 10)

    second = reader(collector)
    assert second.pid != first.pid
    collector.process.stop()
    assert not second.is_running(), "it ends with its collector"
    assert "Traceback" not in collector.process.log.read_text()
    check_store(place)


def test_a_reader_ends_with_its_collector_also_where_both_are_caught_amid_work(
    rabbitmq: RabbitMQ, vhost: str, start_collector: StartCollector
) -> None:
    collector = start_collector({"amqp": vhost})
    assert until(lambda: source_up(collector.url, NAME), 10)
    its, server = reader(collector), rabbitmq.process.pid
    assert collector.process.pid is not None
    assert server is not None
    with stopped(server):
        # By its id alone: nobody tells the reader.
        os.kill(collector.process.pid, signal.SIGKILL)
        assert until(lambda: not its.is_running(), 10)


def test_a_collector_that_sleeps_leaves_the_queue_to_another(
    vhost: str, start_collector: StartCollector
) -> None:
    beating = f"{vhost}?heartbeat=1"
    asleep = start_collector({"amqp": beating})
    assert until(lambda: source_up(asleep.url, NAME), 10)
    other = start_collector({"amqp": beating})
    assert until(lambda: source_up(other.url, NAME), 10)
    assert asleep.process.pid is not None
    with stopped(asleep.process.pid):
        publish(vhost, [moved("A-1", "submitted", time.time())])
        assert until(lambda: applied(other) == 1, 10)
    assert until(lambda: "made room for others" in asleep.process.log.read_text(), 10)


# --- the source itself ---------------------------------------------------------------------


class Slow:
    """An engine that takes up to so many seconds for a batch, and remembers what it had."""

    def __init__(self, seconds: float) -> None:
        self.had: list[bytes] = []
        self.may = threading.Event()
        """Go on."""
        self.may.set()
        self._seconds = seconds
        self._luck = random.Random(1)

    def apply(
        self,
        batch: Sequence[Received],
        numbers: Mapping[str, float] | None = None,  # noqa: ARG002 - there are none
    ) -> list[Taken]:
        time.sleep(self._luck.uniform(0, self._seconds))
        self.had += [one.body for one in batch]
        self.may.wait(20)
        return []


@dataclass(frozen=True)
class Read:
    """A queue that is being read."""

    source: OrderSource
    engine: Slow
    stopping: threading.Event
    thread: threading.Thread

    def has_begun(self) -> bool:
        return bool(self.engine.had)

    def stop(self) -> None:
        self.stopping.set()
        self.engine.may.set()
        self.thread.join()


@contextmanager
def reading(vhost: str, seconds: float = 0.5, batch: int = 10) -> Iterator[Read]:
    """By an engine that takes up to so many seconds for a batch."""
    engine, stopping = Slow(seconds), threading.Event()
    source = OrderSource(
        vhost, WholeInlet(), cast("Engine", engine), Sources(), stopping, batch=batch
    )
    found = Read(source, engine, stopping, threading.Thread(target=source.run))
    found.thread.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def read(vhost: str) -> Iterator[Read]:
    with reading(vhost) as found:
        assert until(lambda: found.source.horizon(time.time()), 10), "the queue is empty"
        yield found


def test_deadlines_are_never_judged_beyond_an_event_that_is_still_on_its_way(
    vhost: str, read: Read
) -> None:
    luck, sent = random.Random(2), list[tuple[float, bytes]]()

    def check() -> float:
        horizon = read.source.horizon(time.time()) or 0.0
        passed = [body for at, body in sent if at <= horizon]
        assert set(read.engine.had).issuperset(passed)
        return horizon

    with closing(connected(vhost)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(25):
            body = moved(f"A-{number}", "submitted", time.time())
            channel.basic_publish("", names.ORDERS_QUEUE, body)
            sent.append((time.time(), body))  # by now it is in the queue
            until(lambda: not check(), luck.choice((0, 0, 0.1, 0.7)), interval=0.002)
    assert until(lambda: check() > sent[-1][0], 10)


def test_a_sender_whose_clock_is_ahead_lets_no_deadline_be_judged_amid_a_backlog(
    vhost: str,
) -> None:
    now = time.time()
    with closing(connected(vhost)) as connection:
        WholeInlet().declare(connection.channel())
    ahead = {n: 80_000 if n % 10 == 5 else 0 for n in range(40)}
    bodies = [moved(f"A-{n}", "submitted", now - 3600 + n + by) for n, by in ahead.items()]
    publish(vhost, bodies)
    with reading(vhost) as read:

        def check() -> float:
            horizon = read.source.horizon(time.time()) or 0.0
            assert horizon < now - 3500 or set(read.engine.had).issuperset(bodies)
            return horizon

        assert until(lambda: check() > now, 15, interval=0.002)


def test_what_a_reader_has_ahead_when_it_is_stopped_stays_first_in_its_queue(
    vhost: str, read: Read
) -> None:
    now, large = time.time(), "x" * 60_000  # more of it than a pipe holds
    bodies = [moved(f"A-{n}", "submitted", now, partner=large) for n in range(60)]
    read.engine.may.clear()
    publish(vhost, bodies[:1])
    assert until(lambda: read.engine.had, 10)
    publish(vhost, bodies[1:])
    assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 40, 10)
    read.stop()
    with closing(connected(vhost)) as connection:
        channel = connection.channel()
        assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 59, 10), "one was committed"
        given = channel.consume(names.ORDERS_QUEUE, auto_ack=True, inactivity_timeout=5)
        left = [body for _, (_, _, body) in zip(bodies[1:], given, strict=False)]
    assert left == bodies[1:]


def test_collectors_that_take_turns_amid_a_backlog_have_its_events_in_their_order(
    vhost: str,
) -> None:
    bodies = [moved(f"A-{n}", "submitted", time.time()) for n in range(10_000)]
    with closing(connected(vhost)) as connection:
        WholeInlet().declare(connection.channel())
    publish(vhost, bodies)
    luck, had = random.Random(3), list[bytes]()
    for _ in range(5):
        with reading(vhost, seconds=0.005, batch=100) as read:
            assert until(read.has_begun, 10, interval=0.002)
            time.sleep(luck.uniform(0, 0.05))
        had += read.engine.had
    assert len(had) < len(bodies), "a backlog to the end"
    assert had == bodies[: len(had)]


def test_what_another_reader_has_in_hand_lets_no_deadline_be_judged(vhost: str, read: Read) -> None:
    read.engine.may.clear()
    publish(vhost, [moved("A-1", "submitted", time.time())])
    assert until(read.has_begun, 10)
    (its,) = (p for p in psutil.Process().children() if COMMAND[-1] in p.cmdline())
    with stopped(its.pid), reading(vhost) as other:  # as where its machine has lost its network
        assert not until(lambda: other.source.horizon(time.time()), 2)
        os.kill(its.pid, signal.SIGKILL)
        assert until(lambda: other.source.horizon(time.time()), 10)
        assert other.has_begun(), "it was told before"


def test_a_broker_that_lets_the_collector_read_and_not_publish_is_told_of(
    rabbitmq: RabbitMQ, vhost: str, start_collector: StartCollector
) -> None:
    name = vhost.rpartition("/")[2]

    def allow(own: str) -> None:
        rights = {"configure": own, "write": own, "read": ".*"}
        management.put(f"/permissions/{name}/{name}", json=rights).raise_for_status()

    with httpx.Client(base_url=f"{rabbitmq.management_url}/api") as management:
        user = management.put(f"/users/{name}", json={"password": "pw", "tags": ""})
        user.raise_for_status()
        allow(r"^otelkit\.")
        collector = start_collector({"amqp": vhost.replace("guest:guest", f"{name}:pw")})
        refused = "source rabbitmq is down: RabbitMQ refuses: ACCESS_REFUSED"
        assert until(lambda: refused in collector.process.log.read_text(), 10)
        allow(r"^(otelkit\.|amq\.default$)")
        publish(vhost, [moved("A-1", "submitted", time.time() - 7 * 86_400)])
        assert until(lambda: overdue(collector.url), 15), "its queue is known to be empty"


def test_events_are_kept_however_often_they_are_given_out(rabbitmq: RabbitMQ, vhost: str) -> None:
    with closing(connected(vhost)) as connection:
        WholeInlet().declare(connection.channel())
    publish(vhost, [moved("A-1", "submitted", time.time())])
    for _ in range(25):
        connection = connected(vhost)
        next(connection.channel().consume(names.ORDERS_QUEUE))
        broker.leave(connection.channel())
    assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 1, 10)
    where = f"{vhost.rpartition('/')[2]}/{names.ORDERS_QUEUE}"
    told = httpx.get(f"{rabbitmq.management_url}/api/queues/{where}").json()
    assert told["arguments"]["x-delivery-limit"] > 10**6, "RabbitMQ 4 would keep to 20"


def test_a_queue_that_is_purged_of_a_marker_is_known_to_be_empty_later(
    vhost: str, read: Read
) -> None:
    read.engine.may.clear()
    publish(vhost, [moved(f"A-{n}", "submitted", time.time()) for n in range(20)])
    assert until(read.has_begun, 10)
    with reading(vhost) as other, closing(connected(vhost)) as connection:
        assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 1, 10), "its marker"
        connection.channel().queue_purge(names.ORDERS_QUEUE)
        read.stop()
        purged = time.time()
        assert until(lambda: (other.source.horizon(time.time()) or 0.0) > purged, 20)


def test_a_marker_that_is_purged_from_the_inbox_is_followed_by_another(vhost: str) -> None:
    stopping = threading.Event()
    thread = threading.Thread(target=Inbox(vhost, 1, Sources(), stopping, every=0.5).run)
    with closing(connected(vhost)) as connection:
        channel = connection.channel()
        declare_exchanges(channel)
        declare_shard(channel, 0, 1)
        busy = connected(vhost).channel()
        busy.basic_qos(prefetch_count=1)
        busy.basic_consume(names.ORDERS_QUEUE, lambda *_: None)
        publish(vhost, [moved("A-1", "submitted", time.time())])
        thread.start()
        try:
            assert until(lambda: depth(vhost, names.ORDERS_QUEUE) == 1, 10), "its marker"
            channel.queue_purge(names.ORDERS_QUEUE)
            broker.leave(busy)
            told = channel.consume(queue_of(0), auto_ack=True, inactivity_timeout=20)
            assert all(next(told)[2] for _ in range(2)), "an event, and when there was no other"
        finally:
            stopping.set()
            thread.join()
