"""What a broker delivers to a consumer, read past pika: its tag and its body are all one needs.

pika makes a dozen objects of a delivery, which takes it as long as all that the collector does with
an event. Here the frames of deliveries are read as bytes, and all others are left to pika.
"""

from __future__ import annotations

import time
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pika import spec
from pika.exceptions import ConsumerCancelled

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

_FRAME: Final = Struct(">BHI").unpack_from
"""Its kind, the number of its channel and the length of what it holds; an octet comes behind."""
_DELIVER: Final = Struct(">HH").pack(*divmod(spec.Basic.Deliver.INDEX, 2**16))


class Delivery(NamedTuple):
    """A message. ``header`` holds its properties as AMQP writes them; ``at`` is when it came."""

    tag: int
    header: bytes
    body: bytes
    at: float

    def properties(self) -> spec.BasicProperties:
        """Those of the message."""
        return spec.BasicProperties().decode(self.header, 12)


class Deliveries:
    """Of one queue, on a channel that consumes nothing else. Not for threads."""

    def __init__(self, channel: BlockingChannel, queue: str) -> None:
        self._channel = channel
        self._number = channel.channel_number
        self._connection = channel.connection
        self._pika = channel.connection._impl
        self._others = self._pika._on_data_available
        self._rest = b""
        self._tag: int | None = None
        self._header = b""
        self._body = b""
        self._length = 0
        self._now = 0.0
        self._arrived: list[Delivery] = []
        self._enough = 1
        self._cancelled = False
        self._pika._on_data_available = self._read
        channel.add_on_cancel_callback(self._on_cancel)
        channel.basic_consume(queue, self._on_message)

    @property
    def waiting(self) -> int:
        """How many are here that :meth:`receive` has not given yet."""
        return len(self._arrived)

    def receive(self, seconds: float, enough: int) -> list[Delivery]:
        """What comes within so long, or sooner where it is enough; at most that.

        Raises pika's errors once the connection, the channel or the queue is gone.
        """
        self._enough = enough
        if len(self._arrived) < enough:
            self._channel._process_data_events(seconds)
        if self._cancelled:
            raise ConsumerCancelled("its queue was deleted")
        taken, self._arrived = self._arrived[:enough], self._arrived[enough:]
        return taken

    def _read(self, data: bytes) -> None:
        """Bytes from the broker: whole frames are taken, the rest waits for more."""
        data = self._rest + data
        self._now = time.time()
        at, end = 0, len(data)
        while end - at >= spec.FRAME_HEADER_SIZE:
            kind, channel, size = _FRAME(data, at)
            start = at + spec.FRAME_HEADER_SIZE
            stop = start + size
            if stop >= end:
                break
            at = stop + spec.FRAME_END_SIZE
            if channel == self._number and self._is_ours(kind, data, start):
                self._take(kind, data, start, stop)
            else:
                self._others(data[start - spec.FRAME_HEADER_SIZE : at])
        self._rest = data[at:]
        self._pika.bytes_received += end  # by which it knows that the broker lives
        if len(self._arrived) >= self._enough:
            self._connection._request_channel_dispatch(-self._number)

    def _is_ours(self, kind: int, data: bytes, start: int) -> bool:
        if kind == spec.FRAME_METHOD:
            return data.startswith(_DELIVER, start)
        return self._tag is not None

    def _take(self, kind: int, data: bytes, start: int, stop: int) -> None:
        if kind == spec.FRAME_METHOD:
            start += 5 + data[start + 4]  # behind the name of the consumer
            self._tag = int.from_bytes(data[start : start + 8])
        elif kind == spec.FRAME_HEADER:
            self._header = data[start:stop]
            self._length = int.from_bytes(data[start + 4 : start + 12])
            self._body = b""
        else:
            self._body += data[start:stop]
        if kind != spec.FRAME_METHOD and len(self._body) == self._length:
            assert self._tag is not None  # noqa: S101 - see _is_ours
            self._arrived.append(Delivery(self._tag, self._header, self._body, self._now))
            self._tag = None

    def _on_message(
        self,
        _channel: object,
        method: spec.Basic.Deliver,
        properties: spec.BasicProperties,
        body: bytes,
    ) -> None:
        """Of a pika that reads another way than by ``_on_data_available``."""
        header = bytes(12) + b"".join(properties.encode())
        self._arrived.append(Delivery(method.delivery_tag, header, body, time.time()))

    def _on_cancel(self, _method: object) -> None:
        self._cancelled = True
