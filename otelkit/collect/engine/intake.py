"""What is handed to the engine, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.state import State

APPLIED: Final = "applied"
LATE: Final = "late"
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"
OUTCOMES: Final = (APPLIED, LATE, DUPLICATE, QUARANTINED)
"""What becomes of an event: ``late`` ones were put in their place among those that came before."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """Bytes from a source. ``source`` is its configured name, not what the event says.

    ``event`` is what the bytes say, where somebody has read them.
    """

    source: str
    body: bytes
    at: float
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an event, and why where it was quarantined."""

    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A clock that runs and has become overdue: order, objective, and the missed deadline."""

    state: State
    objective: str
    deadline: float
    trace_id: str | None
