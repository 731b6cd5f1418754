"""RabbitMQ through pika: context and order travel with every message, by one span each way.

Publishing is wrapped once, at the channel below all of pika's adapters, so that each message has
one span however it was sent. A consumer's span is a *process* span around its callback; it links
to the span that published the message, and is its child where the message is young: a trace of
one step stays whole, and an order that lies in a queue for hours does not become a trace of hours.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from prometheus_client import Histogram

from otelkit import names
from otelkit.instrument import runtime
from otelkit.instrument.context import from_headers, in_hand, taking

if TYPE_CHECKING:
    from pika import BasicProperties
    from pika.spec import Basic

    from otelkit.instrument.runtime import Signals

Callback = Callable[[Any, Any, Any, bytes], Any]

YOUNG_SECONDS: Final = 5.0
"""A message younger than this continues its publisher's trace; an older one links to it."""
_SENT_AT: Final = "otelkit-sent-at"
"""Header with the time of publishing in Unix milliseconds: AMQP's own timestamp has whole seconds
and belongs to the application."""
_MARK: Final = "__otelkit__"


def instrument_classes() -> bool:
    """Wrap pika's channels, those that exist included; False where pika is not installed."""
    try:
        from pika.adapters.blocking_connection import BlockingChannel
        from pika.channel import Channel
    except ImportError:
        return False
    _wrap(Channel, "basic_publish", _publishing)
    _wrap(Channel, "basic_consume", _consuming)
    _wrap(BlockingChannel, "basic_consume", _consuming)
    return True


def uninstrument_classes() -> None:
    """Put pika's own methods back."""
    try:
        from pika.adapters.blocking_connection import BlockingChannel
        from pika.channel import Channel
    except ImportError:
        return
    for owner, name in ((Channel, "basic_publish"), (Channel, "basic_consume")):
        _unwrap(owner, name)
    _unwrap(BlockingChannel, "basic_consume")


def instrument(connection: Any) -> None:
    """Instrument the channels of one connection, where ``init`` has not wrapped them all."""
    open_channel = connection.channel
    if getattr(open_channel, _MARK, False):
        return

    @functools.wraps(open_channel)
    def channel(*args: Any, **kwargs: Any) -> Any:
        made = open_channel(*args, **kwargs)
        inner = getattr(made, "_impl", made)
        _wrap(inner, "basic_publish", _publishing)
        _wrap(made, "basic_consume", _consuming)
        return made

    setattr(channel, _MARK, True)
    connection.channel = channel


def _wrap(
    owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    original = getattr(owner, name)
    if not getattr(original, _MARK, False):  # instrumenting twice must not give two spans
        wrapped = functools.wraps(original)(wrapper(original))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)


def _unwrap(owner: Any, name: str) -> None:
    method = getattr(owner, name)
    if getattr(method, _MARK, False):
        setattr(owner, name, method.__wrapped__)


# --- publishing ----------------------------------------------------------------------------


def _publishing(original: Callable[..., Any]) -> Callable[..., Any]:
    def basic_publish(*args: Any, **kwargs: Any) -> Any:
        telemetry = runtime.active()
        call = _PublishCall.of(args, kwargs)
        # Order events are otelkit's own messages: they are no step of the order's journey.
        if telemetry is None or call is None or call.exchange == names.ORDERS_EXCHANGE:
            return original(*args, **kwargs)
        destination = _destination(call.exchange, call.routing_key)
        with telemetry.tracer.start_as_current_span(
            f"publish {destination}",
            kind=SpanKind.PRODUCER,
            attributes=call.attributes(destination),
        ):
            return original(*call.channel, **call.with_context())

    return basic_publish


class _PublishCall:
    """The arguments of one ``basic_publish``, however they were passed."""

    _NAMES: Final = ("exchange", "routing_key", "body", "properties", "mandatory")

    def __init__(self, channel: tuple[Any, ...], arguments: dict[str, Any]) -> None:
        self.channel = channel
        self._arguments = arguments
        self.exchange = str(arguments.get("exchange", ""))
        self.routing_key = str(arguments.get("routing_key", ""))

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _PublishCall | None:
        """None where the call is wrong anyway: pika says so better than we could."""
        bound = bool(args) and hasattr(args[0], "basic_publish")
        channel, values = (args[:1], args[1:]) if bound else ((), args)
        if len(values) > len(cls._NAMES):
            return None
        return cls(channel, dict(zip(cls._NAMES, values, strict=False)) | kwargs)

    def attributes(self, destination: str) -> dict[str, Any]:
        body = self._arguments.get("body") or b""
        found = _attributes("publish", "send", destination, self._arguments.get("properties"))
        return found | {"messaging.message.body.size": len(body)}

    def with_context(self) -> dict[str, Any]:
        """The arguments with headers added to a copy: the caller's properties stay the caller's."""
        import pika

        given = self._arguments.get("properties")
        properties = pika.BasicProperties() if given is None else copy.copy(given)
        headers = dict(properties.headers or {})
        propagate.inject(headers)
        headers[_SENT_AT] = int(time.time() * 1000)
        order = in_hand()
        if order is not None:
            headers |= order.headers()
        properties.headers = headers
        return self._arguments | {"properties": properties}


