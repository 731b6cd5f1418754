"""An order as it stands, with its clocks: what the collector keeps of it beside its events."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final
from zlib import crc32

import msgspec

from otelkit.collect.clocks.decode import Event

REMEMBERED: Final = 16
"""Marks of events kept in an order's row; an older repeat that comes late is found all the same."""
_MARK_BYTES: Final = 3


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One run of a clock. Instants are Unix seconds, ``left`` and ``risk`` seconds of its calendar.

    ``number`` counts the runs of this objective for this order (rework starts a new one).
    ``business`` tells whether it counts its calendar's open time or wall-clock time. ``counted`` is
    the outcome under which it stands in the counters, empty for none.
    """

    objective: str
    number: int
    agreement: str
    business: bool
    started: float
    deadline: float | None
    at_risk: float | None
    left: float | None = None
    risk: float | None = None
    ended: float | None = None
    outcome: str = ""
    counted: str = ""


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order. ``stage`` is where it stands, or stood when it was paused or ended.

    ``at`` is the time of its newest event, ``versions`` the newest version by source, ``log`` the
    last entry of its timeline, ``seen`` the marks of its last events. ``policy`` is the fingerprint
    of the one policy that all its clocks follow, empty where they follow more than one.
    """

    process: str
    order_id: str
    status: str
    stage: str
    since: float
    tier: str
    partner: str | None
    at: float
    open: bool
    paused: bool
    runs: tuple[Run, ...] = ()
    versions: dict[str, int] = {}
    aliases: dict[str, str] = {}
    seen: bytes = b""
    log: int = 0
    policy: str = ""


def mark_of(event: Event) -> bytes:
    """24 bits by which a repeat is suspected; the order's timeline then tells."""
    return crc32(f"{event.source}\0{event.id}".encode()).to_bytes(4)[-_MARK_BYTES:]


def remember(seen: bytes, mark: bytes) -> bytes:
    """The marks of an order with one more."""
    return (seen + mark)[-REMEMBERED * _MARK_BYTES :]


def is_whole(state: State, events: Sequence[Event]) -> bool:
    """Whether these are all that an order was told, so far as one can tell.

    A timeline may have been deleted after its order had ended, and gone on when it was reopened.
    """
    began = min((event.at for event in events), default=inf)
    has_all = len(events) >= len(state.seen) // _MARK_BYTES
    return has_all and all(run.started >= began for run in state.runs)


def is_newer(state: State, event: Event) -> bool:
    """Whether an event simply comes after all that is known of the order."""
    if event.at <= state.at:
        return False
    return event.version is None or event.version > state.versions.get(event.source, -1)
