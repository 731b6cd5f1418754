"""Dead-letter queues: how deep they are, what arrives in them, and how old their oldest message is.

Nothing is ever taken from such a queue, not even to be put back: that would count as a delivery,
and a queue with a delivery limit drops a message that was delivered too often.

Arrivals are seen in a *shadow queue* bound to the same exchanges, which the management API names.
A dead-letter queue is first in, first out, so that with ``n`` messages in it the oldest is the
``n``-th latest arrival. Without a shadow, arrivals are estimated from the rise of the depth.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

import httpx

from otelkit import names
from otelkit.collect.engine.engine import Engine
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.storage.ledger import DeadLetter
from otelkit.errors import UnavailableError

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel
    from pika.spec import Basic

UNKNOWN: Final = "unknown"
"""Source queue and reason of an arrival that was not seen itself."""
_PREFETCH: Final = 1000
_BINDING_SECONDS: Final = 30.0
"""Exchanges and bindings may have come since, or gone and come again."""
_LONGEST_NAME: Final = 255
"""Of a queue."""
SHADOW_PREFIX: Final = "otelkit.shadow."
SHADOW_ARGUMENTS: Final[Mapping[str, Any]] = {
    **names.QUORUM_ARGUMENTS,
    "x-max-length": 100_000,  # while no collector runs, a flood of dead letters must not pile up
}

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request


@dataclass(frozen=True, slots=True)
class Reading:
    """``oldest`` is when the oldest message arrived in Unix seconds, None for an empty queue."""

    depth: int
    oldest: float | None


class DeadLetterWatch:
    """Watches queues until ``stopping`` is set. Readings are there while their source is up."""

    def __init__(
        self,
        url: str,
        management: str | None,
        queues: Iterable[str],
        engine: Engine,
        sources: Sources,
        stopping: threading.Event,
        *,
        every: float,
    ) -> None:
        self._url = url
        self._bindings = None if management is None else Bindings(management, vhost(url))
        self._queues = tuple(queues)
        self._engine = engine
        self._sources = sources
        self._stopping = stopping
        self._every = every
        self._readings: dict[str, Reading] = {}
        self._shadowed: dict[str, float] = {}
        """Queues whose arrivals are seen, with when it was looked what feeds them."""
        self._heard: dict[str, str] = {}
        """Queues whose shadows are read, by the consumer's tag."""
        self._arrived: list[DeadLetter] = []
        self._last_tag = 0
        self._complaint = ""

    def readings(self) -> dict[str, Reading]:
        """The last readings, by queue; a queue that cannot be read now has none."""
        return dict(self._readings)

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._watch, self._all_down, self._stopping)

    def _watch(self) -> None:
        channel = broker.connect(self._url, "otelkit collector: dead letters")
        channel.basic_qos(prefetch_count=_PREFETCH)
        channel.add_on_cancel_callback(self._cancelled)
        self._shadowed.clear()
        self._heard.clear()
        self._arrived.clear()  # what was not acknowledged comes again
        try:
            while not self._stopping.is_set():
                for queue in self._queues:
                    try:
                        self._look(channel, queue)
                    except UnavailableError as error:
                        self._down(queue, str(error))
                self._listen(channel, self._every)
        finally:
            broker.leave(channel)

    def _all_down(self, why: str) -> None:
        for queue in self._queues:
            self._down(queue, why)

    def _down(self, queue: str, why: str) -> None:
        self._readings.pop(queue, None)
        self._sources.down(source_name(queue), why)

    # --- depth -----------------------------------------------------------------------------

    def _look(self, channel: BlockingChannel, queue: str) -> None:
        depth = _depth(channel, queue)
        if depth is None:
            why = f"there is no queue {queue!r}; declare it, or correct its name in the SLA file"
            self._down(queue, why)
            self._shadowed.pop(queue, None)
            return
        looked = self._shadowed.get(queue)
        if looked is None or time.monotonic() - looked > _BINDING_SECONDS:
            self._shadow(channel, queue)
        self._estimate(queue, depth)
        oldest = None if depth == 0 else self._engine.nth_latest_arrival(queue, depth)
        self._readings[queue] = Reading(depth, oldest)
        self._sources.up(source_name(queue))

    def _estimate(self, queue: str, depth: int) -> None:
        """Count what arrived unseen: before we first looked, or without a shadow."""
        number = f"dlq-depth:{queue}"
        before = self._engine.read_number(number)
        if before == depth:
            return
        is_seen = before is not None and queue in self._shadowed
        unseen = 0 if is_seen else max(depth - int(before or 0), 0)
        letter = DeadLetter(queue, UNKNOWN, UNKNOWN, time.time())
        self._engine.letters([letter] * unseen, {number: depth})

    # --- arrivals --------------------------------------------------------------------------

    def _shadow(self, channel: BlockingChannel, queue: str) -> None:
        """Have a copy of what arrives from now on; without one, arrivals stay estimates."""
        bindings = self._bindings_of(queue)
        shadow = SHADOW_PREFIX + queue
        # One of before is heard even if nobody tells its bindings now: what it holds has arrived.
        if not bindings and _depth(channel, shadow) is None:
            return
        channel.queue_declare(shadow, durable=True, arguments=dict(SHADOW_ARGUMENTS))
        for binding in bindings:
            channel.queue_bind(
                shadow, binding["source"], binding["routing_key"], binding["arguments"]
            )
        if queue not in self._heard.values():
            self._heard[channel.basic_consume(shadow, self._on_arrival(queue))] = queue
        self._shadowed[queue] = time.monotonic()

    def _cancelled(self, told: pika.frame.Method[pika.spec.Basic.Cancel]) -> None:
        """Somebody has deleted a shadow; it is made anew at the next look."""
        queue = self._heard.pop(told.method.consumer_tag, "")
        self._shadowed.pop(queue, None)

    def _bindings_of(self, queue: str) -> Sequence[Mapping[str, Any]]:
        if self._bindings is None:
            return ()
        try:
            return self._bindings.of(queue)
        except UnavailableError as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                log.warning("%s; arrivals are estimated until it does", error)
            return ()

    def _on_arrival(self, queue: str) -> Callable[..., None]:
        def on_message(
            _channel: BlockingChannel,
            method: Basic.Deliver,
            properties: pika.BasicProperties,
            _body: bytes,
        ) -> None:
            self._arrived.append(arrival(queue, properties.headers or {}, time.time()))
            self._last_tag = method.delivery_tag

        return on_message

    def _listen(self, channel: BlockingChannel, seconds: float) -> None:
        """Take in arrivals for so long, and acknowledge them once they are committed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            channel.connection.process_data_events(time_limit=min(left, 0.5))
            if self._arrived:
                arrived, self._arrived = self._arrived, []
                self._engine.letters(arrived)
                channel.basic_ack(self._last_tag, multiple=True)


class Bindings:
    """What feeds a queue, from the broker's management API."""

    def __init__(self, url: str, vhost: str) -> None:
        # Kept apart, so that no log or error that names the address tells the password.
        parts = urlsplit(url)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._auth = (unquote(parts.username or ""), unquote(parts.password or ""))
        self._vhost = quote(vhost, safe="")

    def of(self, queue: str) -> Sequence[Mapping[str, Any]]:
        """Bindings to exchanges; the default exchange, which cannot be bound to, left out."""
        path = f"/api/queues/{self._vhost}/{quote(queue, safe='')}/bindings"
        try:
            answer = httpx.get(self._url + path, auth=self._auth, timeout=10)
            if not answer.is_success:
                raise ValueError(f"it answers {answer.status_code} {answer.reason_phrase}")
            return [binding for binding in answer.json() if binding["source"]]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            raise UnavailableError(
                f"RabbitMQ's management API does not tell the bindings of {queue!r}: {error}"
            ) from error


