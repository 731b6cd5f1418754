"""The shop's MES: makes what was ordered. Now and then a machine jams, and an order is late."""

from __future__ import annotations

import logging
import os
import random
import time

import otelkit
from shop.line import MES_QUEUE, Message, Rejected, open_line, work
from shop.steps import version

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/%2F"
MODELS = ("gearbox", "pump", "valve")
JAMS = 0.06
"""Share of orders during which the machine jams."""

log = logging.getLogger("shop.mes")


class Mes:
    def __init__(self, seed: str) -> None:
        self._seed = seed

    def handle(self, message: Message) -> None:
        order = otelkit.current_order()
        if order is None:
            raise Rejected(f"a message without an order: {message}")
        if message["model"] not in MODELS:
            raise Rejected(f"{order.id} asks for a {message['model']}, which nobody can make")
        self._moved(order, "manufacturing")
        self.manufacture(random.Random(f"mes {self._seed} {message['amount']}"))
        self._moved(order, "packed")
        time.sleep(0.2)
        self._moved(order, "shipped")

    @otelkit.observe
    def manufacture(self, luck: random.Random) -> None:
        jammed = luck.random() < JAMS
        time.sleep(luck.uniform(15, 20) if jammed else luck.uniform(0.5, 2.5))

    def _moved(self, order: otelkit.Order, status: str) -> None:
        order.moved_to(status, version=version(status))
        log.info("%s", status)


def main() -> None:
    address = os.environ.get("SHOP_LINE", RABBITMQ)
    otelkit.init(service="mes", events=address, metrics_port=9103)
    line = open_line(address)
    work(line, MES_QUEUE, Mes(os.environ.get("SHOP_SEED", "1")).handle, hands=12)


if __name__ == "__main__":
    main()
