"""Other people's instrumentation, on request: installed ``opentelemetry-instrumentation-*``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from otelkit.instrument.runtime import harmless

log = logging.getLogger("otelkit")

ALL: Final = "all"
_GROUP: Final = "opentelemetry_instrumentor"
"""The entry points under which those packages stand."""
_OURS: Final = frozenset(
    {
        "asgi", "django", "fastapi", "flask", "httpx", "logging", "pika", "requests", "starlette",
        "wsgi",
    }
)  # fmt: skip
"""What otelkit does itself: with both, each request or message would have two spans."""


def instrument(wanted: Sequence[str]) -> Callable[[], None]:
    """Instrument those libraries; the answer, called at the end, takes it back.

    What is not installed, or fails, is a sentence in the log.
    """
    started = [found for entry in _chosen(wanted) if (found := _started(entry)) is not None]

    def end() -> None:
        for instrumentor in started:
            with harmless():
                instrumentor.uninstrument()

    return end


def _chosen(wanted: Sequence[str]) -> Iterator[EntryPoint]:
    installed = {entry.name: entry for entry in entry_points(group=_GROUP)} if wanted else {}
    names = dict.fromkeys([n for n in installed if n not in _OURS] if ALL in wanted else wanted)
    for name in names:
        if name in _OURS:
            log.warning("instrument=%s has no effect: otelkit does that itself", name)
        elif name not in installed:
            package = f"opentelemetry-instrumentation-{name}"
            log.error("instrument=%s has no effect: run pip install %s", name, package)
        else:
            yield installed[name]


def _started(entry: EntryPoint) -> Any:
    """The instrumentor, at work; None where it fails."""
    try:
        instrumentor = entry.load()()
        instrumentor.instrument()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        log.error("instrument=%s has no effect, its package failed: %s", entry.name, why)
        return None
    return instrumentor
