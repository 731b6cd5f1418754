"""OTLP over HTTP: spans and log records to the collector of OpenTelemetry, Tempo or Loki 3."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http import Compression, _log_exporter, trace_exporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from otelkit.errors import UnavailableError
from otelkit.instrument.exports import Export
from otelkit.instrument.queues import THREADS, Refused, Send

_MAY_PASS: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which another attempt may succeed."""


def spans(export: Export) -> Send[ReadableSpan]:
    """Sends batches of spans."""
    session, options = _Session(export), _options(export)
    exporter = trace_exporter.OTLPSpanExporter(session=session, **options)
    return _sender(session, exporter.export, trace_exporter.__name__)


def records(export: Export) -> Send[ReadableLogRecord]:
    """Sends batches of log records."""
    session, options = _Session(export), _options(export)
    exporter = _log_exporter.OTLPLogExporter(session=session, **options)
    return _sender(session, exporter.export, _log_exporter.__name__)


def _options(export: Export) -> dict[str, Any]:
    """What an exporter would else read from the environment by itself."""
    return {
        "endpoint": export.endpoint,
        "headers": dict(export.headers),
        "compression": Compression(export.compression),
    }


def _sender(session: _Session, export: Callable[[Sequence[Any]], object], logger: str) -> Send[Any]:
    # The queue says in a sentence what the exporter would say at each attempt.
    logging.getLogger(logger).addFilter(_not_of_ours)

    def send(batch: Sequence[Any], timeout: float) -> None:
        session.seconds, session.problem = timeout, Refused("it cannot be encoded")
        export(batch)
        if session.problem is not None:
            raise session.problem

    return send


def _not_of_ours(_: logging.LogRecord) -> bool:
    return not threading.current_thread().name.startswith(THREADS)


class _Session(requests.Session):
    """Makes one attempt in the time that is left, and keeps what went wrong.

    The exporter would itself try again for ten seconds, deaf to a process that wants to end; it
    does not where the error is none of requests' own.
    """

    def __init__(self, export: Export) -> None:
        super().__init__()
        parts = urlsplit(export.endpoint)
        mine: Any = export.client_certificate or None
        if mine and export.client_key:
            mine = mine, export.client_key
        self._tls = {"verify": export.certificate or True, "cert": mine}
        self._server = f"the OTLP endpoint {parts.hostname}:{parts.port or parts.scheme}"
        self.seconds = 0.0
        self.problem: Exception | None = None

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options |= self._tls | {"timeout": self.seconds}
        try:
            answer = self._attempt(*arguments, **options)
        except OSError as error:  # RequestException is one, and so is a certificate that is gone
            self.problem = UnavailableError(f"{self._server} did not answer: {_why(error)}")
            raise self.problem from error
        self.problem = None
        if not answer.ok:
            kind = UnavailableError if answer.status_code in _MAY_PASS else Refused
            self.problem = kind(f"{self._server} answered {answer.status_code} {answer.reason}")
            raise self.problem
        return answer

    def _attempt(self, *arguments: Any, **options: Any) -> requests.Response:
        try:
            return super().request(*arguments, **options)
        except requests.Timeout:
            raise
        except requests.ConnectionError:  # a kept connection may have been closed meanwhile
            return super().request(*arguments, **options)


def _why(error: OSError) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if not isinstance(error, requests.RequestException):
        return str(error)
    cause = getattr(error.args[0], "reason", error) if error.args else error
    return str(cause).rpartition(": ")[2]
