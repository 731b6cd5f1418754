"""Log lines to a Loki that does not take OTLP (before 3.0), with python-logging-loki's emitter."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from otelkit.errors import MissingExtraError, UnavailableError
from otelkit.instrument.logs import not_of_delivery
from otelkit.instrument.metrics import LOKI
from otelkit.instrument.queues import Drop, Limits, Refused, Send, SendQueue
from otelkit.instrument.settings import Settings

if TYPE_CHECKING:
    from logging_loki.emitter import LokiEmitterV1

_PUSH: Final = "/loki/api/v1/push"
_TRY_AGAIN: Final = 429
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Said:
    """A line with the time (ns) of its record and what makes its stream."""

    level: str
    logger: str
    time: int
    line: str


class LokiHandler(logging.Handler):
    """Queues formatted lines for Loki. Their streams are service, logger and severity alone."""

    def __init__(self, queue: SendQueue[Said], formatter: logging.Formatter) -> None:
        super().__init__()
        self._queue = queue
        self.setFormatter(formatter)
        self.addFilter(not_of_delivery)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            time = int(record.created * 1e9)
            self._queue.put(Said(record.levelname, record.name, time, self.format(record)))
        except Exception:
            self.handleError(record)


def queue(address: str, settings: Settings, drop: Drop) -> SendQueue[Said]:
    """The queue before a Loki. Raises ``MissingExtraError``."""
    try:
        import requests  # noqa: F401 - here rather than on the queue's thread
        from logging_loki.emitter import LokiEmitterV1
    except ImportError as error:
        raise MissingExtraError("sending log lines to Loki", "loki") from error
    limits = Limits.of(os.environ, "OTEL_BLRP", settings.timeout)
    return SendQueue(LOKI, lambda: _connect(LokiEmitterV1, settings.service, address), drop, limits)


def _connect(kind: type[LokiEmitterV1], service: str, address: str) -> Send[Said]:
    import requests

    parts = urlsplit(address)
    user = (unquote(parts.username or ""), unquote(parts.password or ""))
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, host, parts.path.rstrip("/") or _PUSH, parts.query, ""))
    # Its own way of sending is one request a record, stamped when it is sent.
    emitter = kind(url, {"service_name": service}, user if any(user) else None)

    def send(lines: Sequence[Said], timeout: float) -> None:
        streams = defaultdict(list)
        for said in lines:
            streams[said.level, said.logger].append(said)
        payload = {
            "streams": [
                {"stream": emitter.build_tags(_record(*key)), "values": _values(said)}
                for key, said in streams.items()
            ]
        }
        try:
            answer = emitter.session.post(url, json=payload, timeout=timeout)
        except requests.RequestException as error:
            emitter.close()
            why = "timed out" if isinstance(error, requests.Timeout) else type(error).__name__
            raise UnavailableError(f"Loki at {host} did not answer: {why}") from error
        if answer.status_code == _TRY_AGAIN or answer.status_code >= _SERVER_ERROR:
            raise UnavailableError(f"Loki at {host} answered {answer.status_code}")
        if not answer.ok:
            raise Refused(f"Loki at {host} answered {answer.status_code}: {answer.text[:200]}")

    return send


def _record(level: str, logger: str) -> logging.LogRecord:
    return logging.makeLogRecord({"levelname": level, "name": logger})


def _values(lines: Sequence[Said]) -> list[list[str]]:
    """A stream's lines in the order of their time: older Lokis refuse any other."""
    return [[str(said.time), said.line] for said in sorted(lines, key=lambda said: said.time)]
