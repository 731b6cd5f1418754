"""The one place with state: what ``init`` has set up in this process, if it has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelkit.instrument.telemetry import Telemetry

log = logging.getLogger("otelkit")

_active: Telemetry | None = None
_warned: set[str] = set()
_silent = False


def activate(telemetry: Telemetry | None) -> None:
    """Set what this process uses; None after a shutdown."""
    global _active  # noqa: PLW0603 - a process has one
    _active = telemetry


def active() -> Telemetry | None:
    """What this process uses; None before ``init`` and after a shutdown."""
    return _active


def switch_off() -> None:
    """Everything does nothing on purpose, so nothing warns of it."""
    global _silent  # noqa: PLW0603 - a process has one
    _silent = True


def warn_inactive(what: str, remedy: str) -> None:
    """Say once for each ``what`` that it does nothing until ``init`` ... ``remedy``."""
    if what not in _warned and not _silent:
        _warned.add(what)
        log.warning("%s does nothing until otelkit.init(...) %s", what, remedy)
