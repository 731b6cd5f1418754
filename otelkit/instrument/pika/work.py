"""The work on a message: a process span that ends when the last who works on it is done."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar, cast

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind

from otelkit.instrument.context import in_hand, taking
from otelkit.instrument.pika.message import SYSTEM, Delivery
from otelkit.instrument.pika.spans import active, fail_with, guarded
from otelkit.instrument.pika.state import delivery_of
from otelkit.instrument.runtime import Signals

P = ParamSpec("P")
R = TypeVar("R")

_PROCESS: Final = "process"


class Work:
    """Span, order and context of the work on one message; held once by whoever begins it."""

    def __init__(self, telemetry: Signals, delivery: Delivery) -> None:
        self.delivery = delivery
        self.order = delivery.order
        self._telemetry = telemetry
        self._holders = 1
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        # A span takes the order in hand when it starts.
        with taking(self.order) if self.order != in_hand() else nullcontext():
            self.span = telemetry.tracer.start_span(
                delivery.span_name(_PROCESS),
                delivery.parent(),
                SpanKind.CONSUMER,
                delivery.attributes(_PROCESS, _PROCESS) | delivery.arrival(),
                delivery.links(),
            )
        # The sender's baggage comes along, whether or not its trace does.
        self.context = trace.set_span_in_context(self.span, delivery.sender())
        if delivery.received is None:
            telemetry.metrics.consumed.labels(SYSTEM, delivery.queue, _PROCESS).inc()
        delivery.work = self
        self._start = perf_counter()

    def hold(self) -> None:
        """The work goes on elsewhere; to be released there."""
        with self._lock:
            self._holders += 1

    def release(self, error: BaseException | None = None) -> None:
        """One who held it is done, with an error perhaps; the last one ends it."""
        with self._lock:
            self._holders -= 1
            if error is not None and not isinstance(error, GeneratorExit):
                self._error = self._error or error
            if self._holders:
                return
        self._end()

    @guarded
    def _end(self) -> None:
        seconds = perf_counter() - self._start
        error_type = "" if self._error is None else fail_with(self.span, self._error)
        family = self._telemetry.metrics.messages
        family.labels(SYSTEM, self.delivery.queue, _PROCESS, error_type).observe(seconds)
        self.span.end()


_at_hand: ContextVar[Work | None] = ContextVar("otelkit_work_at_hand", default=None)
_begin: Final = guarded(Work)


def at_hand() -> Work | None:
    """What the running code works on."""
    return _at_hand.get()


class _AtHand:
    """Span and order of some work are current inside, and it is released at the end.

    No generator with ``@contextmanager``: that would cost as much as the rest, for each message.
    """

    __slots__ = ("_mark", "_order", "_release", "_token", "_work")

    def __init__(self, work: Work, *, release: bool = True) -> None:
        self._work = work
        self._release = release

    def __enter__(self) -> None:
        self._order = taking(self._work.order)
        self._order.__enter__()
        self._mark = _at_hand.set(self._work)
        self._token = context.attach(self._work.context)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            _at_hand.reset(self._mark)
        except ValueError:
            # An abandoned `consume()` may be closed in another context than it ran in: there is
            # nothing to put back there.
            pass
        else:
            context.detach(self._token)
        self._order.__exit__()
        if self._release:
            self._work.release(error)


def working(telemetry: Signals, delivery: Delivery) -> AbstractContextManager[None]:
    """The work on a message lasts as long as the block, and longer where it is carried on."""
    work = _begin(telemetry, delivery)
    return nullcontext() if work is None else _AtHand(work)


@contextmanager
def processing(method: Any) -> Iterator[None]:
    """The work on a message that no callback handles, such as one of ``basic_get``::

        method, properties, body = channel.basic_get("parts")
        if method is not None:
            with otelkit.pika.processing(method):
                fit(body)
                channel.basic_ack(method.delivery_tag)

    ``method`` is what pika delivered with it. Does nothing with one from before ``init``.
    """
    telemetry, delivery = active(), delivery_of(method)
    if telemetry is None or delivery is None:
        yield
    else:
        with working(telemetry, delivery):
            yield


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """A function for another thread or task that carries on the work on the message in hand::

        def on_message(channel, method, properties, body):
            pool.submit(otelkit.pika.carry(work), channel, method.delivery_tag, body)

    It runs with the message's span and order, once. The process span ends when callback and
    function are both done, with the error of either. To settle there, pass pika's
    ``add_callback_threadsafe`` the call: ``lambda: channel.basic_ack(tag)``. Coroutine functions
    are carried likewise. Where no message is in hand, the function itself is returned.
    """
    work = at_hand()
    if work is None:
        return function
    load = _Load(work)
    if inspect.iscoroutinefunction(function):

        async def carried_task(*args: P.args, **kwargs: P.kwargs) -> Any:
            with load.taken():
                return await function(*args, **kwargs)

        return cast("Callable[P, R]", functools.wraps(function)(carried_task))

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        with load.taken():
            return function(*args, **kwargs)

    return carried


class _Load:
    """A share in some work, let go of when it is done, or when nobody can do it any more."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._open = True
        work.hold()

    def taken(self) -> _AtHand:
        first, self._open = self._open, False
        return _AtHand(self._work, release=first)

    def __del__(self) -> None:
        if self._open:
            self._work.release()
