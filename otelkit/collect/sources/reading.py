"""The process that reads a queue for a collector, whose engine works on one batch meanwhile.

::

    python -m otelkit.collect.sources.reading

Its standard input is a socket, over which its collector sends a :class:`Begin`. It sends what it
reads, and each of these messages is answered by the tag that may be acknowledged then. It lives as
long as one connection to the broker, and no longer than its collector.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec
import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from otelkit import names
from otelkit.collect.clocks.decode import Event, decode
from otelkit.collect.sources import broker
from otelkit.collect.sources.exchange import NO_EVENTS, Inlet, mark
from otelkit.errors import EventError, OtelkitError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

_QUIET_SECONDS: Final = 0.1
"""A batch that is not full is sent after so long without another event."""
_OLDEST_SECONDS: Final = 0.5
"""And after so long in any case."""
_ENOUGH: Final = 500
"""So many events are sent as they are where the collector would else be idle."""
_LOOK_SECONDS: Final = 0.25
"""Between two looks whether a queue that seems empty is."""
_HEARTBEAT: Final = 60
"""Seconds, where the address of the broker tells no other: RabbitMQ's own."""
_LISTEN_SECONDS: Final = 1.0
"""How often it is seen whether the collector answers, and what is left to end in."""
_MARK_SECONDS: Final = 10.0
"""A marker that is not back by then is put once more: somebody may have purged the queue."""
FORGOTTEN: Final = 3
"""The exit code of one that the collector did not answer any more."""


# --- what they say -------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, array_like=True):
    """What to read, and how many events at once."""

    url: str
    inlet: Inlet
    batch: int


class Delivery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message as it came; ``source`` is the one that it says it came through before.

    Its ``type`` is empty where it is an event, and ``event`` what it says, if that can be read.
    """

    type: str
    source: str
    body: bytes
    event: Event | None = None


class Up(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Events are read from now on."""

    tag: int = 0


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """``tag`` acknowledges all of it, and all before."""

    tag: int
    deliveries: list[Delivery]


