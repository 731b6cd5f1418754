"""Order events from RabbitMQ: committed in batches, and acknowledged only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from otelkit import names
from otelkit.collect.engine.batch import Received
from otelkit.collect.engine.engine import Engine
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import Inlet, Outlet, completed, is_marker
from otelkit.collect.sources.relay import Relayed

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel

NAME: Final = "rabbitmq"
_QUIET_SECONDS: Final = 0.1
"""A batch that is not full is committed after so long without another event."""
_OLDEST_SECONDS: Final = 0.5
"""And after so long in any case."""
_LOOK_SECONDS: Final = 0.25
"""Between two looks whether a queue that seems empty is."""

Delivery = tuple[int, "pika.BasicProperties", bytes, float]
"""A delivery tag, what was delivered, and when."""


class OrderSource:
    """Reads a queue of order events until ``stopping`` is set; reconnects for as long.

    What belongs to another shard is handed to ``outlet``. ``senders`` are sources that events may
    have come through before, and ``relayed`` those that a collector reads for all shards.
    """

    def __init__(
        self,
        url: str,
        inlet: Inlet,
        engine: Engine,
        sources: Sources,
        stopping: threading.Event,
        *,
        batch: int,
        outlet: Outlet | None = None,
        senders: Collection[str] = (),
        relayed: Collection[str] = (),
    ) -> None:
        self._url = url
        self._inlet = inlet
        self._outlet = outlet
        self._senders = frozenset([*senders, *relayed])
        self._relays = frozenset(relayed)
        self._relayed = Relayed(engine, relayed)
        self._engine = engine
        self._sources = sources
        self._stopping = stopping
        self._batch = batch
        self._known_until: float | None = None
        self._marker = ""
        """Put into the queue when we came, and not read yet."""

    def horizon(self, now: float) -> float | None:
        """Up to when all events are known, in Unix seconds; None while that cannot be told.

        Deadlines past it must not be judged: the event that met one may still be in the queue.
        """
        relayed = self._relayed.horizon()
        if self._known_until is None or relayed is None:
            return None
        return min(self._known_until, relayed, now)

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._consume, self._down, self._stopping)

    def _down(self, why: str) -> None:
        self._known_until = None
        self._sources.down(NAME, why)

    def _consume(self) -> None:
        channel = broker.connect(self._url, "otelkit collector: order events")
        try:
            self._inlet.declare(channel)
            channel.basic_qos(prefetch_count=2 * self._batch)
            self._sources.up(NAME)
            self._marker = self._inlet.mark(channel)
            empty: float | None = None
            looked = 0.0
            for deliveries, drained in self._batches(channel):
                if deliveries:
                    self._take(deliveries)
                    channel.basic_ack(deliveries[-1][0], multiple=True)
                    empty = None
                now = time.time()
                if drained and abs(now - looked) > _LOOK_SECONDS:
                    before, looked = empty, now
                    empty = now if self._is_empty(channel) else None
                    # At once it is not believed: what a quorum queue has given out may follow.
                    if before is not None and empty is not None:
                        self._known_until = before
        finally:
            if channel.connection.is_open:
                channel.connection.close()
            if self._outlet is not None:
                self._outlet.close()

    def _batches(self, channel: BlockingChannel) -> Iterator[tuple[list[Delivery], bool]]:
        """Deliveries as they come, and whether no more came for a while."""
        taken: list[Delivery] = []
        began = 0.0
        for method, properties, body in channel.consume(
            self._inlet.queue, inactivity_timeout=_QUIET_SECONDS
        ):
            if method is not None:
                now = time.time()
                if properties.message_id == self._marker:
                    self._marker = ""
                began = began if taken else now
                taken.append((method.delivery_tag, properties, body, now))
                if len(taken) < self._batch and now - began < _OLDEST_SECONDS:
                    continue
            yield taken, method is None
            taken = []
            if self._stopping.is_set():
                return

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Commit events of this queue; others are on their way once this returns."""
        told = [(completed(properties, body)) for _, properties, body, _ in deliveries]
        complete = dict(one for one in told if one is not None)
        ours = self._ours(d for d, one in zip(deliveries, told, strict=True) if one is None)
        # What was read from a table just now says nothing of what waits in a queue.
        direct = [one for one in ours if one.source not in self._relays]
        if direct:
            self._engine.apply(direct)
            self._known_until = self._engine.heard
        if len(direct) < len(ours) or complete:
            relayed = [one for one in ours if one.source in self._relays]
            self._engine.apply(relayed, self._relayed.numbers(complete))
            self._relayed.kept(complete)

    def _ours(self, deliveries: Iterable[Delivery]) -> list[Received]:
        """Those of this queue; others are handed on."""
        ours, strays = [], []
        for _, properties, body, at in deliveries:
            if is_marker(properties):
                continue
            if self._inlet.is_ours(body):
                ours.append(Received(self._sender(properties), body, at))
            else:
                strays.append(body)
        if strays and self._outlet is not None:
            self._outlet.send(strays, NAME)
        return ours

    def _sender(self, properties: pika.BasicProperties) -> str:
        told = (properties.headers or {}).get(names.HEADER_SOURCE)
        return told if isinstance(told, str) and told in self._senders else NAME

    def _is_empty(self, channel: BlockingChannel) -> bool:
        """Whether no event waits, neither in the broker nor here: a lull may just be slow."""
        if self._marker:  # another reader has some in hand, also where it is gone unnoticed
            return False
        for queue in self._inlet.waiting:
            if broker.waiting(channel, queue, is_consumed=True) != 0:
                return False
        # The answers come behind all deliveries before them, on the same channel.
        return not channel.get_waiting_message_count()
