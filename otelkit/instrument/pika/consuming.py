"""Consuming: a process span around each callback, and around each turn of a ``consume()`` loop."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final

from otelkit.instrument.pika.message import Delivery
from otelkit.instrument.pika.spans import active, guarded
from otelkit.instrument.pika.state import Queue, delivered, state
from otelkit.instrument.pika.work import working
from otelkit.instrument.wrapping import Method, is_wrapped

_OBSERVED: Final = "__otelkit_consumer__"


# --- the channel below all adapters --------------------------------------------------------


def subscribing(original: Method) -> Method:
    """``basic_consume``: which queue does a consumer read?"""

    def basic_consume(
        channel: Any, queue: str, on_message_callback: Any, *args: Any, **kwargs: Any
    ) -> Any:
        tag = original(channel, queue, on_message_callback, *args, **kwargs)
        known = state(channel)
        left = {t: known.queues[t] for t in known.queues if t in channel._consumers}
        known.queues = left | {tag: Queue(queue)}
        return tag

    return basic_consume


def delivering(original: Method) -> Method:
    """A message arrives, for a callback or for a blocking channel that keeps it for one."""

    def on_deliver(channel: Any, method_frame: Any, header_frame: Any, body: bytes) -> Any:
        telemetry, method = active(), method_frame.method
        delivery = (
            None if telemetry is None else _noted(channel, method, header_frame.properties, body)
        )
        if telemetry is None or delivery is None or not _has_callback(channel, method):
            return original(channel, method_frame, header_frame, body)
        with working(telemetry, delivery):
            return original(channel, method_frame, header_frame, body)

    return on_deliver


@guarded
def _noted(channel: Any, method: Any, properties: Any, body: bytes) -> Delivery:
    known, tag = state(channel), method.consumer_tag
    queue = known.queues.get(tag)
    delivery = delivered(channel, method, properties, body, queue.name if queue else "")
    if tag not in channel._consumers_with_noack:
        known.unsettled[method.delivery_tag] = delivery
    return delivery


def _has_callback(channel: Any, method: Any) -> bool:
    """Whether the service's callback is called at once; pika's own hand the message on."""
    tag = method.consumer_tag
    callback = channel._consumers.get(tag)
    return callback is not None and tag not in channel._cancelled and not is_pikas_own(callback)


def is_pikas_own(callback: Any) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    owner = getattr(callback, "__self__", None)
    module = type(owner).__module__ if owner is not None else getattr(callback, "__module__", "")
    return str(module).startswith("pika.")


# --- blocking channels ---------------------------------------------------------------------


def registering(original: Method) -> Method:
    """``basic_consume`` of a blocking channel."""

    def basic_consume(channel: Any, *args: Any, **kwargs: Any) -> Any:
        tag = original(channel, *args, **kwargs)
        _adopt(channel)
        return tag

    return basic_consume


def dispatching(original: Method) -> Method:
    """Callbacks are about to be called, those from before ``init`` among them."""

    def dispatch_events(channel: Any) -> Any:
        _adopt(channel)
        return original(channel)

    return dispatch_events


@guarded
def _adopt(channel: Any) -> None:
    for consumer in channel._consumer_infos.values():
        callback = consumer.on_message_callback
        if callback is not None and not hasattr(callback, _OBSERVED):
            consumer.on_message_callback = _observed(callback)


def _observed(callback: Method) -> Method:
    @functools.wraps(callback)
    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> Any:
        telemetry = active()
        delivery = _delivered(channel, method, properties, body)
        # Of a class or connection that is instrumented no more, consumers may be left.
        hooked = is_wrapped(channel._dispatch_events)
        if telemetry is None or delivery is None or not hooked:
            return callback(channel, method, properties, body)
        with working(telemetry, delivery):
            return callback(channel, method, properties, body)

    setattr(on_message, _OBSERVED, True)
    return on_message


_delivered: Final = guarded(functools.partial(delivered, queue=""))


def iterating(original: Method) -> Method:
    """``consume()``: the caller works on a message until it asks for the next one."""

    def consume(channel: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with closing(original(channel, *args, **kwargs)) as messages:
            for message in messages:
                with _in_hand(channel, *message):
                    yield message

    return consume


@contextmanager
def _in_hand(channel: Any, method: Any, properties: Any, body: Any) -> Iterator[None]:
    telemetry = active()
    if telemetry is None or method is None:  # None: nothing has come within its timeout
        yield
        return
    delivery = _delivered(channel, method, properties, body)
    with ExitStack() as stack:
        if delivery is not None:
            stack.enter_context(working(telemetry, delivery))
            state(channel).at_work = stack  # `cancel` ends it, too
        yield


def cancelling(original: Method) -> Method:
    """``cancel()``: nobody works on the last message of ``consume()`` any more."""

    def cancel(channel: Any) -> Any:
        state(channel).end_work()
        return original(channel)

    return cancel
