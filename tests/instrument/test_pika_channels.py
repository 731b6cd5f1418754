"""Channels: which are covered, what is kept of each, and what goes on whatever happens to us."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pika
import pytest
from opentelemetry import propagate
from opentelemetry.trace import StatusCode
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ChannelWrongStateError
from prometheus_client import CollectorRegistry

import otelkit
from instrument.behaviours import QUEUE, Bus, attribute
from otelkit import names
from otelkit.instrument.pika.state import state

PIKAS_OWN = {cls: dict(vars(cls)) for cls in (Channel, BlockingChannel)}


def test_uninstrumenting_puts_pikas_own_methods_back(bus: Bus) -> None:
    bus.start()
    assert {cls: dict(vars(cls)) for cls in PIKAS_OWN} != PIKAS_OWN
    handled: list[str] = []

    def handle(channel: Any, *_: Any) -> None:
        handled.append("called")
        channel.stop_consuming()

    bus.channel.basic_consume(QUEUE, handle, True)
    otelkit.pika.uninstrument_classes()
    assert {cls: dict(vars(cls)) for cls in PIKAS_OWN} == PIKAS_OWN
    bus.publish()
    bus.channel.start_consuming()
    assert handled == ["called"]
    assert bus.consumed == [], "of a consumer that was registered before, too"


def test_one_connection_is_instrumented_without_the_others(bus: Bus, bus_vhost: str) -> None:
    bus.start()
    otelkit.pika.uninstrument_classes()
    with closing(pika.BlockingConnection(pika.URLParameters(bus_vhost))) as connection:
        early = connection.channel()
        otelkit.pika.instrument(connection)
        bus.publish()
        assert bus.published == []
        bus.publish(early)
        bus.publish(connection.channel())
        assert len(bus.published) == 2
        otelkit.pika.uninstrument(connection)
        bus.publish(early)
        assert len(bus.published) == 2


def test_a_wrapper_that_others_put_around_ours_stays(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.start()
    ours = BlockingChannel.basic_publish

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    theirs.__dict__.update(ours.__dict__)
    monkeypatch.setattr(BlockingChannel, "basic_publish", theirs)
    otelkit.pika.uninstrument_classes()
    assert BlockingChannel.basic_publish is theirs


def test_what_is_settled_is_forgotten_and_what_is_not_is_known(bus: Bus) -> None:
    bus.start()
    for _ in range(4):
        bus.publish()
    channel = bus.another_channel()
    tags = [channel.basic_get(QUEUE)[0].delivery_tag for _ in range(4)]
    known = state(channel).unsettled
    assert list(known) == tags
    channel.basic_ack(tags[1], multiple=True)
    assert list(known) == tags[2:]
    channel.basic_nack(0, multiple=True, requeue=False)
    assert known == {}
    nack = bus.settled[-1]
    assert attribute(nack, "messaging.batch.message_count") == 2
    assert attribute(nack, names.ATTR_MESSAGE_SETTLED) == names.SETTLED_REJECT
    assert attribute(nack, "messaging.destination.name") == QUEUE


def test_what_needs_no_settling_is_not_remembered(bus: Bus) -> None:
    bus.start()
    bus.publish()
    assert state(bus.consume(auto_ack=True)).unsettled == {}
    bus.publish()
    channel = bus.another_channel()
    assert channel.basic_get(QUEUE, auto_ack=True)[0] is not None
    assert state(channel).unsettled == {}


def test_what_the_broker_delivers_anew_is_not_remembered_twice(bus: Bus) -> None:
    bus.start()
    bus.publish()
    channel = bus.another_channel()
    channel.basic_get(QUEUE)
    channel.basic_recover(requeue=True)
    assert state(channel).unsettled == {}


def test_settling_on_a_closed_channel_fails_its_span_and_raises_on(bus: Bus) -> None:
    bus.start()
    bus.publish()
    channel = bus.another_channel()
    method, _, _ = channel.basic_get(QUEUE)
    channel.close()
    with pytest.raises(ChannelWrongStateError):
        channel.basic_ack(method.delivery_tag)
    assert attribute(bus.settled[0], "error.type") == "ChannelWrongStateError"


def test_a_mandatory_message_without_confirms_comes_back_as_a_span_of_its_own(bus: Bus) -> None:
    bus.start()
    channel = bus.another_channel()
    channel.basic_publish("", "nowhere", b"lost", mandatory=True)
    channel.queue_declare(QUEUE, passive=True)  # the broker's next answer comes after the return
    (sent,) = bus.published
    (returned,) = [span for span in bus.finished() if span.name == "return nowhere"]
    assert returned.parent is not None
    assert returned.parent.span_id == sent.context.span_id
    assert returned.status.status_code is StatusCode.ERROR
    assert returned.status.description == "312 NO_ROUTE"


def test_confirms_end_the_spans_of_their_messages_and_a_closed_channel_the_rest(bus: Bus) -> None:
    def work(channel: Any, close: Callable[[], None]) -> None:
        def confirm(_: Any) -> None:
            if len(bus.published) == 2:
                channel.basic_publish("no such exchange", "", b"lost")

        channel.add_on_close_callback(lambda *_: close())
        channel.confirm_delivery(confirm)
        bus.publish(channel)
        bus.publish(channel)

    bus.start()
    bus.select(work)
    errors = [attribute(span, "error.type") for span in bus.published]
    assert errors == ["absent", "absent", ChannelClosedByBroker.__name__]


def test_messages_are_counted_by_exchange_queue_and_error(
    bus: Bus, registry: CollectorRegistry
) -> None:
    def count(name: str, destination: str, **labels: str) -> float | None:
        usual = {"messaging_system": "rabbitmq", "messaging_destination_name": destination}
        return registry.get_sample_value(name, usual | labels)

    def sent(destination: str, error: str = "") -> float | None:
        name, labels = "messaging_client_sent_messages_total", {"error_type": error}
        return count(name, destination, messaging_operation_name="publish", **labels)

    bus.start()
    channel = bus.another_channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "order.A-1042", b"bolt")
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("amq.topic", "order.A-1042", b"bolt", mandatory=True)
    bus.publish(channel)
    bus.consume()
    bus.publish(channel)
    channel.basic_get(QUEUE, auto_ack=True)
    assert (sent("amq.topic"), sent("amq.topic", "UnroutableError"), sent(QUEUE)) == (1, 1, 2)
    consumed = "messaging_client_consumed_messages_total"
    assert count(consumed, QUEUE, messaging_operation_name="process") == 1
    assert count(consumed, QUEUE, messaging_operation_name="get") == 1


def test_a_queue_that_the_broker_names_has_no_span_name_of_its_own(bus: Bus) -> None:
    bus.start()
    channel = bus.another_channel()
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", name, b"answer")
    (sent,) = bus.published
    assert sent.name == "publish"
    assert attribute(sent, "messaging.destination.anonymous") is True


def test_the_destination_of_a_consumer_is_exchange_routing_key_and_queue(bus: Bus) -> None:
    bus.start()
    channel = bus.another_channel()
    channel.queue_bind(QUEUE, "amq.direct", "bolts")
    channel.basic_publish("amq.direct", "bolts", b"bolt")
    bus.consume()
    channel.queue_unbind(QUEUE, "amq.direct", "bolts")
    (taken,) = bus.consumed
    assert attribute(taken, "messaging.destination.name") == f"amq.direct:bolts:{QUEUE}"
    assert taken.name == f"process amq.direct:bolts:{QUEUE}"


def test_headers_that_make_no_sense_are_left_alone(bus: Bus) -> None:
    headers = {"x-death": ["?", {}], "traceparent": 1, "otelkit-sent-at": "x", "baggage": None}
    bus.publish(headers=headers)
    bus.start()
    handled: list[Any] = []
    bus.consume(lambda *message: handled.append(message[2].headers))
    assert handled == [headers]
    assert len(bus.consumed) == 1


def test_a_propagator_that_fails_costs_no_message(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no context today")

    bus.start()
    monkeypatch.setattr(propagate, "inject", fail)
    monkeypatch.setattr(propagate, "extract", fail)
    handled: list[bytes] = []

    def handle(channel: Any, method: Any, _: Any, body: bytes) -> None:
        handled.append(body)
        channel.basic_ack(method.delivery_tag)

    bus.publish()
    bus.consume(handle, auto_ack=False)
    assert handled == [b"bolt"]
    assert "no context today" in caplog.text


def test_wrong_arguments_are_pikas_to_complain_of(bus: Bus) -> None:
    bus.start()
    with pytest.raises(TypeError, match="basic_publish"):
        bus.channel.basic_publish("", QUEUE)
    with pytest.raises(TypeError):
        bus.channel.basic_publish("", QUEUE, b"bolt", pika.BasicProperties(), False, "more")
