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
_MARK_SECONDS: Final = 10.0
"""A marker that is not back by then is followed by another: somebody may have purged the queue."""
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
        self._markers: dict[str, float] = {}
        """In the queue, with when they were put there, the last at :attr:`_marked`."""
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
            self._unbound = 0.0
            self._markers.clear()
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
        pause = max(self._every, _MARK_SECONDS) if self._markers else self._every
        if abs(now - self._marked) >= pause:
            self._marked = now
            self._markers[self._outlet.mark(names.ORDERS_QUEUE)] = now

    def _came(self, properties: pika.BasicProperties) -> None:
        """Tell of a marker, if it is ours; others are of whoever had the queue before."""
        put = self._markers.pop(properties.message_id or "", None)
        if put is not None:
            self._markers = {marker: at for marker, at in self._markers.items() if at > put}
            self._outlet.complete(NAME, put)
