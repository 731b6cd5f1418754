"""Order events from RabbitMQ: committed in batches, and acknowledged only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from otelkit import names
from otelkit.collect import broker
from otelkit.collect.engine import Engine, Received
from otelkit.collect.sources import Sources

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

NAME: Final = "rabbitmq"
_QUIET_SECONDS: Final = 0.1
"""A batch that is not full is committed after so long without another event."""
_OLDEST_SECONDS: Final = 0.5
"""And after so long in any case."""

Delivery = tuple[int, Received]
"""A delivery tag and what was delivered."""


class OrderSource:
    """Reads the queue of order events until ``stopping`` is set; reconnects for as long."""

    def __init__(
        self, url: str, engine: Engine, sources: Sources, stopping: threading.Event, *, batch: int
    ) -> None:
        self._url = url
        self._engine = engine
        self._sources = sources
        self._stopping = stopping
        self._batch = batch

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._consume, lambda why: self._sources.down(NAME, why), self._stopping)

    def _consume(self) -> None:
        channel = broker.connect(self._url, "otelkit collector: order events")
        try:
            _declare(channel)
            channel.basic_qos(prefetch_count=2 * self._batch)
            self._sources.up(NAME)
            for deliveries in self._batches(channel):
                self._engine.apply([received for _, received in deliveries])
                channel.basic_ack(deliveries[-1][0], multiple=True)
        finally:
            if channel.connection.is_open:
                channel.connection.close()

    def _batches(self, channel: BlockingChannel) -> Iterator[list[Delivery]]:
        """Deliveries as they come; the broker keeps what is not acknowledged."""
        waiting: list[Delivery] = []
        began = 0.0
        for method, _, body in channel.consume(
            names.ORDERS_QUEUE, inactivity_timeout=_QUIET_SECONDS
        ):
            if method is not None:
                now = time.time()
                began = began if waiting else now
                waiting.append((method.delivery_tag, Received(NAME, body, now)))
                if len(waiting) < self._batch and now - began < _OLDEST_SECONDS:
                    continue
            if waiting:
                yield waiting
                waiting = []
            if self._stopping.is_set():
                return


def _declare(channel: BlockingChannel) -> None:
    """Make what services publish to, so that the order of starting does not matter."""
    channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
    channel.queue_declare(names.ORDERS_QUEUE, durable=True, arguments=names.ORDERS_QUEUE_ARGUMENTS)
    channel.queue_bind(names.ORDERS_QUEUE, names.ORDERS_EXCHANGE, "#")
