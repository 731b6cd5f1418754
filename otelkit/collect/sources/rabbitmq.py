"""Order events from RabbitMQ: committed in batches, and acknowledged only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from statistics import median_low
from typing import Final

from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import Inlet, Outlet, completed
from otelkit.collect.sources.reader import Reader
from otelkit.collect.sources.reading import Batch, Begin, Delivery, Looked, Up
from otelkit.collect.sources.relay import Relayed

NAME: Final = "rabbitmq"


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
        self._answered = 0.0
        """When the reader's last message was."""
        self._seemed_empty: float | None = None
        """When nothing waited, if it said so last."""

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
        self._answered, self._seemed_empty = time.time(), None
        try:
            with closing(Reader(Begin(self._url, self._inlet, self._batch))) as reader:
                for message in reader.messages(self._stopping):
                    self._take(message)
                    self._answered = time.time()
                    reader.answer(message.tag)
        finally:
            if self._outlet is not None:
                self._outlet.close()

    def _take(self, message: Up | Batch | Looked) -> None:
        before, self._seemed_empty = self._seemed_empty, None
        match message:
            case Up():
                self._sources.up(NAME)
            case Batch(_, deliveries):
                self._commit(deliveries)
            case Looked(is_empty=True):
                # It looked after our last answer. At once it is not believed: what a quorum queue
                # has given out may follow.
                self._seemed_empty = self._answered
                self._known_until = self._known_until if before is None else before

    def _commit(self, deliveries: Sequence[Delivery]) -> None:
        """Take in events of this queue; others are on their way once this returns."""
        told = [completed(one.type, one.source, one.body) for one in deliveries if one.type]
        complete = dict(filter(None, told))
        ours = self._ours([one for one in deliveries if not one.type])
        # What was read from a table just now says nothing of what waits in a queue.
        relayed = [one for one in ours if one.source in self._relays] if self._relays else []
        direct = [one for one in ours if one.source not in self._relays] if relayed else ours
        if direct:
            self._engine.apply(direct)
            self._known_until = _middle(direct) or self._known_until
        if relayed or complete:
            self._engine.apply(relayed, self._relayed.numbers(complete))
            self._relayed.kept(complete)

    def _ours(self, deliveries: Iterable[Delivery]) -> list[Received]:
        """Those of this queue; others are handed on."""
        ours, strays, now = [], [], time.time()
        for delivery in deliveries:
            body, event = delivery.body, delivery.event
            if self._inlet.is_ours(body, event):
                source = delivery.source if delivery.source in self._senders else NAME
                ours.append(Received(source, body, now, event))
            else:
                strays.append(body)
        if strays and self._outlet is not None:
            self._outlet.send(strays, NAME)
        return ours


def _middle(batch: Iterable[Received]) -> float | None:
    """When the events of a batch happened, about: a sender whose clock is wrong, or who tells of
    long ago, has no say."""
    times = [one.event.at for one in batch if one.event is not None]
    return median_low(times) if times else None
