"""What the API answers, as types: JSON is written from them, and its description too.

Instants are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from otelkit.collect.engine.intake import OUTCOMES, QUARANTINED, Taken
from otelkit.collect.sources.conditions import Condition
from otelkit.collect.storage.ledger import Rejected


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not answered, and what to send instead."""

    error: str


class Problem(msgspec.Struct, frozen=True):
    """An event of a batch that was quarantined, by its place from 0."""

    index: int
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """How many events of a request became what."""

    applied: int
    late: int
    duplicate: int
    quarantined: int
    problems: list[Problem]


class Accepted(msgspec.Struct, frozen=True):
    """How many events are on their way to the shards that they belong to."""

    accepted: int


class Quarantined(msgspec.Struct, frozen=True):
    """Bytes that are no event; ``body`` is their beginning."""

    source: str
    received: str
    reason: str
    body: str


class Quarantine(msgspec.Struct, frozen=True):
    """The latest first."""

    events: list[Quarantined]


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a source is read, and else why not."""

    up: bool
    why: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """Whether all sources are read."""

    ready: bool
    sources: dict[str, Source]


# --- from what the collector knows ---------------------------------------------------------


def outcome(taken: Sequence[Taken]) -> Outcome:
    """What became of the events of a request."""
    counts = {name: sum(one.outcome == name for one in taken) for name in OUTCOMES}
    problems = [
        Problem(index, one.reason) for index, one in enumerate(taken) if one.outcome == QUARANTINED
    ]
    return Outcome(**counts, problems=problems)


def quarantine(rejected: Iterable[Rejected]) -> Quarantine:
    """What was no event."""
    return Quarantine(
        [
            Quarantined(
                one.source, instant(one.received), one.reason, one.body.decode("utf-8", "replace")
            )
            for one in rejected
        ]
    )


def readiness(conditions: dict[str, Condition]) -> Readiness:
    """Whether all is read."""
    sources = {name: Source(found.up, found.why) for name, found in conditions.items()}
    return Readiness(all(found.up for found in conditions.values()), sources)


def instant(at: float) -> str:
    """``2026-03-01T08:00:00.000Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
