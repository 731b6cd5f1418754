"""Connections that come back: what the sources share, and what those over AMQP do."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Final

import pika
import pika.data
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from otelkit import amqp
from otelkit.errors import OtelkitError, UnavailableError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds between attempts to connect: doubled from the first to the longest."""
_GOOD_WORK: Final = 60.0
"""Whoever worked for so many seconds before it failed may try again soon."""
_TIMEOUT: Final = 10.0
_PATIENCE: Final = 0.2
"""Seconds. RabbitMQ itself waits 0.25 for a quorum queue to tell what it holds."""

log = logging.getLogger(__name__)
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells of a lost broker in tracebacks

_decode: Final = pika.data.decode_value


def _decode_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """A value of a header as pika reads it; None for what it cannot read and no event needs.

    A time beyond the year 9999, say, or lists in lists without an end: over such a message pika
    loses the connection, each time that it comes again.
    """
    try:
        found: tuple[Any, int] = _decode(encoded, offset)
    except (ValueError, OverflowError, OSError, RecursionError):
        kind, begin = encoded[offset : offset + 1], offset + 1
        if kind == b"T":
            return None, begin + 8
        if kind in (b"A", b"F"):
            (size,) = struct.unpack_from(">I", encoded, begin)
            return None, begin + 4 + size
        raise
    return found


pika.data.decode_value = _decode_value


def connect(url: str, name: str) -> BlockingChannel:
    """A channel on a connection of its own; the broker's pages show it under ``name``.

    Raises :class:`UnavailableError`.
    """
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = _TIMEOUT
    parameters.client_properties = {"connection_name": name}
    try:
        return pika.BlockingConnection(parameters).channel()
    except (AMQPError, AMQPConnectorException, OSError, UnicodeError) as error:
        where = f"RabbitMQ at {parameters.host}:{parameters.port}"
        raise UnavailableError(f"{where} {_why_not(error)}; trying again") from error


def waiting(channel: BlockingChannel, queue: str, *, is_consumed: bool = False) -> int | None:
    """Messages ready in a queue; None where the broker cannot tell.

    Of a quorum queue that does not answer the broker says that it has neither messages nor
    consumers. ``is_consumed`` tells that it has some.
    """
    began = time.monotonic()
    told = channel.queue_declare(queue, passive=True).method
    is_late = time.monotonic() - began > _PATIENCE
    is_known = told.message_count or told.consumer_count or not (is_consumed or is_late)
    return int(told.message_count) if is_known else None


def bounded(channel: BlockingChannel) -> AbstractContextManager[None]:
    """For as long as a broker may take; see :func:`otelkit.amqp.bounded`."""
    return amqp.bounded(channel, _TIMEOUT)


def leave(channel: BlockingChannel) -> None:
    """Break the connection of a consumer, once the broker has heard what it acknowledged.

    The broker puts all that is left where it was. A consumer that pika closes is cancelled first:
    what comes meanwhile goes to the end of the queue, behind events of days, and another consumer
    is given what lies behind that which is still in hand.
    """
    connection = channel.connection
    if channel.is_open:
        with suppress(AMQPError, OSError), bounded(channel):
            channel.flow(active=True)  # changes nothing, and is answered behind acknowledgements
    if connection.is_open:
        with suppress(AMQPError, OSError), bounded(channel):
            connection._impl._terminate_stream(AMQPError("left"))  # noqa: SLF001
            while connection.is_open:  # while it has deliveries, it looks at nothing else
                connection.process_data_events(0)


def keep_trying(
    work: Callable[[], None], down: Callable[[str], None], stopping: threading.Event
) -> None:
    """Call ``work`` again whenever it fails, with growing pauses, until ``stopping`` is set.

    ``work`` returns only to stop.
    """
    pause = FIRST_PAUSE
    while not stopping.is_set():
        began = time.monotonic()
        try:
            work()
        except (AMQPError, OSError, OtelkitError) as error:
            why = told(error)
        except Exception:  # a source that ends would be missed by nobody
            log.exception("a source failed in a way that is not foreseen; trying again")
            why = "it failed in a way that is not foreseen; the log has the details"
        else:
            continue
        if stopping.is_set():
            return
        down(why)
        if time.monotonic() - began > _GOOD_WORK:
            pause = FIRST_PAUSE
        stopping.wait(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def told(error: BaseException) -> str:
    """What a failure means, and what is done about it."""
    return str(error) if isinstance(error, OtelkitError) else f"{sentence(error)}; trying again"


def sentence(error: BaseException) -> str:
    """What a failure of a connection that once was means."""
    if isinstance(error, ChannelClosedByBroker):
        return f"RabbitMQ refuses: {error.reply_text}"
    return f"RabbitMQ is gone ({error or type(error).__name__})"


def _why_not(error: BaseException) -> str:
    said = error.args[0] if len(error.args) == 1 else error
    if isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError):
        return f"refuses us: {str(said).partition(': ')[2] or said}"
    return f"does not answer ({getattr(said, 'exception', None) or said or 'no connection'})"
