"""How order events reach their collector through RabbitMQ: one queue, or one for each shard.

All events of an order have to come to one shard, for ever. So the order's id gives its *slot*, and
the slot its shard, by arithmetic; senders tell the slot as a second routing key (``CC``), by which
a direct exchange finds the queue. A consistent-hash exchange would not do: it deals its queues out
anew, in another order, when the broker starts again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec
import pika
from pika.exceptions import AMQPError

from otelkit import events, names
from otelkit.collect.clocks.decode import Event
from otelkit.collect.sources import broker
from otelkit.collect.sources.confirming import Confirming
from otelkit.collect.storage.lease import shard_name
from otelkit.errors import UnavailableError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

_ATTEMPTS: Final = 2
"""Of sending: a connection that rested may have been cut meanwhile."""
_MARKER: Final = "otelkit.marker"
_COMPLETE: Final = "otelkit.complete"
NO_EVENTS: Final = frozenset((_MARKER, _COMPLETE))
"""Types of messages that collectors send to each other."""


class WholeInlet(msgspec.Struct, frozen=True, tag=True):
    """The queue that a collector with all orders reads."""

    @property
    def queue(self) -> str:
        return names.ORDERS_QUEUE

    def declare(self, channel: BlockingChannel) -> None:
        """Make what services publish to, so that the order of starting does not matter."""
        channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
        _declare_queue(channel, self.queue)
        channel.queue_bind(self.queue, names.ORDERS_EXCHANGE, "#")

    def is_ours(self, _body: bytes, _event: Event | None) -> bool:
        """Whether what came belongs into the queue, ``event`` being what it says if that is read
        already; what tells of no order does wherever it is."""
        return True


class ShardInlet(msgspec.Struct, frozen=True, tag=True):
    """The same of one of so many shards."""

    shard: int
    shards: int

    @property
    def queue(self) -> str:
        return queue_of(self.shard)

    def declare(self, channel: BlockingChannel) -> None:
        declare_exchanges(channel)
        declare_shard(channel, self.shard, self.shards)

    def is_ours(self, body: bytes, event: Event | None) -> bool:
        order_id = order_id_of(body) if event is None else event.order_id
        return order_id is None or shard_of(order_id, self.shards) == self.shard


Inlet = WholeInlet | ShardInlet


def mark(channel: BlockingChannel, inlet: Inlet, marker: str) -> None:
    """Put a marker into a queue: who gets it has had all that came before, also what another reader
    had in hand."""
    channel.confirm_delivery()
    channel.basic_publish("", inlet.queue, b"", _marked(marker), mandatory=True)


def _marked(marker: str) -> pika.BasicProperties:
    """Of a message that is a marker, by its ``message_id``."""
    return pika.BasicProperties(type=_MARKER, message_id=marker)


def is_marker(type_: str) -> bool:
    """Whether a message of this type is one that :func:`mark` has put there."""
    return type_ == _MARKER


def completed(type_: str, source: str, body: bytes) -> tuple[str, float] | None:
    """What :meth:`Outlet.complete` said, if that is what a message is."""
    if type_ != _COMPLETE:
        return None
    try:
        return source, float(body)
    except ValueError:
        return None


def shard_of(order_id: str, shards: int) -> int:
    """Where all events of an order go."""
    return events.slot_of(order_id) % shards


def queue_of(shard: int) -> str:
    """The queue of a shard."""
    return f"{names.ORDERS_QUEUE}.{shard_name(shard)}"


def declare_exchanges(channel: BlockingChannel) -> None:
    """What tells no slot, or one whose queue is not there yet, goes to the queue without shards."""
    _declare_queue(channel, names.ORDERS_QUEUE)
    channel.exchange_declare(names.UNSORTED_EXCHANGE, "fanout", durable=True)
    channel.queue_bind(names.ORDERS_QUEUE, names.UNSORTED_EXCHANGE)
    channel.exchange_declare(
        names.SHARDS_EXCHANGE,
        "direct",
        durable=True,
        arguments={"alternate-exchange": names.UNSORTED_EXCHANGE},
    )
    channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
    channel.exchange_bind(names.SHARDS_EXCHANGE, names.ORDERS_EXCHANGE, "#")


def declare_shard(channel: BlockingChannel, shard: int, shards: int) -> None:
    """Its queue, and the slots that lead there."""
    _declare_queue(channel, queue_of(shard))
    for slot in range(shard, events.SLOTS, shards):
        channel.queue_bind(queue_of(shard), names.SHARDS_EXCHANGE, events.slot_key(slot))


def _declare_queue(channel: BlockingChannel, queue: str) -> None:
    channel.queue_declare(queue, durable=True, arguments=names.ORDERS_QUEUE_ARGUMENTS)


class _Subject(msgspec.Struct):
    subject: str


_subject: Final = msgspec.json.Decoder(_Subject)


def order_id_of(body: bytes) -> str | None:
    """The order that an event tells of; None for what is no event."""
    try:
        return _subject.decode(body).subject
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


class Outlet:
    """Hands events to the shards that they belong to. Safe for threads; a connection of its own."""

    def __init__(self, url: str, shards: int) -> None:
        self._url = url
        self._shards = shards
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None
        self._confirming: Confirming | None = None

    def send(self, bodies: Sequence[bytes], source: str) -> None:
        """Return once the broker has all for good, else raise :class:`UnavailableError`.

        What is sent once more counts as a duplicate, so a part of them does no harm.
        """
        properties = pika.BasicProperties(
            content_type=events.CONTENT_TYPE,
            delivery_mode=pika.DeliveryMode.Persistent,
            headers={names.HEADER_SOURCE: source},
        )
        # What is no event is quarantined, wherever it comes.
        shards = (shard_of(order_id_of(body) or "", self._shards) for body in bodies)
        self._put(properties, list(zip(map(queue_of, shards), bodies, strict=True)))

    def complete(self, source: str, until: float) -> None:
        """Tell every shard that it has all events of a source up to then, once it reads this.

        They have to be sent before, through this outlet or one that is closed.
        """
        properties = pika.BasicProperties(
            type=_COMPLETE,
            delivery_mode=pika.DeliveryMode.Persistent,
            headers={names.HEADER_SOURCE: source},
        )
        told = repr(until).encode()
        self._put(properties, [(queue_of(shard), told) for shard in range(self._shards)])

    def mark(self, queue: str) -> str:
        """Put a marker into a queue; its ``message_id``, by which whoever reads there knows it."""
        marker = uuid4().hex
        self._put(_marked(marker), [(queue, b"")])
        return marker

    def _put(self, properties: pika.BasicProperties, messages: Sequence[tuple[str, bytes]]) -> None:
        with self._lock:
            for attempt in range(_ATTEMPTS):
                try:
                    self._publish(properties, messages)
                except (AMQPError, OSError) as error:
                    self._close()
                    if attempt == _ATTEMPTS - 1:
                        raise UnavailableError(broker.sentence(error)) from error
                else:
                    return

    def _publish(
        self, properties: pika.BasicProperties, messages: Sequence[tuple[str, bytes]]
    ) -> None:
        if self._confirming is None:
            self._confirming = self._opened()
        self._confirming.publish(properties, messages)

    def _opened(self) -> Confirming:
        channel = self._channel = broker.connect(self._url, "otelkit collector: events for shards")
        declare_exchanges(channel)
        for shard in range(self._shards):
            declare_shard(channel, shard, self._shards)
        return Confirming(channel)

    def _close(self) -> None:
        channel, self._channel, self._confirming = self._channel, None, None
        if channel is not None and channel.connection.is_open:
            with suppress(AMQPError, OSError), broker.bounded(channel):  # it may be gone already
                channel.connection.close()

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            self._close()
