"""Context and order through a real broker, and what a consumer leaves behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pika
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from pika.adapters.blocking_connection import BlockingChannel
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Init, Spans
from otelkit.instrument import pika as instrumentation

FAMILY = "messaging_process_duration_seconds"


@pytest.fixture
def connection(vhost: str) -> Iterator[pika.BlockingConnection]:
    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as made:
        yield made


@pytest.fixture
def channel(connection: pika.BlockingConnection) -> BlockingChannel:
    """Opened before ``init``, as in many a service."""
    made = connection.channel()
    made.confirm_delivery()
    made.queue_declare("parts")
    return made


class Handler:
    """Handles one message, and remembers which order was in hand."""

    def __init__(self, error: Exception | None = None) -> None:
        self.orders: list[otelkit.Order | None] = []
        self.headers: dict[str, Any] = {}
        self._error = error

    def __call__(self, channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        self.orders.append(otelkit.current_order())
        self.headers = properties.headers or {}
        channel.stop_consuming()
        if self._error is not None:
            raise self._error


def publish(channel: BlockingChannel, properties: pika.BasicProperties | None = None) -> None:
    channel.basic_publish("", "parts", b"bolt", properties)


def consume(channel: BlockingChannel, handler: Any) -> None:
    channel.basic_consume("parts", handler, True)
    channel.start_consuming()


def processed(registry: CollectorRegistry, error_type: str = "") -> float | None:
    labels = {
        "messaging_system": "rabbitmq",
        "messaging_destination_name": "parts",
        "messaging_operation_name": "process",
        "error_type": error_type,
    }
    return registry.get_sample_value(f"{FAMILY}_count", labels)


def test_trace_and_order_travel_with_a_message_by_one_span_each_way(
    init: Init, spans: Spans, channel: BlockingChannel, registry: CollectorRegistry
) -> None:
    init()
    handler = Handler()
    with otelkit.order("A-1", process="repair", tier="vip", partner="acme"):
        publish(channel)
    consume(channel, handler)
    (order,) = handler.orders
    assert order is not None
    assert (order.id, order.process, order.tier, order.partner) == ("A-1", "repair", "vip", "acme")
    assert otelkit.current_order() is None
    sent, taken = spans()["publish parts"], spans()["process parts"]
    assert len(spans()) == 2
    assert (sent.kind, taken.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert taken.parent is not None
    assert taken.parent.span_id == sent.context.span_id, "a young message is a child"
    assert [link.context.span_id for link in taken.links] == [sent.context.span_id]
    for span in (sent, taken):
        attributes = span.attributes or {}
        assert attributes["messaging.destination.name"] == "parts"
        assert attributes["order.id"] == "A-1"
    assert processed(registry) == 1


def test_an_old_message_begins_a_trace_that_links_to_its_publisher(
    init: Init, spans: Spans, channel: BlockingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    init()
    publish(channel)
    later = time.time() + instrumentation.YOUNG_SECONDS + 1
    monkeypatch.setattr("otelkit.instrument.pika.message.time.time", lambda: later)
    consume(channel, Handler())
    sent, taken = spans()["publish parts"], spans()["process parts"]
    assert taken.parent is None
    assert taken.context.trace_id != sent.context.trace_id
    assert [link.context.span_id for link in taken.links] == [sent.context.span_id]


def test_a_message_from_elsewhere_begins_a_trace_without_an_order(
    init: Init, spans: Spans, channel: BlockingChannel
) -> None:
    headers = {"traceparent": b"\xff", "otelkit-order-id": "", "otelkit-sent-at": "soon"}
    publish(channel, pika.BasicProperties(headers=headers))
    init()
    handler = Handler()
    consume(channel, handler)
    assert handler.orders == [None]
    assert spans()["process parts"].parent is None
    assert not spans()["process parts"].links


def test_the_callers_properties_are_not_touched(init: Init, channel: BlockingChannel) -> None:
    init()
    handler = Handler()
    mine = pika.BasicProperties(headers={"mine": "1"}, delivery_mode=2, message_id="m-1")
    with otelkit.order("A-1"):
        publish(channel, mine)
    consume(channel, handler)
    assert mine.headers == {"mine": "1"}
    assert handler.headers["mine"] == "1"
    assert handler.headers["otelkit-order-id"] == "A-1"


def test_a_handler_that_fails_is_an_error_with_its_type_and_raises_on(
    init: Init, spans: Spans, channel: BlockingChannel, registry: CollectorRegistry
) -> None:
    init()
    publish(channel)
    error = KeyError("no such part")
    with pytest.raises(KeyError) as caught:
        consume(channel, Handler(error))
    assert caught.value is error
    span = spans()["process parts"]
    assert (span.attributes or {})["error.type"] == "KeyError"
    assert span.status.status_code is StatusCode.ERROR
    assert processed(registry, "KeyError") == 1
    assert processed(registry) == 0, "the series of successes starts at 0"
    assert otelkit.current_order() is None


def test_a_consumer_from_before_init_is_observed_from_then_on(
    init: Init, spans: Spans, vhost: str, registry: CollectorRegistry
) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
        otelkit.pika.instrument(connection)
        otelkit.pika.instrument(connection)
        channel = connection.channel()
        channel.queue_declare("parts")
        handler = Handler()
        channel.basic_consume(queue="parts", on_message_callback=handler, auto_ack=True)
        init()
        assert processed(registry) == 0
        with otelkit.order("A-1"):
            channel.basic_publish(exchange="amq.direct", routing_key="none", body=b"lost")
            channel.basic_publish(exchange="", routing_key="parts", body=b"bolt")
        channel.start_consuming()
    assert [order and order.id for order in handler.orders] == ["A-1"]
    assert sorted(spans()) == ["process parts", "publish amq.direct:none", "publish parts"]


def test_a_select_connection_publishes_and_consumes_alike(
    init: Init, spans: Spans, vhost: str, channel: BlockingChannel
) -> None:
    init()
    handler = Handler()

    def opened(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=started)

    def started(channel: Any) -> None:
        channel.basic_consume("parts", handle, auto_ack=True)
        with otelkit.order("A-1"):
            channel.basic_publish("", "parts", b"bolt")

    def handle(channel: Any, _method: Any, _properties: Any, _body: bytes) -> None:
        handler.orders.append(otelkit.current_order())
        channel.connection.close()

    loop = pika.SelectConnection(
        pika.URLParameters(vhost),
        on_open_callback=opened,
        on_close_callback=lambda made, _: made.ioloop.stop(),
    )
    loop.ioloop.call_later(10, loop.ioloop.stop)
    loop.ioloop.start()
    loop.ioloop.close()
    assert [order and order.id for order in handler.orders] == ["A-1"]
    assert sorted(spans()) == ["process parts", "publish parts"]
    assert channel.is_open


def test_messages_pass_before_init_and_after_shutdown(
    init: Init, spans: Spans, channel: BlockingChannel
) -> None:
    telemetry = init()
    telemetry.shutdown()
    publish(channel)
    consume(channel, Handler())
    assert spans() == {}
