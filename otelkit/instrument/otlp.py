"""OTLP over HTTP: spans and log records to the collector of OpenTelemetry, Tempo or Loki 3."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http import _log_exporter, trace_exporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from otelkit.errors import UnavailableError
from otelkit.instrument.queues import THREADS, Refused, Send

_MAY_PASS: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which another attempt may succeed."""


def spans(endpoint: str, headers: Mapping[str, str]) -> Send[ReadableSpan]:
    """Sends batches of spans to an address, path included."""
    session = _Session(endpoint)
    exporter = trace_exporter.OTLPSpanExporter(endpoint, headers=dict(headers), session=session)
    return _sender(session, exporter.export, trace_exporter.__name__)


def records(endpoint: str, headers: Mapping[str, str]) -> Send[ReadableLogRecord]:
    """Sends batches of log records to an address, path included."""
    session = _Session(endpoint)
    exporter = _log_exporter.OTLPLogExporter(endpoint, headers=dict(headers), session=session)
    return _sender(session, exporter.export, _log_exporter.__name__)


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

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        parts = urlsplit(endpoint)
        self._server = f"the OTLP endpoint {parts.hostname}:{parts.port or parts.scheme}"
        self.seconds = 0.0
        self.problem: Exception | None = None

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options["timeout"] = self.seconds
        try:
            answer = self._attempt(*arguments, **options)
        except requests.RequestException as error:
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


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    cause = getattr(error.args[0], "reason", error) if error.args else error
    return str(cause).rpartition(": ")[2]