class Looked(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Whether no event waited. The look began after every answer to what came before."""

    is_empty: bool
    tag: int = 0


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The last message, a sentence."""

    why: str


Message = Up | Batch | Looked | Failed

to_message: Final = msgspec.msgpack.Decoder(Message)
to_begin: Final = msgspec.msgpack.Decoder(Begin)
to_tag: Final = msgspec.msgpack.Decoder(int)
encode: Final = msgspec.msgpack.Encoder().encode


# --- what the process does -----------------------------------------------------------------


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it ends after its collector, which gets them, too
    link = Connection(0)
    with suppress(EOFError, OSError):  # the collector has ended: nobody to tell
        Reading(link, to_begin.decode(link.recv_bytes())).run()


class Reading:
    """A connection to the broker. pika in the main thread, the collector's answers in another."""

    def __init__(self, link: Connection, begin: Begin) -> None:
        self._link = link
        self._begin = begin
        self._enough = min(_ENOUGH, begin.batch)
        self._channel: BlockingChannel | None = None
        self._marker = uuid4().hex
        """Put into the queue when we came, and not read yet."""
        self._refusal: ChannelClosedByBroker | None = None
        """To take the marker, which no later attempt would change."""
        self._sent = self._answered = 0
        """Messages."""
        self._waits_since = time.monotonic()
        beat = pika.URLParameters(begin.url).heartbeat
        self._patience = 2 * (_HEARTBEAT if beat is None else beat)
        self._committed = self._acknowledged = 0
        """Delivery tags."""
        self._over = threading.Event()
        """The collector has hung up, and all its answers are heard."""

    def run(self) -> None:
        """Read until the connection fails, which is told, or the collector hangs up."""
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._read()
        except (AMQPError, OSError, OtelkitError) as error:
            self._link.send_bytes(encode(Failed(broker.told(error))))

    def _read(self) -> None:
        inlet = self._begin.inlet
        channel = broker.connect(self._begin.url, "otelkit collector: order events")
        try:
            inlet.declare(channel)
            channel.basic_qos(prefetch_count=2 * self._begin.batch)
            self._channel = channel
            self._send(Up())
            threading.Thread(target=self._mark, daemon=True).start()
            looked = 0.0
            for tag, deliveries in self._batches(channel):
                if deliveries:
                    self._send(Batch(tag, deliveries))
                elif self._sent == self._answered and time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    self._send(Looked(self._is_empty(channel)))
                if self._refusal is not None:
                    raise self._refusal
                if self._over.is_set():
                    return
        finally:
            self._leave(channel)

    def _mark(self) -> None:
        """The body of a thread: a broker that is short of memory or disk takes nothing from whoever
        publishes, no acknowledgement either, and what is read makes room."""
        while (marker := self._marker) and not self._over.is_set():
            seconds = _MARK_SECONDS
            try:
                channel = broker.connect(self._begin.url, "otelkit collector: markers")
                with broker.bounded(channel):
                    mark(channel, self._begin.inlet, marker)
                    channel.connection.close()
            except ChannelClosedByBroker as error:
                self._refusal = error
                return
            except (AMQPError, OSError, OtelkitError):
                seconds = _LISTEN_SECONDS
            self._over.wait(seconds)

    def _batches(self, channel: BlockingChannel) -> Iterator[tuple[int, list[Delivery]]]:
        """Deliveries as they come, and the tag of the last; none where none came for a while."""
        taken: list[Delivery] = []
        tag, began = 0, 0.0
        for method, properties, body in channel.consume(
            self._begin.inlet.queue, inactivity_timeout=_QUIET_SECONDS
        ):
            if method is not None:
                now = time.monotonic()
                if properties.message_id == self._marker:
                    self._marker = ""
                began = began if taken else now
                tag = method.delivery_tag
                taken.append(_delivery(properties, body))
                enough = self._enough if self._sent == self._answered else self._begin.batch
                if len(taken) < enough and now - began < _OLDEST_SECONDS:
                    continue
            yield tag, taken
            taken = []
        raise OtelkitError("RabbitMQ has closed the queue, as when it is deleted; trying again")

    def _is_empty(self, channel: BlockingChannel) -> bool:
        """Whether no event waits, neither in the queue nor here: a lull may just be slow."""
        if self._marker:  # another reader has some in hand, also where it is gone unnoticed
            return False
        if broker.waiting(channel, self._begin.inlet.queue, is_consumed=True) != 0:
            return False
        # The answers come behind all deliveries before them, on the same channel.
        return not channel.get_waiting_message_count()

    def _send(self, message: Message) -> None:
        if self._sent == self._answered:
            self._waits_since = time.monotonic()
        self._sent += 1
        try:
            self._link.send_bytes(encode(message))
        except OSError:
            self._over.wait()

    def _acknowledge(self) -> None:
        if self._channel is not None and self._committed > self._acknowledged:
            self._acknowledged = self._committed
            self._channel.basic_ack(self._acknowledged, multiple=True)

    def _leave(self, channel: BlockingChannel) -> None:
        with suppress(AMQPError, OSError), broker.bounded(channel):
            self._acknowledge()
        broker.leave(channel)

    # --- answers ---

    def _listen(self) -> None:
        """The body of a thread, in which nothing waits for the broker."""
        with suppress(EOFError, OSError):
            while not self._is_forgotten():
                if self._link.poll(_LISTEN_SECONDS):
                    self._hear(to_tag.decode(self._link.recv_bytes()))
            os._exit(FORGOTTEN)
        self._over.set()
        time.sleep(_LISTEN_SECONDS)
        os._exit(0)  # the main thread hangs

    def _hear(self, tag: int) -> None:
        self._waits_since = time.monotonic()
        self._answered += 1
        if tag and self._channel is not None:
            self._committed = tag
            with suppress(AMQPError):  # the connection is closed; the main thread says so
                self._channel.connection.add_callback_threadsafe(self._acknowledge)

    def _is_forgotten(self) -> bool:
        """Whether the collector sleeps: as RabbitMQ drops who does, so that others may read."""
        waits = time.monotonic() - self._waits_since if self._sent > self._answered else 0.0
        return 0 < self._patience < waits


def _delivery(properties: pika.BasicProperties, body: bytes) -> Delivery:
    told = (properties.headers or {}).get(names.HEADER_SOURCE)
    source = told if isinstance(told, str) else ""
    if properties.type in NO_EVENTS:
        return Delivery(properties.type, source, body)
    try:
        event = decode(body, time.time())
    except EventError:  # the collector says so, and keeps it
        event = None
    return Delivery("", source, body, event)


if __name__ == "__main__":
    main()
