"""``observe``: rate, errors, duration and a span for each call, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast, overload

from opentelemetry.trace import get_current_span

from otelkit.instrument.operations import Call, Errors, Operation
from otelkit.instrument.runtime import Signals

log = logging.getLogger("otelkit")

P = ParamSpec("P")
R = TypeVar("R")

Ignored = type[BaseException] | Errors
_NOT_ERRORS: Final[Errors] = (GeneratorExit, StopIteration, StopAsyncIteration)


@overload
def observe(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def observe(
    name: str, /, *, ignore: Ignored = (), span: bool = True, telemetry: Signals | None = None
) -> Observed: ...
@overload
def observe(
    *,
    name: str | None = None,
    ignore: Ignored = (),
    span: bool = True,
    telemetry: Signals | None = None,
) -> Observed: ...
def observe(
    what: Callable[P, R] | str | None = None,
    /,
    *,
    name: str | None = None,
    ignore: Ignored = (),
    span: bool = True,
    telemetry: Signals | None = None,
) -> Callable[P, R] | Observed:
    """Observe every call of a function, or a block: ``with otelkit.observe("price"):``.

    Works on functions, coroutine functions, generators and async generators, and as ``with`` and
    ``async with``. Each call is a span and one observation of
    ``otelkit_operation_duration_seconds``. A generator's duration is the time that its own code
    takes; what its consumer does between two steps is not in it, though its span lasts from the
    first step to the end.

    :param name: the operation, the function's qualified name unless given: keep ids out of it.
    :param ignore: exceptions that count as success (a search that finds nothing, say). All others
        are recorded; every exception is raised again as it was.
    :param span: False counts and times calls without a span, for what is called very often.
    :param telemetry: that of ``otelkit.local``; unless given, what ``init`` has set up.
    """
    if callable(what):
        return Observed(None)(what)
    return Observed(name if what is None else what, ignore=ignore, span=span, telemetry=telemetry)


class Observed:
    """A decorator and a context manager; a block may be entered again, within itself as well."""

    def __init__(
        self,
        name: str | None,
        *,
        ignore: Ignored = (),
        span: bool = True,
        telemetry: Signals | None = None,
    ) -> None:
        self._name = _text(name)
        ignored = (*_exceptions(ignore), *_NOT_ERRORS)
        self._make = functools.partial(
            Operation, not_errors=ignored, span=span, telemetry=telemetry
        )
        self._operation: Operation | None = None
        self._open: list[Call] = []

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if isinstance(function, classmethod | staticmethod):
            # What stands below in the list of decorators is no function yet.
            return cast("Callable[P, R]", type(function)(self(function.__func__)))
        name = self._name or str(getattr(function, "__qualname__", type(function).__qualname__))
        operation = self._make(name)
        wrapped = _wrapper(function, operation)(function, operation)
        return cast("Callable[P, R]", functools.wraps(function)(wrapped))

    def __enter__(self) -> Self:
        if self._operation is None:
            self._operation = self._make(self._name or "block")
        call = self._operation.begin()
        self._open.append(call)
        _blocks.set((*_blocks.get(), call))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        *outer, call = _blocks.get() or (self._open[-1],)
        here = call in self._open
        if here:
            _blocks.set(tuple(outer))
        else:  # entered in another context, as a generator may be that a pool of threads runs
            call = self._open[-1]
        self._open.remove(call)
        call.pause(elsewhere=not here)
        call.end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)


def _text(name: object) -> str | None:
    """A name as a label may hold it; none rather than one that cannot be had."""
    try:
        return None if name is None else str(name) or None
    except Exception as error:
        log.error("a name of otelkit.observe has no effect: %r; pass a text", error)
        return None


def _exceptions(ignore: object) -> Errors:
    """Those that are to be ignored: one, or several. Anything else is told and left out."""
    if isinstance(ignore, type) and issubclass(ignore, BaseException):
        return (ignore,)
    if isinstance(ignore, tuple | list | set | frozenset):
        return tuple(kind for given in ignore for kind in _exceptions(given))
    log.error("ignore=%r of otelkit.observe has no effect: pass exceptions: (KeyError,)", ignore)
    return ()


_blocks: ContextVar[tuple[Call, ...]] = ContextVar("otelkit_blocks", default=())
"""The calls of the blocks around the running code, from the outside in; each task has its own."""


def _wrapper(
    function: Callable[..., Any], operation: Operation
) -> Callable[[Callable[..., Any], Operation], Any]:
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        return _generator
    if inspect.iscoroutinefunction(function):
        return _coroutine
    return _function if operation.span else _timed


def _timed(function: Callable[..., R], operation: Operation) -> Callable[..., R]:
    """The shortest way: for what is called so often that no span is wanted."""

    def call(*args: Any, **kwargs: Any) -> R:
        telemetry = operation.telemetry()
        if telemetry is None:
            return function(*args, **kwargs)
        start = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            operation.count(telemetry, perf_counter() - start, error, get_current_span())
            raise
        operation.count(telemetry, perf_counter() - start, None, get_current_span())
        return result

    return call


def _function(function: Callable[..., R], operation: Operation) -> Callable[..., R]:
    def call(*args: Any, **kwargs: Any) -> R:
        observed = operation.begin()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            observed.end(error)
            raise
        observed.end(None)
        return result

    return call


def _coroutine(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        observed = operation.begin()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            observed.end(error)
            raise
        observed.end(None)
        return result

    return call


def _generator(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        observed = operation.begin()
        try:
            result = yield from _stepwise(inner, observed)
        except BaseException as error:
            observed.end(error)
            raise
        observed.end(None)
        return result

    return call


def _stepwise(inner: Generator[Any, Any, Any], observed: Call) -> Generator[Any, Any, Any]:
    """Drive a generator so that the call is at work in its steps, and not in its consumer's."""
    step: Callable[[Any], Any] = inner.send
    value: Any = None
    while True:
        try:
            item = step(value)
        except StopIteration as stop:
            return stop.value
        observed.pause()
        try:
            value = yield item
            step = inner.send
        except GeneratorExit:
            observed.resume()
            inner.close()
            raise
        except BaseException as thrown:
            step, value = inner.throw, thrown
        observed.resume()


def _async_generator(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    # Async generators have no `yield from`, so the steps stand here.
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        observed = operation.begin()
        step: Callable[[Any], Any] = inner.asend
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                try:
                    item = await step(value)
                except StopAsyncIteration:
                    return
                observed.pause()
                try:
                    value = yield item
                    step = inner.asend
                except GeneratorExit:
                    observed.resume()
                    await inner.aclose()
                    raise
                except BaseException as thrown:
                    step, value = inner.athrow, thrown
                observed.resume()
        except BaseException as raised:
            error = raised
            raise
        finally:
            observed.end(error)

    return call
