"""structlog: the same ids and the same redaction as on records of ``logging``."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from otelkit.instrument import runtime
from otelkit.instrument.records import here, ids
from otelkit.instrument.redact import REDACTED, Redactor

_EXEMPT: Final = frozenset({"exc_info", "stack_info", "positional_args"})
"""What later processors read; structlog's own names begin with an underscore."""


def structlog_processor(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Adds ``trace_id``, ``span_id`` and the order, and hides what is to be hidden.

    It stands last before the renderer, so that the text of exceptions passes through it too.
    """
    where = here()
    redactor = runtime.redactor()
    for name, value in list(event.items()):
        event[name] = _redacted(redactor, name, value)
    event.update({name: value for name, value in ids(where).items() if value})
    event.update({name.replace(".", "_"): value for name, value in where[3].items()})
    return event


def _redacted(redactor: Redactor, name: object, value: object) -> object:
    try:
        known = str(name)
        exempt = known in _EXEMPT or known.startswith("_")
        return value if exempt else redactor.value(known, value)
    except Exception:  # what has no text cannot be looked through
        return REDACTED