def source_name(queue: str) -> str:
    """The label value of ``otelkit_source_up`` for a dead-letter queue."""
    return f"dlq:{queue}"


def arrival(queue: str, headers: Mapping[str, Any], now: float) -> DeadLetter:
    """What a message says of its death.

    The time in its header is that of the *first* death in this queue for this reason, so it holds
    only for a message that died there once; else it arrived now. Who publishes to a dead-letter
    exchange himself can write anything into it.
    """
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    death: Mapping[str, Any] = last if isinstance(last, dict) else {}
    at = death.get("time")
    once = death.get("count") == 1
    arrived = min(at.timestamp(), now) if once and isinstance(at, datetime) else now
    source = _name(death.get("queue"), headers.get("x-first-death-queue"))
    reason = _name(death.get("reason"), headers.get("x-first-death-reason"))
    return DeadLetter(queue, source, reason, arrived)


def _name(*told: object) -> str:
    """The first that can be one."""
    fit = (text for text in told if isinstance(text, str) and 0 < len(text) <= _LONGEST_NAME)
    return next((text for text in fit if text.isprintable()), UNKNOWN)


def vhost(url: str) -> str:
    """The virtual host of an AMQP address: ``/`` where it names none."""
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"


def _depth(channel: BlockingChannel, queue: str) -> int | None:
    """Messages ready in a queue, None where there is no such queue.

    Raises :class:`UnavailableError` where the broker cannot tell.
    """
    from pika.exceptions import ChannelClosedByBroker

    # A refused declaration closes its channel, so it gets one of its own.
    probe = channel.connection.channel()
    try:
        depth = broker.waiting(probe, queue)
    except ChannelClosedByBroker as error:
        if error.reply_code == 404:
            return None
        raise
    finally:
        if probe.is_open:
            probe.close()
    if depth is None:
        raise UnavailableError(
            f"RabbitMQ cannot tell what is in {queue!r}; see to the leader of that queue"
        )
    return depth
