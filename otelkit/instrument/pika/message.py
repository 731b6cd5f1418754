"""A message as spans speak of it: where it goes, where it came from, what has become of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext
from opentelemetry.util.types import AttributeValue

from otelkit import names
from otelkit.instrument.context import OrderInHand, from_headers, in_hand

if TYPE_CHECKING:
    from pika import BasicProperties

    from otelkit.instrument.pika.work import Work

Attributes = dict[str, AttributeValue]

SYSTEM: Final = "rabbitmq"
YOUNG_SECONDS: Final = 5.0
"""A message younger than this continues its publisher's trace; an older one links to it."""
_SENT_AT: Final = "otelkit-sent-at"
"""Header with the time of publishing in Unix milliseconds: AMQP's own timestamp has whole seconds
and belongs to the application."""
_OURS: Final = "_otelkit_copy"
_DESTINATIONS: Final = 1024
"""So many are remembered with what follows from their names: a routing key may hold an id."""
# Names that the broker makes up: a span name of its own for each would be of no use.
_ANONYMOUS: Final = ("amq.gen-", "amq.rabbitmq.reply-to")


@dataclass(slots=True, eq=False)
class Delivery:
    """A message that the broker has delivered on a channel.

    ``queue`` is empty where the consumer was registered before otelkit could see it. ``work`` is
    what is or was done with the message, ``received`` the span that fetched it.
    """

    exchange: str
    routing_key: str
    queue: str
    tag: int
    redelivered: bool
    properties: BasicProperties
    size: int
    server: Attributes
    work: Work | None = None
    received: Context | None = None
    _sender: Context | None = None
    _sent_by: SpanContext | None = None

    @property
    def destination(self) -> str:
        return destination(self.exchange, self.routing_key, self.queue)

    def span_name(self, operation: str) -> str:
        return span_name(operation, self.exchange, self.routing_key, self.queue)

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its headers, whatever the publisher has sent in their place."""
        headers = self.properties.headers
        return headers if isinstance(headers, dict) else {}

    @property
    def order(self) -> OrderInHand | None:
        """The order that it is about."""
        return from_headers(self.headers)

    @property
    def waited(self) -> float | None:
        """Seconds since it was published, if an instrumented service did that; never below 0."""
        sent_at = self.headers.get(_SENT_AT)
        if not isinstance(sent_at, int):
            return None
        return max(0.0, time.time() - sent_at / 1000)

    def sender(self) -> Context:
        """The context that it was published in."""
        if self._sender is None:
            self._sender = sender(self.headers)
        return self._sender

    def links(self) -> list[Link]:
        """To the span that published it."""
        if self._sent_by is None:
            self._sent_by = _span_context(self.sender())
        return [Link(self._sent_by)] if self._sent_by.is_valid else []

    def parent(self) -> Context:
        """The context in which work on it begins: the publisher's where it is young."""
        waited = self.waited
        return self.sender() if waited is not None and waited < YOUNG_SECONDS else Context()

    def attributes(self, operation: str, kind: str) -> Attributes:
        of_all = attributes(operation, kind, self.exchange, self.routing_key, self.queue)
        found = {**self.server, **of_all, **_identity(self.properties)}
        found["messaging.rabbitmq.message.delivery_tag"] = self.tag
        return found

    def arrival(self) -> Attributes:
        """What the span that takes it tells besides: its size, its wait, why it is here again."""
        found: Attributes = {"messaging.message.body.size": self.size}
        if self.redelivered:
            found[names.ATTR_MESSAGE_REDELIVERED] = True
        waited = self.waited
        if waited is not None:
            found[names.ATTR_MESSAGE_WAITED] = round(waited, 3)
        deaths = self.headers.get("x-death")
        if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping):
            last = deaths[0]  # newest first
            found[names.ATTR_MESSAGE_DEATH_REASON] = str(last.get("reason", ""))
            found[names.ATTR_MESSAGE_DEATH_QUEUE] = str(last.get("queue", ""))
            count = last.get("count")
            found[names.ATTR_MESSAGE_DEATH_COUNT] = count if isinstance(count, int) else 1
        return found


@lru_cache(_DESTINATIONS)
def attributes(
    operation: str, kind: str, exchange: str, routing_key: str, queue: str = ""
) -> Mapping[str, AttributeValue]:
    """What the conventions ask of each span: operation and destination."""
    found: Attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": destination(exchange, routing_key, queue),
    }
    if routing_key:
        found["messaging.rabbitmq.destination.routing_key"] = routing_key
    if _anonymous(exchange, routing_key, queue):
        found["messaging.destination.anonymous"] = True
    return found


@lru_cache(_DESTINATIONS)
def destination(exchange: str, routing_key: str, queue: str = "") -> str:
    """By the conventions: what is not empty, and a queue named like its routing key once."""
    parts = (exchange, routing_key, "" if queue == routing_key else queue)
    return ":".join(filter(None, parts)) or "amq.default"


@lru_cache(_DESTINATIONS)
def span_name(operation: str, exchange: str, routing_key: str, queue: str = "") -> str:
    """``publish parts``; without the destination where its name is made up."""
    if _anonymous(exchange, routing_key, queue):
        return operation
    return f"{operation} {destination(exchange, routing_key, queue)}"


def sent(properties: BasicProperties | None, body: Any) -> Attributes:
    """Attributes of a message that is about to be published."""
    raw = body.encode() if isinstance(body, str) else body
    found: Attributes = {"messaging.message.body.size": len(raw or b"")}
    return found if properties is None else found | _identity(properties)


def with_context(properties: BasicProperties | None, carried: Context) -> BasicProperties:
    """A copy with headers added: the caller's properties stay the caller's."""
    import pika

    ours = pika.BasicProperties() if properties is None else copy.copy(properties)
    headers = dict(ours.headers or {})
    propagate.inject(headers, carried)
    headers[_SENT_AT] = int(time.time() * 1000)
    order = in_hand()
    if order is not None:
        headers |= order.headers()
    ours.headers = headers
    setattr(ours, _OURS, True)
    return ours


def has_context(properties: BasicProperties | None) -> bool:
    """Whether these come from :func:`with_context`, so that another span would be one too many."""
    return getattr(properties, _OURS, False)


def sender(headers: object) -> Context:
    """The context that headers carry; an empty one where they carry none."""
    if not headers or not isinstance(headers, Mapping):
        return context.Context()
    return propagate.extract({k: v for k, v in headers.items() if isinstance(v, str)})


def sending_span(headers: object) -> SpanContext:
    """The span that published a message with these headers."""
    return _span_context(sender(headers))


def _span_context(ctx: Context) -> SpanContext:
    return trace.get_current_span(ctx).get_span_context()


def _identity(properties: BasicProperties) -> Attributes:
    found: Attributes = {}
    if properties.message_id:
        found["messaging.message.id"] = properties.message_id
    if properties.correlation_id:
        found["messaging.message.conversation_id"] = properties.correlation_id
    return found


def _anonymous(*parts: str) -> bool:
    return any(part.startswith(_ANONYMOUS) for part in parts)
