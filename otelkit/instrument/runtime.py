"""The one place with state: what ``init`` has set up in this process, if it has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final, Protocol
from weakref import WeakSet

from opentelemetry.trace import Tracer

from otelkit.events import OrderMoved
from otelkit.instrument.metrics import ServiceMetrics
from otelkit.instrument.process import ProcessMetrics
from otelkit.instrument.redact import Redactor
from otelkit.instrument.settings import Settings

log = logging.getLogger("otelkit")


@contextmanager
def harmless() -> Iterator[None]:
    """What otelkit does inside never raises into the service; a fault of its own is logged."""
    try:
        yield
    except Exception:
        log.exception("otelkit has failed at its own work; the service goes on")


class Events(Protocol):
    """Takes over order events.

    ``source`` is what they say of where they come from; ``drop`` counts one that is lost, by signal
    and reason.
    """

    source: str
    drop: Callable[[str, str], object]

    def say(self, event: OrderMoved) -> None:
        """Keep an event for delivery."""

    def keep(self, bodies: Sequence[bytes]) -> int:
        """Keep encoded events for delivery; how many of them, less than all where it is full."""


class Signals(Protocol):
    """What ``init`` has set up, as far as the parts of a process use it."""

    settings: Settings
    tracer: Tracer
    metrics: ServiceMetrics
    process: ProcessMetrics | None
    redactor: Redactor

    @property
    def events(self) -> Events | None:
        """None where the service has not said where order events go."""

    def shutdown(self, timeout: float = ...) -> bool:
        """Deliver what is queued and stop, within so many seconds; whether all was delivered."""


class Known(Protocol):
    """Something with series that shall exist before it is first used."""

    def bind(self, telemetry: Signals) -> object:
        """Make its series in what ``init`` has set up."""


_local: ContextVar[Signals | None] = ContextVar("otelkit_local", default=None)
_active: Signals | None = None
_latest: Signals | None = None
_known: WeakSet[Known] = WeakSet()
_warned: set[str] = set()
_silent = False
_DEFAULT_REDACTOR: Final = Redactor()


def activate(telemetry: Signals) -> None:
    """Set what this process uses."""
    global _active, _latest  # noqa: PLW0603 - a process has one
    _active = _latest = telemetry
    for known in list(_known):
        known.bind(telemetry)


def deactivate(telemetry: Signals) -> None:
    """Use it no more, but for its spool: an event said during exit waits for the next process."""
    global _active  # noqa: PLW0603 - a process has one
    if _active is telemetry:
        _active = None


def active() -> Signals | None:
    """What the running code uses; None before ``init`` and after a shutdown."""
    return _local.get() or _active


def of_process() -> Signals | None:
    """What the process uses, whatever the running code does."""
    return _active


def latest() -> Signals | None:
    """What this process uses or has used last; None before ``init``."""
    return _latest


@contextmanager
def using(telemetry: Signals) -> Iterator[None]:
    """The code inside uses a telemetry of its own, whatever the process has."""
    token = _local.set(telemetry)
    try:
        yield
    finally:
        with suppress(ValueError):  # it may end in another context than it began in
            _local.reset(token)


def redactor() -> Redactor:
    """What hides secrets and personal data: as ``init`` was told, or the defaults before it."""
    return _DEFAULT_REDACTOR if _latest is None else _latest.redactor


def know(something: Known) -> None:
    """Bind it now, and to whatever ``init`` sets up later, for as long as it lives."""
    _known.add(something)
    if _active is not None:
        something.bind(_active)


def switch_off() -> None:
    """Everything does nothing on purpose, so nothing warns of it."""
    global _silent  # noqa: PLW0603 - a process has one
    _silent = True


def warn_inactive(what: str, remedy: str) -> None:
    """Say once for each ``what`` that it does nothing until ``init`` ... ``remedy``."""
    if what not in _warned and not _silent:
        _warned.add(what)
        log.warning("%s does nothing until otelkit.init(...) %s", what, remedy)


def reset() -> None:
    """As before the first ``init``: for tests."""
    global _active, _latest, _silent
    _active, _latest, _silent = None, None, False
    _warned.clear()
