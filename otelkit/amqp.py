"""What both ends of an AMQP connection do: services that send order events, and the collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


@contextmanager
def bounded(channel: BlockingChannel, seconds: float) -> Iterator[None]:
    """Ends the connection, with an AMQPError in the block, where an answer does not come in time.

    A queue without a leader, as after a crash of its broker, may never confirm what it was sent,
    and pika waits for that without an end.
    """
    from pika.exceptions import AMQPConnectionError

    connection = channel.connection._impl  # noqa: SLF001 - its public timers wait for it, too
    silence = AMQPConnectionError(f"no answer within {seconds:.0f} s")
    ended = partial(connection._terminate_stream, silence)  # noqa: SLF001
    timer = connection.ioloop.call_later(seconds, ended)
    try:
        yield
    finally:
        connection.ioloop.remove_timeout(timer)
