"""The shop's MES: makes what was ordered. Now and then a machine jams, and an order is late.

It takes in more orders than it has machines for, and asks the collector which of them is due next.

::

    python -m shop.mes --collector http://127.0.0.1:9465 --work-by deadline
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import time

import otelkit
from shop.line import MES_QUEUE, Message, Rejected, open_line, work
from shop.machines import ByDeadline, Machines, by_arrival
from shop.steps import version

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/%2F"
COLLECTOR = "http://127.0.0.1:9465"
WAYS = ("deadline", "arrival")
MODELS = ("gearbox", "pump", "valve")
JAMS = 0.06
"""Share of orders during which the machine jams."""

log = logging.getLogger("shop.mes")


class Mes:
    """``pace`` is how long everything takes, as a share of what it does in the demo."""

    def __init__(self, seed: str, machines: Machines, pace: float = 1.0) -> None:
        self._seed = seed
        self._machines = machines
        self._pace = pace

    def handle(self, message: Message) -> None:
        order = otelkit.current_order()
        if order is None:
            raise Rejected(f"a message without an order: {message}")
        if message["model"] not in MODELS:
            raise Rejected(f"{order.id} asks for a {message['model']}, which nobody can make")
        self._moved(order, "manufacturing")
        with self._machines.turn(order.id):
            self.manufacture(random.Random(f"mes {self._seed} {message['amount']}"))
        self._moved(order, "packed")
        time.sleep(0.2 * self._pace)
        self._moved(order, "shipped")

    @otelkit.observe
    def manufacture(self, luck: random.Random) -> None:
        jammed = luck.random() < JAMS
        seconds = luck.uniform(15, 20) if jammed else luck.uniform(0.5, 2.5)
        time.sleep(seconds * self._pace)

    def _moved(self, order: otelkit.Order, status: str) -> None:
        order.moved_to(status, version=version(status))
        log.info("%s", status)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes what was ordered.")
    parser.add_argument("--work-by", choices=WAYS, default=WAYS[0], help="which order is next")
    parser.add_argument("--collector", default=COLLECTOR, help="address of its API")
    parser.add_argument("--machines", type=int, default=10)
    parser.add_argument("--hands", type=int, default=16, help="orders taken in at once")
    parser.add_argument("--pace", type=float, default=1.0, help="0.5: twice as fast")
    given = parser.parse_args()
    address = os.environ.get("SHOP_LINE", RABBITMQ)
    otelkit.init(service="mes", events=address, metrics_port=9103)
    choose = by_arrival if given.work_by == "arrival" else ByDeadline(given.collector)
    mes = Mes(os.environ.get("SHOP_SEED", "1"), Machines(given.machines, choose), given.pace)
    work(open_line(address), MES_QUEUE, mes.handle, hands=given.hands)


if __name__ == "__main__":
    main()
