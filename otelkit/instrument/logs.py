"""Log lines: JSON on standard output, and records over OTLP, both with trace and order."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelkit.instrument import traces
from otelkit.instrument.exports import Export
from otelkit.instrument.metrics import LOGS
from otelkit.instrument.publisher import PUBLISHER
from otelkit.instrument.queues import THREADS, Drop, Limits, Send, SendQueue
from otelkit.instrument.records import Entry, Reader
from otelkit.instrument.settings import Settings

_SEVERITIES: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)
_CLIENTS: Final = frozenset({"opentelemetry", "pika", "requests", "urllib3"})
"""Loggers of what delivers telemetry; otelkit says in a sentence what they say in many."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, trace, order, extras."""

    def __init__(self, service: str, reader: Reader) -> None:
        super().__init__()
        self._service = service
        self._reader = reader

    def format(self, record: logging.LogRecord) -> str:
        entry = self._reader.entry(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": entry.message,
            "service": self._service,
        }
        trace_id, span_id, _, order = entry.origin
        if trace_id:
            line["trace_id"] = f"{trace_id:032x}"
            line["span_id"] = f"{span_id:016x}"
        for name, value in order.items():
            line[name.replace(".", "_")] = value
        if entry.failure:
            line["exception"] = entry.failure.stacktrace
        if entry.extras:
            # An extra that is called like one of ours must not hide it.
            line = {**line, **entry.extras, **line}
        return json.dumps(line, ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it waits for its delivery over OTLP."""

    created: float
    observed: int
    level: int
    level_name: str
    logger: str
    entry: Entry


class OtlpHandler(logging.Handler):
    """Queues records for an OTLP endpoint."""

    def __init__(self, reader: Reader, queue: SendQueue[Line]) -> None:
        super().__init__()
        self._reader = reader
        self._queue = queue
        self.addFilter(not_of_delivery)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry = self._reader.entry(record)
            level, name = record.levelno, record.levelname
            line = Line(record.created, time.time_ns(), level, name, record.name, entry)
            self._queue.put(line)
        except Exception:
            self.handleError(record)


def json_handler(service: str, reader: Reader) -> logging.Handler:
    """A handler that writes JSON lines to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service, reader))
    return handler


def not_of_clients(record: logging.LogRecord) -> bool:
    """Keeps out what clients log on the threads that deliver telemetry."""
    return not (
        (record.threadName or "").startswith(THREADS) and record.name.partition(".")[0] in _CLIENTS
    )


def not_of_delivery(record: logging.LogRecord) -> bool:
    """Keeps out what the delivery of telemetry says: sending that would make more of it."""
    name = record.threadName or ""
    return name == PUBLISHER or not name.startswith(THREADS)


def queue(export: Export, settings: Settings, drop: Drop) -> SendQueue[Line]:
    """The queue before an OTLP endpoint."""
    from otelkit.instrument import otlp  # takes time, and not every process has an endpoint

    def connect() -> Send[Line]:
        send = otlp.records(export)
        resource = traces.resource(settings.service, settings.resource)
        return lambda lines, seconds: send([_otlp(line, resource) for line in lines], seconds)

    return SendQueue(LOGS, connect, drop, Limits.of(os.environ, "OTEL_BLRP", export.timeout))


def _otlp(line: Line, resource: Resource) -> ReadableLogRecord:
    entry = line.entry
    attributes: dict[str, Any] = {name: _plain(value) for name, value in entry.extras.items()}
    attributes |= entry.origin[3]
    if entry.failure:
        attributes["exception.type"] = entry.failure.type
        attributes["exception.message"] = entry.failure.message
        attributes["exception.stacktrace"] = entry.failure.stacktrace
    record = LogRecord(
        timestamp=int(line.created * 1e9),
        observed_timestamp=line.observed,
        context=_context(entry),
        severity_text=line.level_name,
        severity_number=_severity(line.level),
        body=entry.message,
        attributes=attributes,
    )
    return ReadableLogRecord(record, resource, InstrumentationScope(line.logger))


def _context(entry: Entry) -> context.Context:
    trace_id, span_id, flags, _ = entry.origin
    span = trace.SpanContext(trace_id, span_id, False, trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(span), context.Context())


def _severity(level: int) -> SeverityNumber:
    found = (number for at_least, number in _SEVERITIES if level >= at_least)
    return next(found, SeverityNumber.DEBUG)


def _plain(value: object) -> object:
    if isinstance(value, (str, bool, float)):
        return value
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else str(value)
