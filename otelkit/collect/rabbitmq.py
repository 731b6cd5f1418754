"""Order events from RabbitMQ: committed in batches, and acknowledged only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from otelkit import names
from otelkit.collect import broker
from otelkit.collect.batch import Received
from otelkit.collect.engine import Engine
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
        self._horizon: Callable[[float], float | None] = _unknown

    def horizon(self, now: float) -> float | None:
        """Up to when all events are known, in Unix seconds; None while that cannot be told.

        Deadlines past it must not be judged: the event that met one may still be in the queue.
        """
        return self._horizon(now)

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._consume, self._down, self._stopping)

    def _down(self, why: str) -> None:
        self._horizon = _unknown
        self._sources.down(NAME, why)

    def _consume(self) -> None:
        channel = broker.connect(self._url, "otelkit collector: order events")
        try:
            _declare(channel)
            channel.basic_qos(prefetch_count=2 * self._batch)
            self._sources.up(NAME)
            for deliveries, drained in self._batches(channel):
                if deliveries:
                    self._engine.apply([received for _, received in deliveries])
                    channel.basic_ack(deliveries[-1][0], multiple=True)
                    self._horizon = self._newest_event
                if drained and self._horizon is not _now and _is_empty(channel):
                    self._horizon = _now
        finally:
            if channel.connection.is_open:
                channel.connection.close()

    def _batches(self, channel: BlockingChannel) -> Iterator[tuple[list[Delivery], bool]]:
        """Deliveries as they come, and whether no more came for a while."""
        taken: list[Delivery] = []
        began = 0.0
        for method, _, body in channel.consume(
            names.ORDERS_QUEUE, inactivity_timeout=_QUIET_SECONDS
        ):
            if method is not None:
                now = time.time()
                began = began if taken else now
                taken.append((method.delivery_tag, Received(NAME, body, now)))
                if len(taken) < self._batch and now - began < _OLDEST_SECONDS:
                    continue
            yield taken, method is None
            taken = []
            if self._stopping.is_set():
                return

    def _newest_event(self, now: float) -> float | None:
        heard = self._engine.heard
        return None if heard is None else min(heard, now)


def _now(now: float) -> float | None:
    return now


def _unknown(_now: float) -> float | None:
    return None


def _declare(channel: BlockingChannel) -> None:
    """Make what services publish to, so that the order of starting does not matter."""
    channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
    channel.queue_declare(names.ORDERS_QUEUE, durable=True, arguments=names.ORDERS_QUEUE_ARGUMENTS)
    channel.queue_bind(names.ORDERS_QUEUE, names.ORDERS_EXCHANGE, "#")


def _is_empty(channel: BlockingChannel) -> bool:
    """Whether no event waits, neither in the broker nor here: a lull may just be a slow broker."""
    waiting = broker.waiting(channel, names.ORDERS_QUEUE, is_consumed=True)
    # The answer comes behind all deliveries before it, on the same channel.
    return waiting == 0 and not channel.get_waiting_message_count()
