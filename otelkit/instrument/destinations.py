"""Where order events go: an exchange of RabbitMQ, or the collector over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from otelkit import events, names
from otelkit.amqp import bounded
from otelkit.errors import MissingExtraError, UnavailableError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

_TIMEOUT: Final = 5.0
"""Seconds for one exchange with a server that does not answer."""
_MAX_REQUEST: Final = 4 * 1024 * 1024
"""Bytes; a collector takes 8 MiB."""


class Destination(Protocol):
    """Takes events over."""

    def send(self, bodies: Sequence[bytes]) -> None:
        """Return once the other side has all of them for good, else :class:`UnavailableError`."""

    def idle(self) -> None:
        """There is nothing to send; called every second or so for as long as that lasts."""

    def close(self) -> None:
        """Let go of the connection; the next ``send`` makes a new one."""

    def forget(self) -> None:
        """In a child process: the connection is the parent's, so leave it alone."""


def destination(url: str, token: str | None) -> Destination:
    """The destination at an address. Raises ``MissingExtraError``."""
    if urlsplit(url).scheme.startswith("amqp"):
        try:
            import pika  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("sending order events to RabbitMQ", "pika") from error
        return AmqpDestination(url)
    return HttpDestination(url, token)


class Nowhere:
    """Takes no event over and says why, so that they wait for a process that can send them."""

    def __init__(self, why: str) -> None:
        self._why = why

    def send(self, bodies: Sequence[bytes]) -> None:  # noqa: ARG002
        raise UnavailableError(self._why)

    def idle(self) -> None: ...
    def close(self) -> None: ...
    def forget(self) -> None: ...


class AmqpDestination:
    """Publishes each event persistently and waits for the broker's confirm.

    The exchange is declared here too, and the collector's queue where the exchange leads nowhere,
    so that events sent before a collector has ever run are kept. Collectors that share the work
    have queues of their own.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._channel: BlockingChannel | None = None

    def send(self, bodies: Sequence[bytes]) -> None:
        import pika

        try:
            channel = self._open()
            for body in bodies:
                try:
                    _publish(channel, body)
                except pika.exceptions.UnroutableError:
                    _declare_queue(channel)
                    _publish(channel, body)
        except (pika.exceptions.AMQPError, OSError) as error:
            self.close()
            raise UnavailableError(f"RabbitMQ did not take order events: {_why(error)}") from error

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None or not channel.connection.is_open:
            return
        import pika

        gone = pika.exceptions.AMQPError, OSError
        with suppress(*gone), bounded(channel, _TIMEOUT):
            channel.connection.close()

    def idle(self) -> None:
        if self._channel is None:
            return
        import pika

        try:
            self._channel.connection.process_data_events(0)  # answers the broker's heartbeats
        except (pika.exceptions.AMQPError, OSError):
            self.close()

    def forget(self) -> None:
        self._channel = None

    def _open(self) -> BlockingChannel:
        if self._channel is None:
            import pika

            parameters = pika.URLParameters(self._url)
            parameters.socket_timeout = parameters.stack_timeout = _TIMEOUT
            parameters.blocked_connection_timeout = _TIMEOUT
            # Kept at once, so that `close` finds it when the broker refuses a declaration.
            self._channel = channel = pika.BlockingConnection(parameters).channel()
            channel.exchange_declare(names.ORDERS_EXCHANGE, "topic", durable=True)
            channel.confirm_delivery()
        return self._channel


class HttpDestination:
    """Posts batches to a collector, which answers once they are committed."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = parts.path.rstrip("/") + "/events"
        self._headers = {"Content-Type": events.BATCH_CONTENT_TYPE}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: HTTPConnection | None = None

    def send(self, bodies: Sequence[bytes]) -> None:
        for some in _portions(bodies):
            self._post(b"[" + b",".join(some) + b"]")

    def _post(self, content: bytes) -> None:
        try:
            connection = self._open()
            connection.request("POST", self._path, content, self._headers)
            response = connection.getresponse()
            answer = response.read(1000).decode("utf-8", "replace")
        except (HTTPException, OSError) as error:
            self.close()
            raise UnavailableError(f"the collector did not answer: {_why(error)}") from error
        if not response.isclosed():
            self.close()  # the rest of a long answer would stand before the next one
        if not 200 <= response.status < 300:
            raise UnavailableError(
                f"the collector answered {response.status}: {answer}", _retry_after(response)
            )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def idle(self) -> None:
        # A server ends a connection that rests for some seconds; the next batch would fail on it.
        self.close()

    def forget(self) -> None:
        self.close()

    def _open(self) -> HTTPConnection:
        if self._connection is None:
            kind = HTTPSConnection if self._secure else HTTPConnection
            self._connection = kind(self._host, self._port, timeout=_TIMEOUT)
        return self._connection


def _portions(bodies: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Parts that each go into one request; an event is part of one, however large it is."""
    begin = size = 0
    for number, body in enumerate(bodies):
        if size + len(body) > _MAX_REQUEST and number > begin:
            yield bodies[begin:number]
            begin, size = number, 0
        size += len(body) + 1
    yield bodies[begin:]


def _retry_after(response: HTTPResponse) -> float:
    """The seconds that a server that has too much to do asks for."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _publish(channel: BlockingChannel, body: bytes) -> None:
    """By the event's process; its slot beside that tells the shard, where there are any.

    The body was encoded here, so that both are known to be there.
    """
    import pika

    event = json.loads(body)
    properties = pika.BasicProperties(
        content_type=events.CONTENT_TYPE,
        delivery_mode=pika.DeliveryMode.Persistent,
        headers={"CC": [events.slot_key(events.slot_of(event["subject"]))]},
    )
    with bounded(channel, _TIMEOUT):
        channel.basic_publish(
            names.ORDERS_EXCHANGE, event["data"]["process"], body, properties, mandatory=True
        )


def _declare_queue(channel: BlockingChannel) -> None:
    queue, arguments = names.ORDERS_QUEUE, names.ORDERS_QUEUE_ARGUMENTS
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.queue_bind(queue, names.ORDERS_EXCHANGE, "#")


def _why(error: BaseException) -> str:
    """The innermost message that says anything."""
    text = str(error) or str(error.__cause__ or "") or type(error).__name__
    return text.splitlines()[0]
