"""What otelkit does with pika, row by row of the table in docs/pika.md; see behaviours.py."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pika
from opentelemetry import context
from opentelemetry.trace import StatusCode
from pika.exceptions import UnroutableError

from instrument.behaviours import QUEUE, Bus, attribute, attribute_like, behaviour, context_left

# --- publishing ----------------------------------------------------------------------------


@behaviour("publish spans for one message, BlockingConnection", "1")
def test_a_blocking_channel_publishes_with_one_span(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    return str(len(bus.published))


def _publishing(bus: Bus, channel: Any, close: Any) -> None:
    bus.publish(channel)
    close()


@behaviour("publish spans for one message, SelectConnection", "1")
def test_a_select_connection_publishes_with_one_span(bus: Bus) -> str:
    bus.start()
    bus.select(lambda channel, close: _publishing(bus, channel, close))
    return str(len(bus.published))


@behaviour("publish spans for one message, AsyncioConnection", "1")
def test_an_asyncio_connection_publishes_with_one_span(bus: Bus) -> str:
    bus.start()
    bus.asyncio(lambda channel, close: _publishing(bus, channel, close))
    return str(len(bus.published))


@behaviour("publish spans for one message, instrumented twice", "1")
def test_instrumenting_twice_gives_one_span(bus: Bus) -> str:
    bus.start()
    bus.start()
    bus.publish(bus.another_channel())
    return str(len(bus.published))


@behaviour("publish spans for one message, everything and then its channel instrumented", "1")
def test_instrumenting_a_channel_on_top_gives_one_span(bus: Bus) -> str:
    bus.start()
    channel = bus.another_channel()
    bus.start_one(channel)
    bus.publish(channel)
    return str(len(bus.published))


@behaviour("publish spans on a channel opened before", "1")
def test_a_channel_opened_before_is_covered(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.channel)
    return str(len(bus.published))


@behaviour("the caller's BasicProperties after a publish", "as they were")
def test_the_callers_properties_are_not_touched(bus: Bus) -> str:
    bus.start()
    mine = pika.BasicProperties(headers={"mine": "1"})
    bus.another_channel().basic_publish("", QUEUE, b"bolt", mine)
    return "as they were" if mine.headers == {"mine": "1"} else "with headers added"


@behaviour(
    "`messaging.destination.name` of a publish to amq.direct with key parts", "amq.direct:parts"
)
def test_the_destination_is_exchange_and_routing_key(bus: Bus) -> str:
    bus.start()
    bus.another_channel().basic_publish("amq.direct", QUEUE, b"bolt")
    return str(attribute(bus.published[0], "messaging.destination.name"))


@behaviour("a lasting queue is called temporary", "no")
def test_a_destination_is_not_called_temporary(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    names = ("messaging.temp_destination", "messaging.destination.temporary")
    return "yes" if any(attribute(bus.published[0], name) is True for name in names) else "no"


def _lose(channel: Any) -> None:
    channel.basic_publish("", "nowhere", b"lost", mandatory=True)


@behaviour(
    "`error.type` of an unroutable message, BlockingConnection with confirms", "UnroutableError"
)
def test_an_unroutable_message_fails_its_span(bus: Bus) -> str:
    bus.start()
    channel = bus.another_channel()
    channel.confirm_delivery()
    with suppress(UnroutableError):
        _lose(channel)
    return str(attribute(bus.published[0], "error.type"))


@behaviour(
    "`error.type` of an unroutable message, SelectConnection with confirms", "UnroutableError"
)
def test_an_unroutable_message_of_a_select_connection_fails_its_span(bus: Bus) -> str:
    def work(channel: Any, close: Any) -> None:
        channel.confirm_delivery(lambda _: close())
        _lose(channel)

    bus.start()
    bus.select(work)
    return str(attribute(bus.published[0], "error.type"))


@behaviour("a publish span lasts until the confirm, SelectConnection", "yes")
def test_a_publish_span_of_a_select_connection_lasts_until_the_confirm(bus: Bus) -> str:
    confirmed_at: list[int] = []

    def work(channel: Any, close: Any) -> None:
        def confirmed(_: Any) -> None:
            confirmed_at.append(len(bus.published))
            close()

        channel.confirm_delivery(confirmed)
        bus.publish(channel)
        confirmed_at.append(len(bus.published))

    bus.start()
    bus.select(work)
    return "yes" if confirmed_at == [0, 1] else "no"


# --- consuming -----------------------------------------------------------------------------


@behaviour("process spans for one message, BlockingConnection", "1")
def test_a_blocking_consumer_has_one_span(bus: Bus) -> str:
    bus.start()
    bus.publish()
    bus.consume()
    return str(len(bus.consumed))


def _consuming(channel: Any, close: Any) -> None:
    channel.basic_consume(QUEUE, lambda *_: close(), auto_ack=True)


@behaviour("process spans for one message, SelectConnection", "1")
def test_a_select_consumer_has_one_span(bus: Bus) -> str:
    bus.start()
    bus.publish()
    bus.select(_consuming)
    return str(len(bus.consumed))


@behaviour("process spans for one message, AsyncioConnection", "1")
def test_an_asyncio_consumer_has_one_span(bus: Bus) -> str:
    bus.start()
    bus.publish()
    bus.asyncio(_consuming)
    return str(len(bus.consumed))


@behaviour("process spans of a consumer registered before, BlockingConnection", "1")
def test_a_blocking_consumer_from_before_is_covered(bus: Bus) -> str:
    bus.publish()
    bus.channel.basic_consume(QUEUE, lambda channel, *_: channel.stop_consuming(), True)
    bus.start()
    bus.channel.start_consuming()
    return str(len(bus.consumed))


@behaviour("process spans of a consumer registered before, SelectConnection", "1")
def test_a_select_consumer_from_before_is_covered(bus: Bus) -> str:
    def work(channel: Any, close: Any) -> None:
        _consuming(channel, close)
        bus.start()
        bus.publish()

    bus.select(work)
    return str(len(bus.consumed))


@behaviour("a consumer's span links to the publisher's", "yes")
def test_a_process_span_links_to_its_publisher(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    bus.consume()
    (taken,), sent = bus.consumed, bus.published
    linked = {link.context.span_id for link in taken.links}
    return "yes" if linked & {span.context.span_id for span in sent} else "no"


@behaviour("trace of a message that has waited an hour", "its own")
def test_an_old_message_begins_a_trace_of_its_own(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    now = time.time
    with patch("time.time", lambda: now() + 3600):
        bus.consume()
    (taken,) = bus.consumed
    return "its own" if taken.parent is None else "the publisher's"


@behaviour("status and `error.type` of a handler that raises KeyError", "ERROR, KeyError")
def test_a_handlers_error_is_on_its_span(bus: Bus) -> str:
    def handle(*_: Any) -> None:
        raise KeyError("no such part")

    bus.start()
    bus.publish()
    with suppress(KeyError):
        bus.consume(handle)
    (taken,) = bus.consumed
    what = "ERROR" if taken.status.status_code is StatusCode.ERROR else "no error"
    return f"{what}, {attribute(taken, 'error.type')}"


@behaviour("a handler under suppress_instrumentation", "called, 0 spans")
def test_suppression_is_respected(bus: Bus) -> str:
    handled: list[str] = []
    bus.start()
    bus.publish()
    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY")  # noqa: B009
    ctx = context.set_value("suppress_instrumentation", True, context.set_value(key, True))
    token = context.attach(ctx)
    before = len(bus.published)
    try:
        bus.publish(bus.another_channel())
        bus.consume(lambda *_: handled.append("called"))
    finally:
        context.detach(token)
    return f"{handled[0]}, {len(bus.consumed) + len(bus.published) - before} spans"


# --- consume() and basic_get ---------------------------------------------------------------


@behaviour("span of 50 ms of work on a message of consume()", "50 ms or more")
def test_the_span_of_consume_lasts_as_long_as_the_work(bus: Bus) -> str:
    bus.start()
    bus.publish()
    channel = bus.another_channel()
    for _ in channel.consume(QUEUE, auto_ack=True):
        time.sleep(0.05)
        break
    (taken,) = bus.consumed
    seconds = ((taken.end_time or 0) - (taken.start_time or 0)) / 1e9
    return "50 ms or more" if seconds >= 0.05 else "below 1 ms" if seconds < 0.001 else "less"


@behaviour("a span of the service's own in a consume() loop", "child of the message's")
def test_a_span_in_a_consume_loop_is_a_child(bus: Bus) -> str:
    bus.start()
    bus.publish()
    for _ in bus.another_channel().consume(QUEUE, auto_ack=True):
        with bus.tracer.start_as_current_span("fit") as span:
            parent: Any = getattr(span, "parent", None)
        break
    (taken,) = bus.consumed
    right = parent is not None and parent.span_id == taken.context.span_id
    return "child of the message's" if right else "no child"


@behaviour("context left after break", "none")
def test_break_leaves_no_context(bus: Bus) -> str:
    bus.start()
    bus.publish()
    for _ in bus.another_channel().consume(QUEUE, auto_ack=True):
        break
    return context_left()


@behaviour("context left after cancel()", "none")
def test_cancel_leaves_no_context(bus: Bus) -> str:
    bus.start()
    bus.publish()
    channel = bus.another_channel()
    messages = channel.consume(QUEUE, auto_ack=True)
    next(messages)
    channel.cancel()
    return context_left()


@behaviour("context while consume() waits in vain", "none")
def test_an_inactive_consume_has_no_context(bus: Bus) -> str:
    bus.start()
    bus.publish()
    channel = bus.another_channel()
    messages = channel.consume(QUEUE, auto_ack=True, inactivity_timeout=0.01)
    for method, _, _ in messages:
        if method is None:
            return context_left()
    return "no turn"


@behaviour("spans of a basic_get that finds a message", "1")
def test_a_get_has_a_span(bus: Bus) -> str:
    bus.start()
    bus.publish()
    assert bus.another_channel().basic_get(QUEUE, auto_ack=True)[0] is not None
    return str(len(bus.consumed))


@behaviour("spans of a basic_get that finds none", "0")
def test_a_get_in_vain_has_no_span(bus: Bus) -> str:
    bus.start()
    assert bus.another_channel().basic_get(QUEUE, auto_ack=True)[0] is None
    return str(len(bus.consumed))


# --- settling ------------------------------------------------------------------------------


def _settled(bus: Bus, settle: Any) -> str:
    """The settle span of a message, and what its process span says of the outcome."""
    bus.start()
    bus.publish()
    bus.consume(settle, auto_ack=False)
    if not bus.settled:
        return "no span"
    span, (taken,) = bus.settled[0], bus.consumed
    name, outcome = (
        attribute(span, "messaging.operation.name"),
        attribute_like(taken, "message.settled"),
    )
    return f"{name} span, outcome {outcome}"


@behaviour("basic_ack", "ack span, outcome ack")
def test_an_ack_has_a_span(bus: Bus) -> str:
    return _settled(bus, lambda channel, method, *_: channel.basic_ack(method.delivery_tag))


@behaviour("basic_nack with requeue", "nack span, outcome requeue")
def test_a_nack_has_a_span(bus: Bus) -> str:
    return _settled(bus, lambda channel, method, *_: channel.basic_nack(method.delivery_tag))


@behaviour("basic_reject without requeue", "reject span, outcome reject")
def test_a_reject_has_a_span(bus: Bus) -> str:
    return _settled(
        bus, lambda channel, method, *_: channel.basic_reject(method.delivery_tag, requeue=False)
    )


@behaviour("basic_ack of two messages at once", "1 ack span of 2 messages")
def test_an_ack_of_several_messages_has_one_span(bus: Bus) -> str:
    bus.start()
    bus.publish()
    bus.publish()
    channel = bus.another_channel()
    tags = [channel.basic_get(QUEUE)[0].delivery_tag for _ in range(2)]
    channel.basic_ack(tags[-1], multiple=True)
    if not bus.settled:
        return "no span"
    count = attribute(bus.settled[0], "messaging.batch.message_count")
    return f"{len(bus.settled)} ack span of {count} messages"


# --- why a message is here -----------------------------------------------------------------


def _told(bus: Bus, name: str) -> str:
    (*_, taken) = bus.consumed
    return str(attribute_like(taken, name))


@behaviour("a message delivered again says so", "True")
def test_a_redelivered_message_says_so(bus: Bus) -> str:
    bus.start()
    bus.publish()
    bus.consume(lambda channel, method, *_: channel.basic_nack(method.delivery_tag), auto_ack=False)
    bus.consume()
    return _told(bus, "redelivered")


@behaviour("a dead-lettered message says why, whence and how often", "rejected, work, 1")
def test_a_dead_lettered_message_says_why(bus: Bus) -> str:
    bus.start()
    channel = bus.another_channel()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE}
    channel.queue_declare("work", arguments=arguments)
    channel.basic_publish("", "work", b"bolt")
    for method, _, _ in channel.consume("work"):
        channel.basic_reject(method.delivery_tag, requeue=False)
        break
    channel.cancel()
    bus.consume()
    told = [_told(bus, f"death.{what}") for what in ("reason", "queue", "count")]
    return ", ".join(told) if set(told) != {"absent"} else "absent"


@behaviour("seconds that a message has waited", "10")
def test_a_message_says_how_long_it_has_waited(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    now = time.time
    with patch("time.time", lambda: now() + 10):
        bus.consume()
    return _told(bus, "waited_seconds").split(".")[0]


@behaviour("broker's address on every span", "yes")
def test_every_span_says_which_broker(bus: Bus) -> str:
    bus.start()
    bus.publish(bus.another_channel())
    bus.consume(lambda channel, method, *_: channel.basic_ack(method.delivery_tag), auto_ack=False)
    spans = bus.published + bus.consumed + bus.settled
    names = ("server.address", "net.peer.name")
    return "yes" if all(any(attribute(s, n) != "absent" for n in names) for s in spans) else "no"


@behaviour("messages without a trace get one process span", "1, no link")
def test_a_message_from_elsewhere_begins_a_trace(bus: Bus) -> str:
    bus.publish()
    bus.start()
    bus.consume()
    (taken,) = bus.consumed
    return f"{len(bus.consumed)}, {'no link' if not taken.links and not taken.parent else 'linked'}"
