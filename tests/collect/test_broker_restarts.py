"""A broker that is stopped, and one that is killed, while services publish to it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from collecting import StartCollector, check_store, moved, of, publish, scrape, source_up
from otelkit import names
from otelkit.collect.sources.exchange import queue_of, shard_of
from otelkit.collect.storage.lease import shard_name
from otelkit.errors import UnavailableError
from otelkit.instrument.destinations import AmqpDestination
from shop.databases import PostgreSQL
from shop.servers import RabbitMQ
from shop.services import Collector
from shop.waiting import until

STEPS = ("submitted", "priced", "manufacturing")


class Sender(threading.Thread):
    """A service that has each event confirmed before the next, and sends what was not again."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.orders = 0
        """Those whose events are all confirmed."""
        self.told_to_end = False
        self._destination = AmqpDestination(url)
        self._began = time.time() - 3600

    def run(self) -> None:
        while not self.told_to_end:
            try:
                self._destination.send(self._events())
            except UnavailableError:
                time.sleep(0.1)
            else:
                self.orders += 1
        self._destination.close()

    def _events(self) -> list[bytes]:
        order_id = f"A-{self.orders}"
        return [moved(order_id, status, self._began + at) for at, status in enumerate(STEPS)]


@pytest.mark.parametrize("end", ["stop", pytest.param("kill", marks=pytest.mark.soak)])
def test_a_broker_that_restarts_while_events_are_published_loses_none_and_doubles_none(
    own_rabbitmq: RabbitMQ, start_collector: StartCollector, tmp_path: Path, end: str
) -> None:
    broker, place = own_rabbitmq, tmp_path / "orders.db"
    settings = {"amqp": broker.amqp_url, "store": str(place), "batch": "50"}
    collector = start_collector(settings)
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)
    if end == "kill":
        # RabbitMQ 3.10 writes down later which queues it made: one of the last minutes has no
        # leader any more, and takes nothing, once it is killed.
        broker.stop()
        broker.start()
        assert until(lambda: source_up(collector.url, "rabbitmq"), 60)
    sender = Sender(broker.amqp_url)
    sender.start()
    try:
        assert until(lambda: sender.orders > 100, 30), "events are on their way"
        getattr(broker, end)()
        assert until(lambda: "RabbitMQ" in why(collector), 20)
        assert not source_up(collector.url, "rabbitmq")
        broker.start()
        assert until(lambda: source_up(collector.url, "rabbitmq"), 60)
        more = sender.orders + 100
        assert until(lambda: sender.orders > more, 30)
    finally:
        sender.told_to_end = True
        sender.join(30)
    events = {"applied": len(STEPS) * sender.orders}
    assert until(lambda: taken(collector) == events, 30), (taken(collector), events)
    assert until(lambda: breaches(collector) == {"breached": 2 * sender.orders}, 10)
    with httpx.Client(base_url=collector.url) as api:
        for number in range(0, sender.orders, 20):
            (order,) = api.get(f"/orders/A-{number}").json()["orders"]
            assert [step["status"] for step in order["timeline"]] == list(STEPS)
    collector.stop()
    check_store(place)


def why(collector: Collector) -> str:
    """What health says of the broker."""
    told = httpx.get(f"{collector.url}/readyz").json()["sources"]["rabbitmq"]
    return str(told.get("why", ""))


def taken(collector: Collector) -> Counter[str]:
    """Events by outcome, but for those that were there before."""
    counted = of(scrape(collector.url), names.ORDER_EVENTS.name, "outcome")
    return +Counter({outcome: n for (outcome,), n in counted.items() if outcome != "duplicate"})


def breaches(collector: Collector) -> Counter[str]:
    counted = of(scrape(collector.url), names.ORDER_CLOCKS.name, "outcome")
    return +Counter({outcome: n for (outcome,), n in counted.items()})


def test_a_shard_that_changes_hands_is_read_also_where_its_broker_takes_nothing(
    own_rabbitmq: RabbitMQ, postgresql: PostgreSQL, start_collector: StartCollector
) -> None:
    """A disk that is full of events has room again only once they are read."""
    url, alarm = own_rabbitmq.amqp_url, "{resource_limit, disk, node()}"
    settings = {"amqp": url, "store": postgresql.database(), "shards": "2", "lease": "2s"}
    first = start_collector(settings)
    assert until(lambda: source_up(first.url, "rabbitmq"), 20)
    first.stop()
    publish(url, [moved("A-1", "submitted", time.time())], queue_of(shard_of("A-1", 2)))
    own_rabbitmq.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}}).")
    second = start_collector(settings)
    assert until(lambda: httpx.get(f"{second.url}/orders/A-1").is_success, 20)
    other = (shard_name(1 - shard_of("A-1", 2)),)
    assert other not in shards_that_tick(second), "nobody knows what else is in its queue"
    own_rabbitmq.eval(f"rabbit_alarm:clear_alarm({alarm}).")
    assert until(lambda: shards_that_tick(second) == {("00",), ("01",)}, 30)


def shards_that_tick(collector: Collector) -> set[tuple[str, ...]]:
    return set(of(scrape(collector.url), names.COLLECTOR_TICK.name, "shard"))
