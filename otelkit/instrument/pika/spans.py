"""What the spans of all operations share: when there are any, and how one ends."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode

from otelkit.instrument import runtime
from otelkit.instrument.runtime import Signals
from otelkit.instrument.suppression import suppressed

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("otelkit")


def active() -> Signals | None:
    """What this process uses; None before ``init``, after a shutdown and under suppression."""
    return None if suppressed() else runtime.active()


def guarded(step: Callable[P, R]) -> Callable[P, R | None]:
    """A step of ours that must not fail the service's: None and a log line instead of an error."""

    @functools.wraps(step)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        # What `runtime.harmless` does, without its price: this is called for each message.
        try:
            return step(*args, **kwargs)
        except Exception:
            log.exception("otelkit has failed at its own work; a message goes on without it")
            return None

    return call


def fail(span: Span, error_type: str, description: str = "") -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, description))


def fail_with(span: Span, error: BaseException) -> str:
    """Mark a span with an error; the ``error.type``."""
    error_type = type(error).__qualname__
    fail(span, error_type)
    with suppress(Exception):  # an error whose text cannot be had is still the caller's
        fail(span, error_type, str(error))
        span.record_exception(error)
    return error_type


class current:  # noqa: N801 - used as a function
    """The span is current inside, and has the error that leaves the block."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        context.detach(self._token)
        if error is not None:
            fail_with(self._span, error)
