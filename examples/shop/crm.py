"""The shop's CRM: prices orders, has the large ones approved, and hands them to the MES."""

from __future__ import annotations

import logging
import os
import random
import time

import otelkit
from shop.line import CRM_QUEUE, MES_QUEUE, Line, Message, open_line, work
from shop.steps import version

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/%2F"
NEEDS_APPROVAL = 5_000

log = logging.getLogger("shop.crm")


class Crm:
    """``luck`` decides, by what is ordered, how long things take and who has to be asked."""

    def __init__(self, line: Line, seed: str) -> None:
        self._line = line
        self._seed = seed

    def handle(self, message: Message) -> None:
        order = otelkit.current_order()
        if order is None:
            raise ValueError(f"a message without an order: {message}")
        luck = random.Random(f"crm {self._seed} {message['amount']}")
        self.price(luck)
        self._moved(order, "priced")
        if luck.random() < 0.08:
            self._moved(order, "waiting_for_customer")
            time.sleep(luck.uniform(1, 3))
            if luck.random() < 0.3:
                self._moved(order, "cancelled")
                return
        if message["amount"] >= NEEDS_APPROVAL:
            time.sleep(luck.uniform(0.2, 0.5))
            self._moved(order, "approved")
        self._line.send(MES_QUEUE, message)

    @otelkit.observe
    def price(self, luck: random.Random) -> None:
        time.sleep(luck.uniform(0.1, 0.4))

    def _moved(self, order: otelkit.Order, status: str) -> None:
        order.moved_to(status, version=version(status))
        log.info("%s", status)


def main() -> None:
    address = os.environ.get("SHOP_LINE", RABBITMQ)
    otelkit.init(service="crm", events=address, metrics_port=9102)
    line = open_line(address)
    work(line, CRM_QUEUE, Crm(line, os.environ.get("SHOP_SEED", "1")).handle, hands=4)


if __name__ == "__main__":
    main()
