"""How long clocks take: durations counted by buckets, and percentiles as they were known.

A percentile holds for clocks that start a day after it was worked out, and for as long as no later
one holds. Since no event is taken from further ahead than that day, an order's clocks follow from
its events alone, in whatever order and however late these arrive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log2
from typing import Final, NamedTuple

from otelkit.collect.clocks.decode import FUTURE_SECONDS
from otelkit.collect.clocks.tallies import Tallies

DURATIONS: Final = "clocks by duration"
"""Counts clocks by objective, tier and bucket. No metric: they fade."""
EVERY: Final = 3600.0
"""Seconds between two looks at them."""
HALF_LIFE: Final = 30 * 86_400.0
"""A clock of so long ago counts half."""
_A_CHANGE: Final = 0.05
"""A percentile that moved by less is the one before."""
_LEAST: Final = 0.01
"""So little of a count is none."""
_STEPS: Final = 4
"""Buckets to each doubling of a duration, so that each is 19 % wide; the first ends at 1 s."""


class Percentile(NamedTuple):
    """Of the clocks of an objective and tier, ``share`` took no more than so many seconds of their
    time; what starts from ``since`` on is held against it."""

    objective: str
    tier: str
    share: float
    since: float
    seconds: float


class Percentiles:
    """All that ever were known."""

    def __init__(self, known: Iterable[Percentile] = ()) -> None:
        self._known: dict[tuple[str, str, float], tuple[list[float], list[float]]] = {}
        self.add(known)

    def forget(self) -> None:
        """All of it."""
        self._known.clear()

    def add(self, known: Iterable[Percentile]) -> None:
        """Learn some more."""
        for objective, tier, share, since, seconds in known:
            instants, values = self._known.setdefault((objective, tier, share), ([], []))
            place = bisect_right(instants, since)
            instants.insert(place, since)
            values.insert(place, seconds)

    def at(self, objective: str, tier: str, share: float, when: float) -> float | None:
        """The one that holds for what starts at an instant; None where none was known."""
        instants, values = self._known.get((objective, tier, share), ((), ()))
        place = bisect_right(instants, when)
        return values[place - 1] if place else None


NOTHING_LEARNED: Final = Percentiles()


def bucket(seconds: float) -> str:
    """Where a duration counts."""
    return str(max(ceil(_STEPS * log2(max(seconds, 1.0))), 0))


def _bound(number: int) -> float:
    """The longest duration of a bucket."""
    return 0.0 if number < 0 else float(2.0 ** (number / _STEPS))


def quantile(counts: Mapping[int, float], share: float) -> float:
    """What a share of all durations does not exceed: exact to a bucket, evenly filled inside."""
    goal, upto = share * sum(counts.values()), 0.0
    for number, count in sorted(counts.items()):
        if upto + count >= goal:
            low, high = _bound(number - 1), _bound(number)
            return low + (high - low) * (goal - upto) / count
        upto += count
    raise ValueError("nothing was counted")


def faded(tallies: Tallies, seconds: float) -> Tallies:
    """By how much counts change when so much time passes."""
    lost = 1.0 - 0.5 ** (seconds / HALF_LIFE)
    return Tallies(
        {
            key: -count * lost if count * (1.0 - lost) > _LEAST else -count
            for key, count in tallies.items()
            if key[0] == DURATIONS
        }
    )


def learned(
    tallies: Tallies, rules: Iterable[tuple[str, float, int]], known: Percentiles, now: float
) -> Sequence[Percentile]:
    """Percentiles that are news: for each objective a share, and how many clocks it takes."""
    places: dict[tuple[str, str], dict[int, float]] = {}
    for (metric, *labels), count in tallies.items():
        if metric == DURATIONS:
            objective, tier, number = labels
            places.setdefault((objective, tier), {})[int(number)] = count
    since, found = now + FUTURE_SECONDS, []
    for wanted, share, samples in rules:
        for (objective, tier), counts in places.items():
            if objective != wanted or sum(counts.values()) < samples:
                continue
            seconds = quantile(counts, share)
            before = known.at(objective, tier, share, since)
            if before is None or abs(seconds - before) > _A_CHANGE * before:
                found.append(Percentile(objective, tier, share, since, seconds))
    return found
