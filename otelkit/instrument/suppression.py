"""Calls that are no part of the service's work, such as those that deliver its telemetry.

OpenTelemetry marks them in the context: no span is made of them, and nothing goes along.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context

_PLAIN: Final = "suppress_instrumentation"
"""What instrumentations marked with before there was a key of OpenTelemetry's own."""
# Neither key has a public name, though contrib relies on both.
_KEY: Final[str] = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN)
_HTTP_KEY: Final[str] = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", _PLAIN)


@contextmanager
def untraced() -> Iterator[None]:
    """Calls in here are no part of the service's work."""
    token = context.attach(context.set_value(_KEY, True))
    try:
        yield
    finally:
        context.detach(token)


def suppressed() -> bool:
    """Whether nothing that the running code does is to be traced."""
    here = context.get_current()
    return bool(here.get(_KEY) or here.get(_PLAIN))


def http_suppressed() -> bool:
    """Whether its HTTP calls are not."""
    return suppressed() or bool(context.get_value(_HTTP_KEY))
