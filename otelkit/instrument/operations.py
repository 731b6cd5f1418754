"""Operations and their calls: what is counted, timed and traced of each."""

from __future__ import annotations

import logging
from contextlib import suppress
from math import frexp
from time import perf_counter
from typing import Final

from opentelemetry import context, trace
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode
from prometheus_client import Histogram

from otelkit.instrument import runtime
from otelkit.instrument.runtime import Signals
from otelkit.instrument.traces import exemplar

log = logging.getLogger("otelkit")

_REST: Final = 0.1
"""Seconds between two exemplars of successes of one magnitude."""
Errors = tuple[type[BaseException], ...]


class Operation:
    """An operation's name, and its series of successes, which exists from ``init`` on.

    ``not_errors`` count as success. Without ``span`` a call is counted and timed, and no more.
    ``telemetry`` is what it always uses; None is whatever the code around a call uses.
    """

    def __init__(
        self, name: str, not_errors: Errors, *, span: bool, telemetry: Signals | None
    ) -> None:
        self.name = name
        self.span = span
        self._not_errors = not_errors
        self._telemetry = telemetry
        self._bound: Signals | None = None
        self._rested: dict[int, float] = {}
        self._successes: Histogram | None = None
        with runtime.harmless():
            if telemetry is None:
                runtime.know(self)
            else:
                self.bind(telemetry)

    def bind(self, telemetry: Signals) -> None:
        """Look the series of successes up, once."""
        self._successes = telemetry.metrics.operations.labels(self.name, "")
        self._bound = telemetry

    def telemetry(self) -> Signals | None:
        """What a call of now is observed with; None before ``init``."""
        found = self._telemetry or runtime.active()
        if found is None:
            runtime.warn_inactive("otelkit.observe", "is called")
        return found

    def begin(self) -> Call:
        """A call that begins, at work; one that does nothing before ``init``."""
        telemetry = self.telemetry()
        if telemetry is None:
            return _UNOBSERVED
        try:
            return (_TracedCall if self.span else _TimedCall)(self, telemetry)
        except Exception:
            log.exception("a call of %s is not observed", self.name)
            return _UNOBSERVED

    def count(
        self, telemetry: Signals, seconds: float, error: BaseException | None, span: Span
    ) -> None:
        """A call has ended; its trace is that of ``span``."""
        try:
            if self._bound is not telemetry:
                self.bind(telemetry)
            if error is not None and self.failed(error):
                kind = type(error).__qualname__
                series = telemetry.metrics.operations.labels(self.name, kind)
                series.observe(seconds, exemplar(span))
            elif self._successes is not None:
                traced = span is not INVALID_SPAN
                self._successes.observe(seconds, self._exemplar(seconds, span) if traced else None)
        except Exception:
            log.exception("a call of %s is not counted", self.name)

    def _exemplar(self, seconds: float, span: Span) -> dict[str, str] | None:
        # One costs three microseconds, and a scrape sees only the last: so not each of the many
        # that take about as long.
        magnitude, now = frexp(seconds)[1], perf_counter()
        if now < self._rested.get(magnitude, 0.0):
            return None
        self._rested[magnitude] = now + _REST
        return exemplar(span)

    def failed(self, error: BaseException) -> bool:
        """Whether a call that ends so has failed."""
        return not isinstance(error, self._not_errors)


class Call:
    """One call. It is at work from its beginning, but for the time from ``pause`` to ``resume``."""

    __slots__ = ()

    def pause(self, *, elsewhere: bool = False) -> None:
        """The consumer of what it yielded runs.

        ``elsewhere`` is another context than that in which it began: nothing is put back there.
        """

    def resume(self) -> None:
        """It runs again."""

    def end(self, error: BaseException | None) -> None:
        """It has ended, by an error or without."""


_UNOBSERVED: Final = Call()


class _TimedCall(Call):
    __slots__ = ("_operation", "_since", "_spent", "_telemetry")

    def __init__(self, operation: Operation, telemetry: Signals) -> None:
        self._operation = operation
        self._telemetry = telemetry
        self._spent = 0.0
        self._since: float | None = perf_counter()

    def pause(self, *, elsewhere: bool = False) -> None:  # noqa: ARG002
        if self._since is not None:
            self._spent += perf_counter() - self._since
            self._since = None

    def resume(self) -> None:
        self._since = perf_counter()

    def end(self, error: BaseException | None) -> None:
        self.pause()
        self._operation.count(self._telemetry, self._spent, error, trace.get_current_span())


class _TracedCall(_TimedCall):
    """Its span is current while it is at work."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, operation: Operation, telemetry: Signals) -> None:
        self._span = telemetry.tracer.start_span(operation.name)
        self._context = trace.set_span_in_context(self._span)
        self._token = context.attach(self._context)
        super().__init__(operation, telemetry)

    def pause(self, *, elsewhere: bool = False) -> None:
        if self._since is not None:
            self._spent += perf_counter() - self._since
            self._since = None
            if not elsewhere:
                context.detach(self._token)

    def resume(self) -> None:
        self._token = context.attach(self._context)
        self._since = perf_counter()

    def end(self, error: BaseException | None) -> None:
        self.pause()
        span = self._span
        self._operation.count(self._telemetry, self._spent, error, span)
        try:
            if error is not None and self._operation.failed(error):
                _record(error, span)
            span.end()
        except Exception:
            log.exception("a span of %s is lost", self._operation.name)


def _record(error: BaseException, span: Span) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))
    with suppress(Exception):  # an error whose text cannot be had is still the caller's
        span.set_status(Status(StatusCode.ERROR, str(error)))
        span.record_exception(error)
