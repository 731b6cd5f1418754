"""RabbitMQ through pika: context and order travel with every message, by one span for each step.

``init`` hooks into pika's classes, so that it covers channels and consumers that exist already;
:func:`instrument` does it for one connection. A *publish* span lasts until the broker has the
message, where the channel is in confirm mode; a *process* span lasts as long as the work on the
message: the callback, the body of a ``consume()`` loop, what :func:`carry` takes to a thread, or a
``with processing(method)`` block. ``basic_get`` is a *get* span, and each ``ack``, ``nack`` or
``reject`` a span of that name.

A process span links to the span that published the message, and is its child where the message is
young: a trace of one step stays whole, and an order that lies in a queue for hours does not become
a trace of hours.
"""

from __future__ import annotations

from otelkit.instrument.pika.hooks import (
    instrument,
    instrument_classes,
    uninstrument,
    uninstrument_classes,
)
from otelkit.instrument.pika.message import YOUNG_SECONDS
from otelkit.instrument.pika.work import carry, processing

__all__ = [
    "YOUNG_SECONDS",
    "carry",
    "instrument",
    "instrument_classes",
    "processing",
    "uninstrument",
    "uninstrument_classes",
]
