"""Log lines: JSON on standard output, and records over OTLP, both with trace and order."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult

from otelkit.instrument.context import in_hand
from otelkit.instrument.publisher import PUBLISHER
from otelkit.instrument.settings import Settings
from otelkit.instrument.traces import Drop, resource

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every record has; what a caller passes as ``extra`` is the rest."""
_SEVERITIES: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)
_ITS_OWN: Final = frozenset({"opentelemetry", "urllib3", "requests"})
"""Loggers of the exporter itself: sending their records would make more of them."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, trace, order, extras."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "service": self._service,
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = f"{span.trace_id:032x}"
            line["span_id"] = f"{span.span_id:016x}"
        line |= {name.replace(".", "_"): value for name, value in _order().items()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # An extra that is called like one of ours must not hide it.
        return json.dumps(line | _extras(record) | line, ensure_ascii=False, default=str)


class OtlpHandler(logging.Handler):
    """Hands records to the SDK's logger provider, which queues and sends them."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _ITS_OWN:
            return
        try:
            self._provider.get_logger(record.name).emit(_otlp(record))
        except Exception:
            self.handleError(record)


def json_handler(service: str) -> logging.Handler:
    """A handler that writes JSON lines to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    return handler


def not_of_publishing(record: logging.LogRecord) -> bool:
    """Keeps out what pika logs of otelkit's own connection; the publisher says it in a sentence."""
    return not (record.threadName == PUBLISHER and record.name.partition(".")[0] == "pika")


def provider(settings: Settings, drop: Drop = lambda _: None) -> LoggerProvider:
    """A logger provider that exports over OTLP; to be shut down by whoever made it.

    ``drop`` hears of records that were not delivered.
    """
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    class Exporter(OTLPLogExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            result = super().export(batch)
            if result is not LogRecordExportResult.SUCCESS:
                drop(len(batch))
            return result

    made = LoggerProvider(
        resource=resource(settings.service, settings.resource), shutdown_on_exit=False
    )
    exporter = Exporter(
        endpoint=f"{(settings.endpoint or '').rstrip('/')}/v1/logs",
        headers=dict(settings.headers),
        timeout=settings.timeout,
    )
    made.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return made


def _order() -> dict[str, str]:
    order = in_hand()
    return {} if order is None else order.attributes()


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _otlp(record: logging.LogRecord) -> LogRecord:
    attributes: dict[str, Any] = {name: _plain(value) for name, value in _extras(record).items()}
    attributes |= _order()
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception.type"] = record.exc_info[0].__name__
        attributes["exception.message"] = str(record.exc_info[1])
        attributes["exception.stacktrace"] = logging.Formatter().formatException(record.exc_info)
    return LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=time.time_ns(),
        context=context.get_current(),
        severity_text=record.levelname,
        severity_number=_severity(record.levelno),
        body=record.getMessage(),
        attributes=attributes,
    )


def _severity(level: int) -> SeverityNumber:
    found = (number for at_least, number in _SEVERITIES if level >= at_least)
    return next(found, SeverityNumber.DEBUG)


def _plain(value: object) -> object:
    return value if isinstance(value, (str, bool, int, float)) else str(value)
