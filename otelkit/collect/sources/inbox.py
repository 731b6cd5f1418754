"""The queue of a collector without shards, where there are shards: what comes is handed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from otelkit import names
from otelkit.collect.sources import broker, rabbitmq
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import Outlet, declare_exchanges, is_marker

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel

NAME: Final = "inbox"
_PREFETCH: Final = 500
_QUIET_SECONDS: Final = 0.5
_UNBIND_SECONDS: Final = 1.0
"""While events come here, somebody may have bound the queue anew."""


class Inbox:
    """Hands events on until ``stopping`` is set.

    There are the events of services that do not tell the slot of an order, and those that were sent
    before there were shards. Every so many seconds a marker is put into the queue: when it comes
    back, all that came there before is handed on, and every shard is told up to when that is.
    """

    def __init__(
        self, url: str, shards: int, sources: Sources, stopping: threading.Event, *, every: float
    ) -> None:
        self._url = url
        self._sources = sources
        self._stopping = stopping
        self._every = every
        self._outlet = Outlet(url, shards)
        self._marker: str | None = None
        """In the queue, since :attr:`_marked`."""
        self._marked = self._unbound = 0.0

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._hand_on, self._down, self._stopping)

    def _down(self, why: str) -> None:
        self._sources.down(NAME, why)

    def _hand_on(self) -> None:
        channel = broker.connect(self._url, "otelkit collector: events of before")
        try:
            declare_exchanges(channel)
            channel.basic_qos(prefetch_count=_PREFETCH)
            self._sources.up(NAME)
            self._marker, self._unbound = None, 0.0
            taken: list[bytes] = []
            for method, properties, body in channel.consume(
                names.ORDERS_QUEUE, inactivity_timeout=_QUIET_SECONDS
            ):
                if self._stopping.is_set():
                    return
                self._mark()
                if method is None:
                    continue
                is_event = not is_marker(properties.type or "")
                taken += [body] * is_event
                if not is_event or not channel.get_waiting_message_count():
                    self._send(taken, channel)
                    taken = []
                    self._came(properties)
                    channel.basic_ack(method.delivery_tag, multiple=True)
        finally:
            self._outlet.close()
            broker.leave(channel)

    def _send(self, bodies: Sequence[bytes], channel: BlockingChannel) -> None:
        if not bodies:
            return
        if time.monotonic() - self._unbound > _UNBIND_SECONDS:
            # The shards have the same events from the exchange itself.
            channel.queue_unbind(names.ORDERS_QUEUE, names.ORDERS_EXCHANGE, "#")
            self._unbound = time.monotonic()
        self._outlet.send(bodies, rabbitmq.NAME)

    def _mark(self) -> None:
        now = time.time()
        if self._marker is None and abs(now - self._marked) >= self._every:
            self._marked = now
            self._marker = self._outlet.mark(names.ORDERS_QUEUE)

    def _came(self, properties: pika.BasicProperties) -> None:
        """Tell of the marker, if it is that; others are of whoever had the queue before."""
        if self._marker is not None and properties.message_id == self._marker:
            self._marker = None
            self._outlet.complete(NAME, self._marked)
