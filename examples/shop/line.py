"""How the three services hand orders to one another.

Over RabbitMQ (``amqp://...``), or through a file where no broker can be had (a path). Either way
a message is kept until it has been handled, and may be handled twice.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from otelkit.errors import UnavailableError

CRM_QUEUE = "crm.orders"
MES_QUEUE = "mes.orders"
DEAD_LETTERS = "orders.dlq"

Message = dict[str, Any]
Handle = Callable[[Message], None]

log = logging.getLogger(__name__)


class Rejected(Exception):  # noqa: N818 - what becomes of the message, no fault of ours
    """A message that nobody will ever be able to handle: off to the dead letters with it."""


class Line(Protocol):
    """Queues between services."""

    def send(self, queue: str, message: Message) -> None:
        """Returns once the message is kept; raises UnavailableError."""

    def serve(self, queue: str, handle: Handle) -> None:
        """Handles messages one after the other, for ever; whatever happens, it comes back."""


def open_line(address: str) -> Line:
    """The line at an ``amqp://`` address, or in the file of that name."""
    if address.startswith("amqp"):
        from shop.rabbit import RabbitLine

        return RabbitLine(address)
    from shop.belt import BeltLine

    return BeltLine(address)


class Outbox:
    """Messages that wait, in memory, for a line that is away: the one who sends does not."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, queue: str, message: Message) -> None:
        context = contextvars.copy_context()  # the order in hand, and its trace, go along
        self._waiting.put(lambda: context.run(self._line.send, queue, message))

    def _run(self) -> None:
        while True:
            self._deliver(self._waiting.get())

    def _deliver(self, send: Callable[[], None]) -> None:
        while True:
            try:
                return send()
            except UnavailableError as error:
                log.warning("%s; trying again", error)
                time.sleep(1)


def work(line: Line, queue: str, handle: Handle, *, hands: int) -> None:
    """Handles the messages of a queue in so many threads until the process is told to end."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    for _ in range(hands):
        threading.Thread(target=line.serve, args=(queue, handle), daemon=True).start()
    while not told:
        time.sleep(0.2)
