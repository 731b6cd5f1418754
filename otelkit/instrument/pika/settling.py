"""Settling: a span for each ack, nack and reject, and the outcome on the process span."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from otelkit import names
from otelkit.instrument.context import in_hand, taking
from otelkit.instrument.pika.message import SYSTEM, Attributes, Delivery
from otelkit.instrument.pika.spans import active, current, guarded
from otelkit.instrument.pika.state import ChannelState, state
from otelkit.instrument.pika.work import at_hand
from otelkit.instrument.runtime import Signals
from otelkit.instrument.wrapping import Method

_SETTLE: Final = "settle"


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
    operation = settlement.operation
    one = deliveries[0] if len(deliveries) == 1 else None
    order = None if one is None else one.order
    with taking(order) if order != in_hand() else nullcontext():
        return telemetry.tracer.start_span(
            operation if not _alike(deliveries) else deliveries[0].span_name(operation),
            _parent(one),
            SpanKind.CLIENT,
            _attributes(known, settlement, deliveries),
            # Of a single message, the work on it is the parent, and links to the publisher itself.
            [] if one and one.work else [link for d in deliveries for link in d.links()],
        )


def _attributes(
    known: ChannelState, settlement: _Settlement, deliveries: list[Delivery]
) -> Attributes:
    outcome = {names.ATTR_MESSAGE_SETTLED: settlement.outcome}
    if deliveries and not settlement.multiple:
        return {**deliveries[0].attributes(settlement.operation, _SETTLE), **outcome}
    found: Attributes = {
        **known.server,
        "messaging.system": SYSTEM,
        "messaging.operation.name": settlement.operation,
        "messaging.operation.type": _SETTLE,
        "messaging.rabbitmq.message.delivery_tag": settlement.tag,
        **outcome,
    }
    if settlement.multiple:
        found["messaging.batch.message_count"] = len(deliveries)
    if _alike(deliveries):
        found["messaging.destination.name"] = deliveries[0].destination
    return found


def _alike(deliveries: list[Delivery]) -> bool:
    return len({delivery.destination for delivery in deliveries}) == 1


def _parent(delivery: Delivery | None) -> Context | None:
    """The work on the message, in whatever thread it is settled; None is the current context."""
    if delivery is None:
        return None
    if delivery.work is not None:
        return None if at_hand() is delivery.work else delivery.work.context
    return None if trace.get_current_span().get_span_context().is_valid else delivery.received
