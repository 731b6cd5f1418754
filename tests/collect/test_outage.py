"""RabbitMQ goes away for ten seconds while the shop works."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx

from collecting import source_up
from shop.servers import RabbitMQ
from shop.services import Collector, Shop
from shop.steps import STEPS
from shop.waiting import until

ORDERS = 60
Told = Counter[tuple[str, str, str]]
"""Events by order, service and status."""


def test_an_outage_of_the_broker_loses_no_order_event(
    own_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    broker = own_rabbitmq
    settings = {"amqp": broker.amqp_url, "management": broker.management_url}
    collector = Collector(tmp_path / "collector", settings)
    folder = tmp_path / "shop"
    shop = Shop(folder, broker.amqp_url, broker.amqp_url)
    try:
        collector.start()
        shop.start()
        shop.open(rate=4, count=ORDERS)
        assert until(lambda: len(told(collector, folder)) > 20, 30), "orders are on their way"

        broker.stop()
        assert until(lambda: not source_up(collector.url, "rabbitmq"), 20)
        assert until(lambda: not source_up(collector.url, "dlq:orders.dlq"), 20)
        assert until(lambda: source_up(collector.url, "rabbitmq"), 10, interval=0.5) is None
        assert shop.has_customers or len(accepted(shop, folder)) == ORDERS
        broker.start()

        assert until(lambda: source_up(collector.url, "rabbitmq"), 60)
        assert until(lambda: source_up(collector.url, "dlq:orders.dlq"), 60)
        assert until(lambda: not shop.has_customers and is_done(shop, folder), 90)
        assert until(lambda: told(collector, folder) == said(folder), 40, interval=0.5)
        assert {order for order, _, _ in told(collector, folder)} == accepted(shop, folder)
    finally:
        shop.stop()
        collector.stop()


def ids(folder: Path) -> list[str]:
    """All that the API may have given: it counts on from its first."""
    first = min((order for order, _, _ in said(folder)), default="-")
    return [f"{first.rpartition('-')[0]}-{number}" for number in range(1, ORDERS + 1)]


def accepted(shop: Shop, folder: Path) -> set[str]:
    """The orders of which the API says that it has them."""
    with httpx.Client(base_url=shop.url) as api:
        return {order for order in ids(folder) if api.get(f"/orders/{order}").status_code == 200}


def told(collector: Collector, folder: Path) -> Told:
    """The timelines of all orders, as the collector knows them."""
    with httpx.Client(base_url=collector.url) as api:
        answers = [api.get(f"/orders/{order}").json() for order in ids(folder)]
    return Counter(
        (order["id"], step["source"], step["status"])
        for answer in answers
        for order in answer.get("orders", ())
        for step in order["timeline"]
    )


def said(folder: Path) -> Told:
    """What the services wrote in their logs right after they had said it."""
    return Counter(
        (line["order_id"], line["service"], line["message"])
        for line in lines(folder)
        if line["message"] in STEPS
    )


def is_done(shop: Shop, folder: Path) -> bool:
    """Whether each order has come to its end: shipped, cancelled, or refused by the MES."""
    ended = {order for order, _, status in said(folder) if status in STEPS[-2:]}
    refused = {
        line["order_id"] for line in lines(folder) if str(line["message"]).startswith("rejected")
    }
    return accepted(shop, folder) <= ended | refused


def lines(folder: Path) -> Iterator[dict[str, str]]:
    for log in folder.glob("*.log"):
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)
