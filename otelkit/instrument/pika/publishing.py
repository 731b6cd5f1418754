"""Publishing: one span for each message, until the broker has it where it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from otelkit import names
from otelkit.instrument.pika import message
from otelkit.instrument.pika.message import SYSTEM
from otelkit.instrument.pika.spans import active, current, fail, guarded
from otelkit.instrument.pika.state import state
from otelkit.instrument.runtime import Signals
from otelkit.instrument.wrapping import Method

if TYPE_CHECKING:
    from pika import BasicProperties

_PUBLISH: Final = "publish"
# As pika's exceptions for blocking channels are called; the other adapters raise none.
_UNROUTABLE: Final = "UnroutableError"
_NACKED: Final = "NackError"


class Publish:
    """One message on its way: its span, and the properties that carry it."""

    def __init__(
        self,
        telemetry: Signals,
        channel: Any,
        exchange: str,
        routing_key: str,
        body: Any,
        properties: BasicProperties | None,
    ) -> None:
        self._telemetry = telemetry
        # A routing key may hold an id, which a metric must not; on the default exchange it is the
        # name of a queue.
        self._label = exchange or routing_key
        self.span: Span = telemetry.tracer.start_span(
            message.span_name(_PUBLISH, exchange, routing_key),
            kind=SpanKind.PRODUCER,
            attributes={
                **state(channel).server,
                **message.attributes(_PUBLISH, "send", exchange, routing_key),
                **message.sent(properties, body),
            },
        )
        self.properties = message.with_context(properties, trace.set_span_in_context(self.span))
        self._error_type = ""

    def fail(self, error_type: str, description: str) -> None:
        self._error_type = error_type
        fail(self.span, error_type, description)

    def end(self, error: BaseException | None = None) -> None:
        error_type = self._error_type if error is None else type(error).__qualname__
        self._telemetry.metrics.sent.labels(SYSTEM, self._label, _PUBLISH, error_type).inc()
        self.span.end()


@guarded
def _begin(
    channel: Any, exchange: str, routing_key: str, body: Any, properties: Any
) -> Publish | None:
    telemetry = active()
    # Order events are otelkit's own messages: they are no step of the order's journey.
    if telemetry is None or exchange == names.ORDERS_EXCHANGE or message.has_context(properties):
        return None
    return Publish(telemetry, channel, exchange, routing_key, body, properties)


def publishing(original: Method) -> Method:
    """``basic_publish`` of a blocking channel: in confirm mode it waits for the confirm."""

    def basic_publish(
        channel: Any,
        exchange: str,
        routing_key: str,
        body: Any,
        properties: BasicProperties | None = None,
        mandatory: bool = False,
    ) -> Any:
        publish = _begin(channel, exchange, routing_key, body, properties)
        if publish is None:
            return original(channel, exchange, routing_key, body, properties, mandatory)
        error: BaseException | None = None
        try:
            with current(publish.span):
                return original(channel, exchange, routing_key, body, publish.properties, mandatory)
        except BaseException as raised:
            error = raised
            raise
        finally:
            publish.end(error)

    return basic_publish


def sending(original: Method) -> Method:
    """``basic_publish`` of the channel below: it returns before the broker has the message."""

    def basic_publish(
        channel: Any,
        exchange: str,
        routing_key: str,
        body: Any,
        properties: BasicProperties | None = None,
        mandatory: bool = False,
    ) -> Any:
        publish = _begin(channel, exchange, routing_key, body, properties)
        ours = properties if publish is None else publish.properties
        try:
            if publish is None:
                result = original(channel, exchange, routing_key, body, ours, mandatory)
            else:
                with current(publish.span):
                    result = original(channel, exchange, routing_key, body, ours, mandatory)
        except BaseException as error:
            if publish is not None:
                publish.end(error)
            raise
        unconfirmed = state(channel).unconfirmed
        if unconfirmed is not None:
            unconfirmed.add(publish)
        elif publish is not None:
            publish.end()
        return result

    return basic_publish


class Unconfirmed:
    """Messages that wait for the broker's confirm, by their number on the channel."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: dict[int, Publish] = {}

    def add(self, publish: Publish | None) -> None:
        """The next message was sent; one without a span counts as well."""
        self._last += 1
        if publish is not None:
            self._waiting[self._last] = publish

    def confirm(self, method: Any) -> None:
        """``Basic.Ack`` or ``Basic.Nack`` of the broker."""
        tag, refused = method.delivery_tag, method.NAME == "Basic.Nack"
        tags = [tag] if not method.multiple else [t for t in self._waiting if not tag or t <= tag]
        for publish in filter(None, (self._waiting.pop(tag, None) for tag in tags)):
            if refused:
                publish.fail(_NACKED, "the broker has refused the message")
            publish.end()

    def find(self, span_id: int) -> Publish | None:
        """The message of a span."""
        return next(
            (p for p in self._waiting.values() if p.span.get_span_context().span_id == span_id),
            None,
        )

    def abandon(self, reason: object) -> None:
        """The channel is closed: what becomes of these nobody will say."""
        while self._waiting:
            _, publish = self._waiting.popitem()
            publish.fail(type(reason).__qualname__, f"closed before the confirm: {reason}")
            publish.end()


def confirming(original: Method) -> Method:
    """``confirm_delivery``: from here on, spans last until the confirm."""

    def confirm_delivery(channel: Any, ack_nack_callback: Any, callback: Any = None) -> Any:
        if channel._get_cookie() is not None or not callable(ack_nack_callback):
            return original(channel, ack_nack_callback, callback)  # it waits, or it is wrong
        unconfirmed = Unconfirmed()

        def confirmed(frame: Any) -> Any:
            guarded(unconfirmed.confirm)(frame.method)
            return ack_nack_callback(frame)

        result = original(channel, confirmed, callback)
        state(channel).unconfirmed = unconfirmed
        channel.add_on_close_callback(lambda _, reason: guarded(unconfirmed.abandon)(reason))
        return result

    return confirm_delivery


def returning(original: Method) -> Method:
    """A message comes back: it was mandatory, and no queue took it."""

    def on_return(channel: Any, method_frame: Any, header_frame: Any, body: bytes) -> Any:
        _note_return(channel, method_frame.method, header_frame.properties)
        return original(channel, method_frame, header_frame, body)

    return on_return


@guarded
def _note_return(channel: Any, method: Any, properties: BasicProperties) -> None:
    """On the publish span while that lasts, else on a span of its own below it."""
    telemetry = active()
    sent_by = message.sending_span(properties.headers)
    if telemetry is None or not sent_by.is_valid:
        return
    why = f"{method.reply_code} {method.reply_text}"
    unconfirmed = state(channel).unconfirmed
    waiting = None if unconfirmed is None else unconfirmed.find(sent_by.span_id)
    here = trace.get_current_span()
    if waiting is not None:
        waiting.fail(_UNROUTABLE, why)
    elif here.get_span_context().span_id == sent_by.span_id:
        fail(here, _UNROUTABLE, why)
    else:
        span = telemetry.tracer.start_span(
            message.span_name("return", method.exchange, method.routing_key),
            message.sender(properties.headers),
            attributes=message.attributes("return", "return", method.exchange, method.routing_key),
        )
        fail(span, _UNROUTABLE, why)
        span.end()
