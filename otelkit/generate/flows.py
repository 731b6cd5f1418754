"""What one process counts in a proof: events, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MINUTES: Final = 45
"""How long a flow lasts."""
JOB: Final = "proof"

Labels = Mapping[str, str]
Counted = Sequence[int | None]
"""A counter minute by minute, None where its series is not there."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The events that one process counts under one value of the label that varies."""

    good: Counted
    bad: Counted
    instance: str = "a"
    variant: int = 0
    job: str = JOB
    labels: Labels = field(default_factory=dict)
    otherwise: bool = False


def steady(rate: int, since: int = 0, first: int = 0) -> Counted:
    """So many events a minute, from a minute and a count on."""
    grows = (first + rate * minute for minute in range(MINUTES + 1 - since))
    return (None,) * since + tuple(grows)


def restarting(rate: int, at: int) -> Counted:
    """The process is new at this minute, and counts from zero."""
    return (*steady(rate)[:at], *(rate * minute for minute in range(1, MINUTES + 2 - at)))


def born(minute: int, value: int) -> Counted:
    """A series that appears with its first event, of which there are no more."""
    return steady(0, minute, value)


NONE: Final[Counted] = (None,) * (MINUTES + 1)
"""A series that is never there."""
