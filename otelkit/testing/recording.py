"""What a test's code emits, kept in memory, and assertions that say what there is instead."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from unittest.mock import patch

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id
from prometheus_client import CollectorRegistry

from otelkit.events import OrderMoved
from otelkit.instrument import logs, orders, outgoing, pika, runtime, traces
from otelkit.instrument.eventlog import EventLog
from otelkit.instrument.records import Reader
from otelkit.instrument.settings import Settings
from otelkit.instrument.telemetry import LOCAL, Telemetry
from otelkit.testing.clock import Clock, Ids

SERVICE: Final = "test"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended. ``parent`` and ``links`` are names, of those that the test has seen.

    ``seconds`` is how long it took by the test's clock, ``events`` the names of its events.
    """

    name: str
    kind: str
    trace_id: str
    parent: str | None
    links: tuple[str, ...]
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    failed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """A log line, as the service would write it; ``fields`` is all of the JSON object."""

    level: str
    logger: str
    message: str
    fields: Mapping[str, Any]


class Recording(Telemetry):
    """The telemetry of a process whose every signal ends in a list."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(Settings(service=SERVICE, logs=False), self.registry, LOCAL)
        self.clock = Clock()
        self.ids = Ids()
        self._kept = _KeptEvents(self.metrics.drop)
        self.events = self._kept
        self.lines: list[Line] = []
        """Log lines of level INFO and above, the earliest first."""
        self._exporter = InMemorySpanExporter()
        provider: TracerProvider = self.provider
        makers: tuple[Any, ...] = (provider, self.tracer)  # a tracer has the ids it was made with
        for maker in makers:
            maker.id_generator = self.ids
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    # --- spans -----------------------------------------------------------------------------

    @property
    def spans(self) -> list[Span]:
        """Spans that have ended, in the order in which they did."""
        finished = self._exporter.get_finished_spans()
        names = {_key(span): span.name for span in finished}
        return [_span(span, names) for span in finished]

    def span(self, name: str, attributes: Mapping[str, object] | None = None) -> Span:
        """The one span of a name, and with these ``attributes`` if there are several."""
        wanted = attributes or {}
        named = [span for span in self.spans if span.name == name]
        found = [one for one in named if _has(one.attributes, wanted)]
        there: object = named or [span.name for span in self.spans]
        return _only(found, f"span {name!r}{_with(wanted)}", there)

    # --- metrics ---------------------------------------------------------------------------

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample, as it stands on ``/metrics``."""
        samples = [
            sample
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        ]
        found = [sample.value for sample in samples if _has(sample.labels, labels)]
        there = [f"{s.labels} {s.value:g}" for s in samples] or sorted(self._sample_names())
        return _only(found, f"sample {name}{_with(labels)}", there)

    def _sample_names(self) -> set[str]:
        return {sample.name for family in self.registry.collect() for sample in family.samples}

    # --- order events ----------------------------------------------------------------------

    @property
    def moved(self) -> list[OrderMoved]:
        """Order events, the earliest first."""
        return self._kept.said

    @property
    def moves(self) -> list[tuple[str, str]]:
        """Of each order event the order's id and its new status."""
        return [(event.order_id, event.status) for event in self._kept.said]

    def move(self, order_id: str, status: str) -> OrderMoved:
        """The one event that says that an order has reached a status."""
        found = [e for e in self.moved if (e.order_id, e.status) == (order_id, status)]
        return _only(found, f"move of {order_id!r} to {status!r}", self.moves)

    # --- logs ------------------------------------------------------------------------------

    def line(self, part: str) -> Line:
        """The one log line whose message holds a text."""
        found = [line for line in self.lines if part in line.message]
        return _only(found, f"log line with {part!r}", [line.message for line in self.lines])


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record what the code inside emits, on whatever thread; what there was before comes back."""
    before = runtime.active()
    with ExitStack() as stack:
        recording = Recording()
        stack.callback(recording.shutdown, 0)
        stack.enter_context(recording.clock.in_use())
        stack.enter_context(patch.object(orders, "new_id", recording.ids.event_id))
        stack.enter_context(_logged(recording))
        stack.enter_context(_instrumented())
        traces.stand(recording.provider)
        runtime.activate(recording)
        stack.callback(_put_back, recording, before)
        yield recording


def _put_back(recording: Recording, before: runtime.Signals | None) -> None:
    runtime.deactivate(recording)
    if before is not None:
        runtime.activate(before)
        if isinstance(before, Telemetry):
            traces.stand(before.provider)


@contextmanager
def _instrumented() -> Iterator[None]:
    """pika and HTTP clients, unless ``init`` has done so before and goes on to need it."""
    mine = runtime.active() is None
    if mine:
        pika.instrument_classes()
        outgoing.instrument_classes()
    try:
        yield
    finally:
        if mine:
            pika.uninstrument_classes()
            outgoing.uninstrument_classes()


@contextmanager
def _logged(recording: Recording) -> Iterator[None]:
    root, handler = logging.getLogger(), _Lines(recording.lines)
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


class _Lines(logging.Handler):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines
        self.setFormatter(logs.JsonFormatter(SERVICE, Reader(runtime.redactor())))

    def emit(self, record: logging.LogRecord) -> None:
        fields = json.loads(self.format(record))
        self._lines.append(Line(fields["level"], fields["logger"], fields["message"], fields))


class _KeptEvents(EventLog):
    """Order events that go nowhere."""

    def __init__(self, drop: Callable[[str, str], object]) -> None:
        self.source = SERVICE
        self.drop = drop
        self.said: list[OrderMoved] = []

    def say(self, event: OrderMoved) -> None:
        self.said.append(event)

    def keep(self, bodies: Sequence[bytes]) -> int:
        """From an outbox, where events wait as they are sent."""
        self.said += [_decoded(json.loads(body)) for body in bodies]
        return len(bodies)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - there is nothing to wait for
        return True

    def stop(self, timeout: float) -> bool:  # noqa: ARG002
        return True

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


def _decoded(event: Mapping[str, Any]) -> OrderMoved:
    data = event["data"]
    optional = {name: data.get(name) for name in ("tier", "partner", "version")}
    return OrderMoved(
        event["source"], event["id"], event["subject"], datetime.fromisoformat(event["time"]),
        data["process"], data["status"], **optional,
        aliases=data.get("aliases", {}), traceparent=event.get("traceparent"),
    )  # fmt: skip


def _key(span: ReadableSpan) -> tuple[int, int]:
    context = span.context
    return context.trace_id, context.span_id


def _span(span: ReadableSpan, names: Mapping[tuple[int, int], str]) -> Span:
    def named(context: Any) -> str:
        found = names.get((context.trace_id, context.span_id))
        return found or f"{context.trace_id:032x}-{context.span_id:016x}"

    return Span(
        name=span.name,
        kind=span.kind.name.lower(),
        trace_id=format_trace_id(span.context.trace_id),
        parent=None if span.parent is None else named(span.parent),
        links=tuple(named(link.context) for link in span.links),
        attributes=dict(span.attributes or {}),
        events=tuple(event.name for event in span.events),
        failed=span.status.status_code is StatusCode.ERROR,
        seconds=((span.end_time or 0) - (span.start_time or 0)) / 1e9,
    )


def _has(there: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return wanted.items() <= there.items()


def _with(wanted: Mapping[str, object]) -> str:
    return f" with {dict(wanted)}" if wanted else ""


def _only(found: list[T], what: str, there: object) -> T:
    if len(found) != 1:
        many = f"{len(found)} times" if found else "not at all"
        raise AssertionError(f"{what}: {many}; there is {there}")
    return found[0]
