"""A clock that stands still unless it is moved, and ids that count."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from types import ModuleType
from typing import Final
from unittest.mock import patch

from opentelemetry.sdk import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """What otelkit and the spans of a test take for the time. The test's own code is not fooled."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Everything that asks for the time inside gets that of this clock."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(trace, "time_ns", self._nanoseconds))
            for module in _instrumentation():
                if hasattr(module, "perf_counter"):
                    stack.enter_context(patch.object(module, "perf_counter", self._seconds))
                if hasattr(module, "utc_now"):
                    stack.enter_context(patch.object(module, "utc_now", lambda: self.now))
            yield

    def _seconds(self) -> float:
        return (self.now - BEGINNING).total_seconds()

    def _nanoseconds(self) -> int:
        return (self.now - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000


class Ids(RandomIdGenerator):
    """Traces, spans and order events count from 1, each by themselves."""

    def __init__(self) -> None:
        self._traces, self._spans, self._events = count(1), count(1), count(1)

    def generate_trace_id(self) -> int:
        return next(self._traces)

    def generate_span_id(self) -> int:
        return next(self._spans)

    def is_trace_id_random(self) -> bool:
        return False

    def event_id(self) -> str:
        return f"event-{next(self._events)}"


def _instrumentation() -> list[ModuleType]:
    prefix = "otelkit.instrument."
    return [module for name, module in list(sys.modules.items()) if name.startswith(prefix)]
