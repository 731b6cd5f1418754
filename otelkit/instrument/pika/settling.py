"""Settling: a span for each ack, nack and reject, and the outcome on the process span."""

from __future__ import annotations

from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from otelkit import names
from otelkit.instrument.context import from_headers, taking
from otelkit.instrument.pika.message import SYSTEM, Attributes, Delivery, span_name
from otelkit.instrument.pika.spans import active, current, guarded
from otelkit.instrument.pika.state import ChannelState, state
from otelkit.instrument.pika.work import at_hand
from otelkit.instrument.runtime import Signals
from otelkit.instrument.wrapping import Method


class _Settlement(NamedTuple):
    """One call that settles: its operation, what becomes of the messages, and which they are."""

    operation: str
    outcome: str
    tag: int
    multiple: bool = False


def acking(original: Method) -> Method:
    def basic_ack(channel: Any, delivery_tag: int = 0, multiple: bool = False) -> Any:
        settlement = _Settlement("ack", names.SETTLED_ACK, delivery_tag, multiple)
        return _settled(channel, settlement, original, (delivery_tag, multiple))

    return basic_ack


def nacking(original: Method) -> Method:
    def basic_nack(
        channel: Any, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True
    ) -> Any:
        settlement = _Settlement("nack", _refused(requeue), delivery_tag, multiple)
        return _settled(channel, settlement, original, (delivery_tag, multiple, requeue))

    return basic_nack


def rejecting(original: Method) -> Method:
    def basic_reject(channel: Any, delivery_tag: int = 0, requeue: bool = True) -> Any:
        settlement = _Settlement("reject", _refused(requeue), delivery_tag)
        return _settled(channel, settlement, original, (delivery_tag, requeue))

    return basic_reject


def recovering(original: Method) -> Method:
    """``basic_recover``: the broker delivers all that is not settled anew."""

    def basic_recover(channel: Any, *args: Any, **kwargs: Any) -> Any:
        state(channel).unsettled.clear()
        return original(channel, *args, **kwargs)

    return basic_recover


def _refused(requeue: bool) -> str:
    return names.SETTLED_REQUEUE if requeue else names.SETTLED_REJECT


def _settled(channel: Any, settlement: _Settlement, original: Method, args: tuple[Any, ...]) -> Any:
    known, telemetry = state(channel), active()
    deliveries = known.take(settlement.tag, multiple=settlement.multiple)
    span = None if telemetry is None else _begin(telemetry, known, settlement, deliveries)
    if span is None:
        return original(channel, *args)
    try:
        with current(span):
            result = original(channel, *args)
    finally:
        span.end()
    for delivery in deliveries:
        if delivery.work is not None and delivery.work.span.is_recording():
            delivery.work.span.set_attribute(names.ATTR_MESSAGE_SETTLED, settlement.outcome)
    return result


@guarded
def _begin(
    telemetry: Signals, known: ChannelState, settlement: _Settlement, deliveries: list[Delivery]
) -> Span:
    operation, one = settlement.operation, deliveries[0] if deliveries else None
    alike = one is not None and len({delivery.destination for delivery in deliveries}) == 1
    name, order = operation, None
    if alike and one is not None:
        name = span_name(operation, one.exchange, one.routing_key, one.queue)
    if one is not None and len(deliveries) == 1:
        order = from_headers(one.headers)
    with taking(order):
        return telemetry.tracer.start_span(
            name,
            _parent(deliveries),
            SpanKind.CLIENT,
            _attributes(known, settlement, deliveries),
            [link for delivery in deliveries for link in delivery.links()],
        )


def _attributes(
    known: ChannelState, settlement: _Settlement, deliveries: list[Delivery]
) -> Attributes:
    found: Attributes = known.server | {
        "messaging.system": SYSTEM,
        "messaging.operation.name": settlement.operation,
        "messaging.operation.type": "settle",
        names.ATTR_MESSAGE_SETTLED: settlement.outcome,
    }
    found["messaging.rabbitmq.message.delivery_tag"] = settlement.tag
    if settlement.multiple:
        found["messaging.batch.message_count"] = len(deliveries)
    elif deliveries:
        found |= deliveries[0].attributes(settlement.operation, "settle")
    destinations = {delivery.destination for delivery in deliveries}
    if len(destinations) == 1:
        found["messaging.destination.name"] = destinations.pop()
    return found


def _parent(deliveries: list[Delivery]) -> Context | None:
    """The work on the message, in whatever thread it is settled; None is the current context."""
    if len(deliveries) != 1:
        return None
    (delivery,) = deliveries
    if delivery.work is not None:
        return None if at_hand() is delivery.work else delivery.work.context
    return None if trace.get_current_span().get_span_context().is_valid else delivery.received