# --- consuming -----------------------------------------------------------------------------


def _consuming(original: Callable[..., Any]) -> Callable[..., Any]:
    def basic_consume(*args: Any, **kwargs: Any) -> Any:
        bound = bool(args) and hasattr(args[0], "basic_consume")
        channel, values = (args[:1], args[1:]) if bound else ((), args)
        named = dict(zip(("queue", "on_message_callback"), values, strict=False)) | kwargs
        callback = named.get("on_message_callback")
        if not callable(callback) or _is_pikas_own(callback):
            return original(*args, **kwargs)
        named["on_message_callback"] = _processing(callback, _Queue(str(named.get("queue", ""))))
        if len(values) > 2:  # the rest was passed by position, and stays there
            first = (named.pop("queue"), named.pop("on_message_callback"))
            return original(*channel, *first, *values[2:], **named)
        return original(*channel, **named)

    return basic_consume


def _is_pikas_own(callback: Any) -> bool:
    """A blocking channel consumes through the one below it; its caller's callback is wrapped."""
    owner = getattr(callback, "__self__", None)
    return type(owner).__module__.startswith("pika.")


class _Queue:
    """A queue that is consumed; its series of successes exists from ``init`` on."""

    def __init__(self, name: str) -> None:
        self.name = name
        runtime.know(self)

    def bind(self, telemetry: Signals) -> None:
        self._series(telemetry, "")

    def observe(self, telemetry: Signals, error_type: str, seconds: float) -> None:
        self._series(telemetry, error_type).observe(seconds)

    def _series(self, telemetry: Signals, error_type: str) -> Histogram:
        return telemetry.metrics.messages.labels("rabbitmq", self.name, "process", error_type)


def _processing(callback: Callback, queue: _Queue) -> Callback:
    @functools.wraps(callback)
    def process(
        channel: Any, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> Any:
        telemetry = runtime.active()
        if telemetry is None:
            return callback(channel, method, properties, body)
        with taking(from_headers(properties.headers)):
            return _processed(telemetry, callback, queue, (channel, method, properties, body))

    return process


def _processed(
    telemetry: Signals, callback: Callback, queue: _Queue, message: tuple[Any, Any, Any, bytes]
) -> Any:
    _, method, properties, body = message
    destination = _destination(method.exchange, method.routing_key, queue.name)
    parent, links = _correlation(properties)
    attributes = _attributes("process", "process", destination, properties) | {
        "messaging.message.body.size": len(body),
        "messaging.rabbitmq.message.delivery_tag": method.delivery_tag,
    }
    error_type, start = "", perf_counter()
    with telemetry.tracer.start_as_current_span(
        f"process {destination}", parent, SpanKind.CONSUMER, attributes, links
    ) as span:
        try:
            return callback(*message)
        except BaseException as error:
            error_type = type(error).__qualname__
            span.set_attribute("error.type", error_type)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise
        finally:
            queue.observe(telemetry, error_type, perf_counter() - start)


def _correlation(properties: BasicProperties) -> tuple[context.Context, list[Link]]:
    """The context to start from, and links to the publisher's span."""
    headers = properties.headers or {}
    sender = propagate.extract({k: v for k, v in headers.items() if isinstance(v, str)})
    span_context = trace.get_current_span(sender).get_span_context()
    if not span_context.is_valid:
        return context.Context(), []
    sent_at = headers.get(_SENT_AT)
    age = time.time() - sent_at / 1000 if isinstance(sent_at, int) else None
    parent = sender if age is not None and age < YOUNG_SECONDS else context.Context()
    return parent, [Link(span_context)]


def _destination(*parts: str) -> str:
    """By the conventions: what is not empty, and a queue named like its routing key once."""
    return ":".join(dict.fromkeys(filter(None, parts))) or "amq.default"


def _attributes(
    name: str, kind: str, destination: str, properties: BasicProperties | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": destination,
    }
    if properties is not None and properties.message_id:
        found["messaging.message.id"] = properties.message_id
    if properties is not None and properties.correlation_id:
        found["messaging.message.conversation_id"] = properties.correlation_id
    return found
