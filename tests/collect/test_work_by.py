"""An MES that works off the collector's list, beside one that takes orders as they come."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pika
import pytest

from collecting import StartCollector, of, scrape, source_up
from otelkit import names
from shop.line import MES_QUEUE, Message
from shop.load import orders
from shop.machines import AWAY_SECONDS, ByDeadline
from shop.mes import MODELS, WAYS
from shop.processes import Process
from shop.servers import HOST, RabbitMQ, answers, free_port
from shop.services import EXAMPLES, Collector
from shop.waiting import until

SEED = "24"
ORDERS = 96
RATE = 13.8
"""Orders a second, where five machines make 8.1 of them at this pace."""
MACHINES, PACE, HANDS = 5, 0.25, 64
MAKING = "manufacturing-on-time"


@dataclass(frozen=True)
class Plant:
    """An MES with a collector and a broker's vhost of its own."""

    url: str
    collector: Collector
    mes: Process


@pytest.fixture
def plants(
    rabbitmq: RabbitMQ, start_collector: StartCollector, tmp_path: Path
) -> Iterator[dict[str, Plant]]:
    """One for each way to choose the next order."""
    with ExitStack() as stack:
        found = {}
        for way in WAYS:
            url = rabbitmq.vhost(f"{way}-{uuid4().hex[:8]}")
            collector = start_collector({"amqp": url})
            command = [sys.executable, "-m", "shop.mes", "--work-by", way, "--machines",
                       str(MACHINES), "--hands", str(HANDS), "--pace", str(PACE),
                       "--collector", collector.url]  # fmt: skip
            port = free_port()
            env = {
                "SHOP_LINE": url, "SHOP_SEED": SEED, "OTELKIT_EVENTS": url,
                "OTELKIT_METRICS_PORT": str(port), "OTELKIT_SPOOL": str(tmp_path / f"{way}.spool"),
                "PYTHONPATH": str(EXAMPLES),
            }  # fmt: skip
            mes = Process(way, command, tmp_path / f"{way}.log", env=env)
            stack.callback(mes.kill)
            mes.start()
            found[way] = Plant(url, collector, mes)
            assert until(lambda: answers(f"http://{HOST}:{port}/metrics"), 30)  # noqa: B023
        yield found


def test_fewer_orders_are_late_where_the_mes_works_off_the_collectors_list(
    plants: dict[str, Plant],
) -> None:
    for plant in plants.values():
        assert until(lambda: source_up(plant.collector.url, "rabbitmq"), 20)  # noqa: B023
    place_orders(plants)
    for plant in plants.values():
        assert until(lambda: made(plant) == ORDERS, 60)  # noqa: B023
    late = {way: clocks(plant)["breached"] for way, plant in plants.items()}
    assert late["arrival"] >= 10, "there was too much to do for a while"
    assert late["deadline"] <= late["arrival"] / 2, late
    for plant in plants.values():
        assert "does not say what is due" not in plant.mes.log.read_text()


def place_orders(plants: dict[str, Plant]) -> None:
    """The same orders to each, at the same time, each after its share of a second."""
    with ExitStack() as stack:
        channels = []
        for plant in plants.values():
            parameters = pika.URLParameters(plant.url)
            connection = stack.enter_context(closing(pika.BlockingConnection(parameters)))
            channels.append(connection.channel())
        wanted = (order for order in orders(SEED) if order["model"] in MODELS)
        start = time.monotonic()
        for number, order in zip(range(ORDERS), wanted, strict=False):
            time.sleep(max(start + number / RATE - time.monotonic(), 0))
            body = json.dumps({"id": f"A-{number}", **order}).encode()
            properties = pika.BasicProperties(headers=headers(f"A-{number}", order))
            for channel in channels:
                channel.basic_publish("", MES_QUEUE, body, properties)


def headers(order_id: str, order: Message) -> dict[str, str]:
    """The order in hand, as the CRM's messages carry it."""
    values = (order_id, "order", order["tier"], order["partner"])
    return {n: v for n, v in zip(names.ORDER_HEADERS, values, strict=True) if v is not None}


def clocks(plant: Plant) -> dict[str, float]:
    """Clocks on making, by outcome."""
    counted = of(scrape(plant.collector.url), names.ORDER_CLOCKS.name, "objective", "outcome")
    return {outcome: n for (objective, outcome), n in counted.items() if objective == MAKING}


def made(plant: Plant) -> float:
    """Orders that have been made, late or not."""
    open_ = of(scrape(plant.collector.url), names.ORDERS_OPEN.name, "process")[("order",)]
    return sum(clocks(plant).values()) - open_


def test_without_a_collector_orders_are_taken_as_they_come(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = ByDeadline(f"http://{HOST}:{free_port()}")
    assert choose(["A-2", "A-1"]) == "A-2"
    assert choose(["A-1", "A-2"]) == "A-1"
    assert caplog.text.count("the collector does not say what is due: ") == 1, "asked once"
    now = time.monotonic() + AWAY_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: now)
    choose(["A-1", "A-2"])
    assert caplog.text.count("working by arrival") == 2, "and then again"
