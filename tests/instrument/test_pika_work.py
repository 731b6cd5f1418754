"""Work on a message that is not a callback's alone: threads, tasks, blocks, loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client import CollectorRegistry

import otelkit
from instrument.behaviours import QUEUE, Bus, attribute, context_left
from otelkit import names

PROCESS, ACK, GET = f"process {QUEUE}", f"ack {QUEUE}", f"get {QUEUE}"


def by_name(bus: Bus) -> dict[str, ReadableSpan]:
    return {span.name: span for span in bus.consumed + bus.settled + bus.published}


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == parent.context.span_id


@pytest.fixture
def ordered(bus: Bus) -> Bus:
    """A bus with a message about order A-1 in its queue."""
    bus.start()
    with otelkit.order("A-1"):
        bus.publish()
    return bus


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_a_thread_carries_the_work_on_and_settles_in_its_trace(
    ordered: Bus, pool: ThreadPoolExecutor
) -> None:
    in_hand: list[otelkit.Order | None] = []
    returned, may_end = threading.Event(), threading.Event()

    def work(channel: Any, tag: int) -> None:
        returned.wait(5)
        in_hand.append(otelkit.current_order())
        channel.connection.add_callback_threadsafe(lambda: settle(channel, tag))
        may_end.wait(5)

    def settle(channel: Any, tag: int) -> None:
        channel.basic_ack(tag)
        may_end.set()

    def handle(channel: Any, method: Any, *_: Any) -> None:
        pool.submit(otelkit.pika.carry(work), channel, method.delivery_tag)

    channel = ordered.consume(handle, auto_ack=False)
    assert PROCESS not in by_name(ordered), "the callback has returned, the work goes on"
    returned.set()
    while not may_end.is_set():
        channel.connection.process_data_events(0.01)
    pool.shutdown()
    process, ack = by_name(ordered)[PROCESS], by_name(ordered)[ACK]
    assert [order and order.id for order in in_hand] == ["A-1"]
    assert is_child(ack, process)
    assert attribute(ack, "order.id") == "A-1"
    assert attribute(process, names.ATTR_MESSAGE_SETTLED) == names.SETTLED_ACK


def test_an_error_in_the_thread_is_the_error_of_the_work(
    ordered: Bus, pool: ThreadPoolExecutor, registry: CollectorRegistry
) -> None:
    def work() -> None:
        raise ValueError("does not fit")

    tasks: list[Any] = []
    ordered.consume(lambda *_: tasks.append(pool.submit(otelkit.pika.carry(work))))
    assert isinstance(tasks[0].exception(5), ValueError)
    pool.shutdown()
    assert attribute(by_name(ordered)[PROCESS], "error.type") == "ValueError"
    labels = {
        "messaging_system": "rabbitmq",
        "messaging_destination_name": QUEUE,
        "messaging_operation_name": "process",
        "error_type": "ValueError",
    }
    count = registry.get_sample_value("messaging_process_duration_seconds_count", labels)
    assert count == 1


def test_a_task_of_an_asyncio_consumer_carries_the_work_on(ordered: Bus) -> None:
    parents: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    def work(channel: Any, close: Callable[[], None]) -> None:
        async def handle(method: Any) -> None:
            await asyncio.sleep(0.01)
            parents.append(trace.get_current_span())
            channel.basic_ack(method.delivery_tag)
            close()

        def on_message(_: Any, method: Any, *__: Any) -> None:
            loop = asyncio.get_running_loop()
            tasks.append(loop.create_task(otelkit.pika.carry(handle)(method)))

        channel.basic_consume(QUEUE, on_message)

    ordered.asyncio(work)
    process, ack = by_name(ordered)[PROCESS], by_name(ordered)[ACK]
    assert [span.get_span_context() for span in parents] == [process.context]
    assert is_child(ack, process)
    assert (process.end_time or 0) >= (ack.end_time or 0), "it lasts as long as the task"


def test_work_that_nobody_does_any_more_ends(ordered: Bus) -> None:
    ordered.consume(lambda *_: otelkit.pika.carry(print))
    gc.collect()
    assert PROCESS in by_name(ordered)


def test_without_a_message_in_hand_there_is_nothing_to_carry() -> None:
    assert otelkit.pika.carry(print) is print


def test_a_block_of_work_on_a_message_of_basic_get(ordered: Bus) -> None:
    channel = ordered.another_channel()
    method, _, _ = channel.basic_get(QUEUE)
    assert otelkit.current_order() is None
    with otelkit.pika.processing(method):
        order = otelkit.current_order()
        channel.basic_ack(method.delivery_tag)
    assert order is not None
    assert order.id == "A-1"
    spans = by_name(ordered)
    assert is_child(spans[ACK], spans[PROCESS])
    assert attribute(spans[GET], "messaging.operation.type") == "receive"
    assert len(spans[GET].links) == 1
    assert attribute(spans[GET], "order.id") == "A-1"


def test_a_get_with_a_callback_is_fetched_and_worked_on(ordered: Bus) -> None:
    orders: list[otelkit.Order | None] = []

    def work(channel: Any, close: Callable[[], None]) -> None:
        def got(*_: Any) -> None:
            orders.append(otelkit.current_order())
            close()

        channel.basic_get(QUEUE, got, auto_ack=True)

    ordered.select(work)
    assert [order and order.id for order in orders] == ["A-1"]
    assert {PROCESS, GET} <= set(by_name(ordered))


def test_a_loop_over_messages_has_each_order_in_hand_and_lets_go_of_it(bus: Bus) -> None:
    bus.start()
    for order_id in ("A-1", "A-2"):
        with otelkit.order(order_id):
            bus.publish()
    channel, orders = bus.another_channel(), []
    for method, _, _ in channel.consume(QUEUE, inactivity_timeout=0.05):
        order = otelkit.current_order()
        if method is None:
            assert order is None
            break
        orders.append(order and order.id)
        channel.basic_ack(method.delivery_tag)
    channel.cancel()
    assert orders == ["A-1", "A-2"]
    assert [span.name for span in bus.consumed] == [PROCESS] * 2
    assert all(is_child(*pair) for pair in zip(bus.settled, bus.consumed, strict=True))
    assert otelkit.current_order() is None


def test_an_exception_in_a_loop_over_messages_leaves_no_context(ordered: Bus) -> None:
    def work() -> None:
        for _ in ordered.another_channel().consume(QUEUE, auto_ack=True):
            raise KeyError("no such part")

    with pytest.raises(KeyError):
        work()
    gc.collect()
    assert context_left() == "none"
    assert PROCESS in by_name(ordered)


def test_an_error_thrown_into_a_loop_over_messages_is_on_its_span(ordered: Bus) -> None:
    messages: Any = ordered.another_channel().consume(QUEUE, auto_ack=True)
    next(messages)
    with pytest.raises(KeyError):
        messages.throw(KeyError("no such part"))
    assert attribute(by_name(ordered)[PROCESS], "error.type") == "KeyError"


def test_a_loop_that_another_thread_closes_ends_without_a_word(
    ordered: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    messages: Any = ordered.another_channel().consume(QUEUE, auto_ack=True)

    def begin() -> None:
        next(messages)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    with caplog.at_level(logging.WARNING):
        messages.close()
    assert PROCESS in by_name(ordered)
    assert caplog.records == []
