"""``observe``: rate, errors, duration and a span for each call, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode
from prometheus_client import Histogram

from otelkit.instrument import runtime
from otelkit.instrument.runtime import Signals

P = ParamSpec("P")
R = TypeVar("R")
Errors = tuple[type[BaseException], ...]

_NOT_ERRORS: Final[Errors] = (GeneratorExit, StopIteration, StopAsyncIteration)


@overload
def observe(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def observe(
    *, name: str | None = None, ignore: Errors = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def observe(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, ignore: Errors = ()
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Observe every call of a function, coroutine function, generator or async generator.

    Each call is a span and one observation of ``otelkit_operation_duration_seconds``; a generator
    counts from its first step to its end. ``name`` is the operation, the function's qualified name
    unless given: keep ids out of it. Exceptions are recorded and raised again; those in ``ignore``
    (a search that finds nothing, say) count as success.
    """
    if function is None:
        return lambda decorated: _observed(decorated, name, ignore)
    return _observed(function, name, ignore)


def _observed(function: Callable[P, R], name: str | None, ignore: Errors) -> Callable[P, R]:
    named = name or str(getattr(function, "__qualname__", type(function).__qualname__))
    operation = _Operation(named, (*ignore, *_NOT_ERRORS))
    wrap: Callable[[Callable[..., Any], _Operation], Callable[..., Any]]
    if inspect.isasyncgenfunction(function):
        wrap = _async_generator
    elif inspect.isgeneratorfunction(function):
        wrap = _generator
    elif inspect.iscoroutinefunction(function):
        wrap = _coroutine
    else:
        wrap = _function
    return cast("Callable[P, R]", functools.wraps(function)(wrap(function, operation)))


class _Operation:
    """An operation's name, and its series, which exist from ``init`` on."""

    def __init__(self, name: str, not_errors: Errors) -> None:
        self.name = name
        self.not_errors = not_errors
        self._bound_to: Signals | None = None
        self._success: Histogram | None = None
        runtime.know(self)

    def bind(self, telemetry: Signals) -> Histogram:
        """The series of successful calls, looked up once."""
        if self._bound_to is not telemetry or self._success is None:
            self._success = telemetry.metrics.operations.labels(self.name, "")
            self._bound_to = telemetry
        return self._success


class _Call:
    """One call: a span that may be current for a part of the time only, and its observation."""

    __slots__ = ("_operation", "_start", "_telemetry", "context", "span")

    def __init__(self, telemetry: Signals, operation: _Operation) -> None:
        self._telemetry = telemetry
        self._operation = operation
        self.span = telemetry.tracer.start_span(operation.name)
        self.context = trace.set_span_in_context(self.span)
        self._start = perf_counter()

    def end(self, error: BaseException | None) -> None:
        seconds = perf_counter() - self._start
        series = self._operation.bind(self._telemetry)
        if error is not None and not isinstance(error, self._operation.not_errors):
            kind = type(error).__qualname__
            series = self._telemetry.metrics.operations.labels(self._operation.name, kind)
            self.span.set_attribute("error.type", kind)
            self.span.set_status(Status(StatusCode.ERROR))
            with suppress(Exception):  # an error whose text cannot be had is still the caller's
                self.span.set_status(Status(StatusCode.ERROR, str(error)))
                self.span.record_exception(error)
        series.observe(seconds)
        self.span.end()


def _begin(operation: _Operation) -> _Call | None:
    telemetry = runtime.active()
    if telemetry is None:
        runtime.warn_inactive("@otelkit.observe", "is called")
        return None
    return _Call(telemetry, operation)


def _function(function: Callable[..., R], operation: _Operation) -> Callable[..., R]:
    def call(*args: Any, **kwargs: Any) -> R:
        observed = _begin(operation)
        if observed is None:
            return function(*args, **kwargs)
        token = context.attach(observed.context)
        error: BaseException | None = None
        try:
            return function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            context.detach(token)
            observed.end(error)

    return call


def _coroutine(function: Callable[..., Any], operation: _Operation) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        observed = _begin(operation)
        if observed is None:
            return await function(*args, **kwargs)
        token = context.attach(observed.context)
        error: BaseException | None = None
        try:
            return await function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            context.detach(token)
            observed.end(error)

    return call


def _generator(function: Callable[..., Any], operation: _Operation) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        observed = _begin(operation)
        if observed is None:
            return (yield from inner)
        error: BaseException | None = None
        try:
            return (yield from _stepwise(inner, observed.context))
        except BaseException as raised:
            error = raised
            raise
        finally:
            observed.end(error)

    return call


def _stepwise(inner: Generator[Any, Any, Any], ctx: context.Context) -> Generator[Any, Any, Any]:
    """Drive a generator with a context that holds while it runs, and not for its consumer."""
    step: Callable[[Any], Any] = inner.send
    value: Any = None
    while True:
        token = context.attach(ctx)
        try:
            item = step(value)
        except StopIteration as stop:
            return stop.value
        finally:
            context.detach(token)
        try:
            value = yield item
            step = inner.send
        except GeneratorExit:
            token = context.attach(ctx)
            try:
                inner.close()
            finally:
                context.detach(token)
            raise
        except BaseException as thrown:
            step, value = inner.throw, thrown


def _async_generator(function: Callable[..., Any], operation: _Operation) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        observed = _begin(operation)
        error: BaseException | None = None
        ctx = context.get_current() if observed is None else observed.context
        step: Callable[[Any], Any] = inner.asend
        value: Any = None
        try:
            while True:
                token = context.attach(ctx)
                try:
                    item = await step(value)
                except StopAsyncIteration:
                    return
                finally:
                    context.detach(token)
                try:
                    value = yield item
                    step = inner.asend
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:
                    step, value = inner.athrow, thrown
        except BaseException as raised:
            error = raised
            raise
        finally:
            if observed is not None:
                observed.end(error)

    return call
