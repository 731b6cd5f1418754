"""Records of the standard ``logging``: in which span and for which order they were made."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace

from otelkit import names
from otelkit.instrument.context import in_hand
from otelkit.instrument.redact import Redactor

_ORIGIN: Final = "_otelkit_origin"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    _ORIGIN,
}
"""Attributes that every record has; what a caller passes as ``extra`` is the rest."""
Origin = tuple[int, int, int, dict[str, str]]
"""Trace, span, flags and the order's attributes; plain, because records travel."""
NOWHERE: Final[Origin] = (0, 0, 0, {})


def here() -> Origin:
    """Where the running code is."""
    order = in_hand()
    span = trace.get_current_span().get_span_context()
    attributes = {} if order is None else order.attributes()
    return (span.trace_id, span.span_id, span.trace_flags, attributes)


def ids(origin: Origin) -> dict[str, str]:
    """``trace_id``, ``span_id`` and ``order_id`` as text, empty where there is none."""
    trace_id, span_id, _, order = origin
    return {
        "trace_id": f"{trace_id:032x}" if trace_id else "",
        "span_id": f"{span_id:016x}" if trace_id else "",
        "order_id": order.get(names.ATTR_ORDER_ID, ""),
    }


class _WithOrigin(logging.LogRecord):
    """Knows its ids in any thread, and shows them to any formatter: ``%(trace_id)s``.

    They stand in the record only from its first formatting on: ``logging`` raises where a caller's
    ``extra`` is called like something that a record has when it is made.
    """

    def getMessage(self) -> str:  # noqa: N802 - the standard library's name
        for name, value in ids(origin(self)).items():
            self.__dict__.setdefault(name, value)
        return super().getMessage()

    def __getattr__(self, name: str) -> str:
        if name not in ("trace_id", "span_id", "order_id"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return ids(origin(self))[name]

    def __reduce__(self) -> tuple[Callable[..., logging.LogRecord], tuple[dict[str, Any]]]:
        return logging.makeLogRecord, (ids(origin(self)) | self.__dict__,)


_kinds: Final[dict[type[logging.LogRecord], type[logging.LogRecord]]] = {}


def _with_origin(kind: type[logging.LogRecord]) -> type[logging.LogRecord]:
    if kind not in _kinds:
        known = issubclass(kind, _WithOrigin)
        _kinds[kind] = kind if known else type(kind.__name__, (_WithOrigin, kind), {})
    return _kinds[kind]


def origin(record: logging.LogRecord) -> Origin:
    """Where a record was made; where the code is now for one that was made before ``init``."""
    found: Origin | None = record.__dict__.get(_ORIGIN)
    return here() if found is None else found


def follow() -> Callable[[], None]:
    """Have every record know where it was made; returns what ends that.

    Another factory that the service has set stays at work below.
    """
    before = logging.getLogRecordFactory()

    def factory(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = before(*arguments, **named)
        with suppress(Exception):  # a kind of record that cannot be extended is left as it is
            record.__class__ = _with_origin(type(record))
            record.__dict__[_ORIGIN] = here()
        return record

    def end() -> None:
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(before)

    logging.setLogRecordFactory(factory)
    return end


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as a record tells of it."""

    type: str
    message: str
    stacktrace: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a record says, without what is to be hidden."""

    message: str
    extras: Mapping[str, object]
    failure: Failure | None
    origin: Origin


class Reader:
    """Reads records. One that several handlers ask for is read once."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._last: tuple[Callable[[], object], Entry] = (
            lambda: None,
            Entry("", {}, None, NOWHERE),
        )

    def entry(self, record: logging.LogRecord) -> Entry:
        """What a record says."""
        last, entry = self._last
        if last() is not record:
            entry = self._read(record)
            self._last = (weakref.ref(record), entry)
        return entry

    def _read(self, record: logging.LogRecord) -> Entry:
        where = origin(record)
        message = logging.LogRecord.getMessage(record)
        if record.name not in _VERBATIM:
            message = self._redactor.text(message)
        return Entry(message, self._extras(record, where), self._failure(record), where)

    def _extras(self, record: logging.LogRecord, where: Origin) -> dict[str, object]:
        found = {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        if not found:
            return found
        shown = ids(where)
        kept = {k: v for k, v in found.items() if shown.get(k) != v}
        return self._redactor.mapping(kept)

    def _failure(self, record: logging.LogRecord) -> Failure | None:
        if not record.exc_info or record.exc_info[0] is None:
            return None
        text = self._redactor.text
        kind, error, _ = record.exc_info
        stacktrace = logging.Formatter().formatException(record.exc_info)
        return Failure(kind.__name__, text(str(error)), text(stacktrace))


_VERBATIM: Final = frozenset({"otelkit.orders"})
"""Tells of order events in the form that ``otelkit orders load`` reads; ids must stay whole."""
