"""Consuming events from a real RabbitMQ, with whatever is done before they are acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pika

QUEUE: Final = "bench"
BATCH: Final = 1000
"""Messages that are acknowledged at once; twice as many are under way."""
_PERSISTENT: Final = pika.BasicProperties(delivery_mode=2)


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of processor time and of the clock on the wall, an event."""

    processor: float
    wall: float


def publish(url: str, bodies: Sequence[bytes]) -> None:
    """Put messages into the queue, and return when the broker has them all."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        for body in bodies:
            channel.basic_publish("", QUEUE, body, _PERSISTENT)
        # What a channel has not handed to a quorum queue yet would be lost with it.
        while channel.queue_declare(QUEUE, passive=True).method.message_count < len(bodies):
            time.sleep(0.05)


def consume(url: str, events: int, work: Callable[[list[bytes]], object]) -> Took:
    """Take so many messages off the queue; ``work`` is done on each batch before its ack."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=2 * BATCH)
        left, taken = events, list[bytes]()
        processor, wall = time.process_time(), time.perf_counter()
        for method, _, body in channel.consume(QUEUE):
            taken.append(body)
            if len(taken) == min(BATCH, left):
                work(taken)
                channel.basic_ack(method.delivery_tag, multiple=True)
                left -= len(taken)
                taken = []
            if not left:
                break
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        channel.cancel()
    return Took(processor / events, wall / events)
