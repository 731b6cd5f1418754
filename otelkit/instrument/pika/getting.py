"""``basic_get``: a span for each message that it fetches; looking in vain makes none."""

from __future__ import annotations

import time
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind

from otelkit.instrument.context import taking
from otelkit.instrument.pika.consuming import is_pikas_own
from otelkit.instrument.pika.message import SYSTEM, Delivery
from otelkit.instrument.pika.spans import active, guarded
from otelkit.instrument.pika.state import Asked, delivered, state
from otelkit.instrument.pika.work import working
from otelkit.instrument.runtime import Signals
from otelkit.instrument.wrapping import Method

_GET: Final = "get"


def asking(original: Method) -> Method:
    def basic_get(channel: Any, queue: str, callback: Any, auto_ack: bool = False) -> Any:
        asked = Asked(queue, auto_ack, time.time_ns(), context.get_current())
        result = original(channel, queue, callback, auto_ack)
        state(channel).asked = asked
        return result

    return basic_get


def receiving(original: Method) -> Method:
    """The message is there, for a callback or for a blocking channel that returns it."""

    def on_getok(channel: Any, method_frame: Any, header_frame: Any, body: bytes) -> Any:
        telemetry, callback = active(), channel._on_getok_callback
        message = (method_frame.method, header_frame.properties, body)
        delivery = None if telemetry is None else _received(telemetry, channel, *message)
        if telemetry is None or delivery is None or is_pikas_own(callback):
            return original(channel, method_frame, header_frame, body)
        with working(telemetry, delivery):
            return original(channel, method_frame, header_frame, body)

    return on_getok


@guarded
def _received(
    telemetry: Signals, channel: Any, method: Any, properties: Any, body: bytes
) -> Delivery | None:
    known = state(channel)
    asked, known.asked = known.asked, None
    if asked is None:  # before `init`
        return None
    delivery = delivered(channel, method, properties, body, asked.queue)
    if not asked.auto_ack:
        known.unsettled[delivery.tag] = delivery
    with taking(delivery.order):
        span = telemetry.tracer.start_span(
            delivery.span_name(_GET),
            asked.context,
            SpanKind.CONSUMER,
            delivery.attributes(_GET, "receive") | delivery.arrival(),
            delivery.links(),
            start_time=asked.at,
        )
    span.end()
    delivery.received = trace.set_span_in_context(span, asked.context)
    telemetry.metrics.consumed.labels(SYSTEM, delivery.queue, _GET).inc()
    return delivery
