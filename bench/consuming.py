"""Consuming events from a real RabbitMQ: as a bare loop of pika does, and as the collector does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, cast

import pika
import psutil
from pika.adapters.blocking_connection import BlockingChannel

from otelkit import events as order_events
from otelkit import names
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import QUARANTINED, Received, Taken
from otelkit.collect.settings import Settings
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import WholeInlet
from otelkit.collect.sources.rabbitmq import OrderSource
from otelkit.collect.sources.reader import COMMAND

BATCH: Final = Settings().batch
"""Messages that are acknowledged at once; twice as many are under way. The same on both sides."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of processor time and of the clock on the wall, an event."""

    processor: float
    wall: float


def publish(url: str, bodies: Sequence[bytes]) -> None:
    """Put messages into the queue, and return when the broker has them all."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
        channel.queue_declare(
            names.ORDERS_QUEUE, durable=True, arguments=names.ORDERS_QUEUE_ARGUMENTS
        )
        channel.queue_bind(names.ORDERS_QUEUE, names.ORDERS_EXCHANGE, "#")
        for body in bodies:
            _publish(channel, body)
        # What a channel has not handed to a quorum queue yet would be lost with it.
        while (
            channel.queue_declare(names.ORDERS_QUEUE, passive=True).method.message_count
            < len(bodies)
        ):  # fmt: skip
            time.sleep(0.05)


def _publish(channel: BlockingChannel, body: bytes) -> None:
    """As services do, but that they wait for a confirm."""
    event = json.loads(body)
    properties = pika.BasicProperties(
        content_type=order_events.CONTENT_TYPE,
        delivery_mode=pika.DeliveryMode.Persistent,
        headers={"CC": [order_events.slot_key(order_events.slot_of(event["subject"]))]},
    )
    channel.basic_publish(names.ORDERS_EXCHANGE, event["data"]["process"], body, properties)


def consume(url: str, events: int) -> Took:
    """Take so many messages off the queue, with nothing done but their acknowledgement."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=2 * BATCH)
        left, taken = events, list[bytes]()
        processor, wall = time.process_time(), time.perf_counter()
        for method, _, body in channel.consume(names.ORDERS_QUEUE):
            taken.append(body)
            if len(taken) == min(BATCH, left):
                channel.basic_ack(method.delivery_tag, multiple=True)
                left -= len(taken)
                taken = []
            if not left:
                break
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        channel.cancel()
    return Took(processor / events, wall / events)


class _Watched(Sources):
    """Knows when the queue began to be read."""

    began = (0.0, 0.0)

    def up(self, name: str) -> None:  # noqa: ARG002 - there is but one
        self.began = _now()


def _now() -> tuple[float, float]:
    """Seconds of processor time, the reader's too, and of the clock on the wall."""
    ours, wall = time.process_time(), time.perf_counter()
    readers = (one for one in psutil.Process().children() if one.cmdline() == [*COMMAND])
    return ours + sum(sum(one.cpu_times()[:2]) for one in readers), wall


class Collecting:
    """The collector's own source over an engine, which stops after so many events."""

    def __init__(self, url: str, engine: Engine) -> None:
        self._url = url
        self._engine = engine

    def consume(self, events: int) -> Took:
        """Take so many events off the queue, committed before they are acknowledged."""
        self._left, self._stopping, sources = events, threading.Event(), _Watched()
        engine = cast("Engine", self)
        OrderSource(self._url, WholeInlet(), engine, sources, self._stopping, batch=BATCH).run()
        processor, wall = (
            now - began for now, began in zip(self._ended, sources.began, strict=True)
        )
        return Took(processor / events, wall / events)

    def apply(
        self, batch: Sequence[Received], numbers: Mapping[str, float] | None = None
    ) -> list[Taken]:
        taken = self._engine.apply(batch, numbers)
        assert all(one.outcome != QUARANTINED for one in taken)
        self._left -= len(batch)
        if not self._left:
            self._ended = _now()
            self._stopping.set()
        return taken
