"""The queue of a collector without shards, where there are shards: what comes is handed on."""

from __future__ import annotations

import threading
import time
from typing import Final

from otelkit import names
from otelkit.collect.sources import broker, rabbitmq
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import Outlet, declare_exchanges

NAME: Final = "inbox"
_PREFETCH: Final = 500
_QUIET_SECONDS: Final = 0.5
_UNBIND_SECONDS: Final = 1.0
"""While events come here, somebody may have bound the queue anew."""


class Inbox:
    """Hands events on until ``stopping`` is set.

    There are the events of services that do not tell the slot of an order, and those that were sent
    before there were shards.
    """

    def __init__(self, url: str, shards: int, sources: Sources, stopping: threading.Event) -> None:
        self._url = url
        self._sources = sources
        self._stopping = stopping
        self._outlet = Outlet(url, shards)

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
            unbound = 0.0
            for method, _, body in channel.consume(
                names.ORDERS_QUEUE, inactivity_timeout=_QUIET_SECONDS
            ):
                if self._stopping.is_set():
                    return
                if method is None:
                    continue
                if time.monotonic() - unbound > _UNBIND_SECONDS:
                    # The shards have the same events from the exchange itself.
                    channel.queue_unbind(names.ORDERS_QUEUE, names.ORDERS_EXCHANGE, "#")
                    unbound = time.monotonic()
                self._outlet.send([body], rabbitmq.NAME)
                channel.basic_ack(method.delivery_tag)
        finally:
            self._outlet.close()
            if channel.connection.is_open:
                channel.connection.close()
