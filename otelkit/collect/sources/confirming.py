"""Publishing many messages at a time: pika's own way waits for each before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from pika import spec
from pika.exceptions import AMQPError

from otelkit.collect.sources import broker

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel

_MOST: Final = 500
"""Messages that wait for their confirms at once."""


class Confirming:
    """Over a channel that nothing else is published on. Not for threads."""

    def __init__(self, channel: BlockingChannel) -> None:
        self.channel = channel
        self._last = 0
        """The delivery tag, as both sides count them."""
        self._open: set[int] = set()
        self._refused = False
        ready: list[object] = []
        own = channel._impl  # noqa: SLF001 - the blocking one confirms a message at a time
        own.add_on_return_callback(self._returned)
        own.confirm_delivery(self._confirmed, callback=ready.append)
        self._wait(lambda: bool(ready))

    def publish(
        self, properties: pika.BasicProperties, messages: Sequence[tuple[str, bytes]]
    ) -> None:
        """Return once the broker has all for good, each in its queue. Raises AMQPError."""
        for queue, body in messages:
            self._last += 1
            self._open.add(self._last)
            self.channel.basic_publish("", queue, body, properties, mandatory=True)
            if len(self._open) >= _MOST:
                self._wait(lambda: len(self._open) <= _MOST // 2)
        self._wait(lambda: not self._open)
        if self._refused:
            raise AMQPError("it refuses what it was sent")

    def _wait(self, done: Callable[[], bool]) -> None:
        with broker.bounded(self.channel):
            self.channel._flush_output(done)  # noqa: SLF001 - its public waits look at no confirms

    def _confirmed(self, frame: pika.frame.Method[spec.Basic.Ack | spec.Basic.Nack]) -> None:
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        self._refused |= isinstance(frame.method, spec.Basic.Nack)
        if multiple:
            self._open = {one for one in self._open if one > tag}
        else:
            self._open.discard(tag)

    def _returned(self, *_message: object) -> None:
        """A queue is not there any more; a confirm follows all the same."""
        self._refused = True
