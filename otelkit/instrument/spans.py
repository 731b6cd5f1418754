"""Spans on their way to an OTLP endpoint: redacted, queued, sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, Status

from otelkit.instrument.exports import Export
from otelkit.instrument.metrics import SPANS
from otelkit.instrument.queues import Drop, Limits, SendQueue
from otelkit.instrument.redact import Redactor


def queue(export: Export, drop: Drop) -> SendQueue[ReadableSpan]:
    """The queue before an OTLP endpoint."""
    from otelkit.instrument import otlp  # takes time, and not every process has an endpoint

    limits = Limits.of(os.environ, "OTEL_BSP", export.timeout)
    return SendQueue(SPANS, lambda: otlp.spans(export), drop, limits)


class QueueingSpanProcessor(SpanProcessor):
    """Queues each sampled span as it ends, without what is to be hidden."""

    def __init__(self, queue: SendQueue[ReadableSpan], redactor: Redactor) -> None:
        self._queue = queue
        self._redactor = redactor

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._queue.put(redacted(span, self._redactor))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._queue.flush(timeout_millis / 1000)


def redacted(span: ReadableSpan, redactor: Redactor) -> ReadableSpan:
    """A span without what is to be hidden: a copy, since the span itself is the service's."""
    if _is_clean(span, redactor):
        return span  # most are, and a copy costs half of what a span does
    status = span.status
    return ReadableSpan(
        name=redactor.text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes, redactor),
        events=[
            Event(redactor.text(e.name), _attributes(e.attributes, redactor), e.timestamp)
            for e in span.events
        ],
        links=[Link(link.context, _attributes(link.attributes, redactor)) for link in span.links],
        kind=span.kind,
        status=Status(status.status_code, status.description and redactor.text(status.description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _is_clean(span: ReadableSpan, redactor: Redactor) -> bool:
    # No public property says whether there are any events or links: `events` and `links` make
    # copies, under a lock each, which came to a tenth of what a span costs.
    if span._events or span.status.description or redactor.text(span.name) is not span.name:
        return False
    if span._links and any(link.attributes for link in span._links):
        return False
    attributes: Any = span.attributes
    return redactor.passes(attributes.copy())  # a dict, at once and without a lock


def _attributes(attributes: Mapping[str, Any] | None, redactor: Redactor) -> dict[str, Any]:
    return redactor.mapping(attributes or {})
