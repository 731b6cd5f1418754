"""How long orders have stood in their stages, without looking at any: counts by minute of entry.

A bucket's bound is an instant that moves on with time; what it passes changes its bucket. So a
scrape costs the minutes since the last one, however many orders are open.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from otelkit import names
from otelkit.collect.clocks.tallies import Key, Minutes

AGE_BUCKETS: Final = tuple(bound for bound in names.STAGE_BUCKETS if bound >= 60)
"""Ages are counted by minute of entry, so that no finer bound can be told."""

_METRIC: Final = names.ORDER_STAGE_AGE.name
Labels = tuple[str, ...]
"""Process, stage and tier."""


@dataclass(frozen=True, slots=True)
class Aged:
    """Orders of one place: how many in each bucket and beyond the last, and the sum of ages."""

    buckets: Sequence[float]
    seconds: float


@dataclass(slots=True)
class _Entered:
    """Orders of one place by their minute of entry, in buckets as of the last look."""

    buckets: list[float]
    minutes: dict[int, float] = field(default_factory=dict)
    total: float = 0.0
    weighed: float = 0.0
    """The sum of the minutes."""


class Ages:
    """Counts of orders by place and age. ``bounds`` are ascending, in seconds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds: Final = bounds
        self._buckets: Final = len(bounds) + 1
        self._edges = [0] * len(bounds)
        """Of each bound, the first minute of entry that is younger, as a negative number, so that
        they ascend."""
        self._latest = 0
        self._places: dict[Labels, _Entered] = {}

    def merge(self, changes: Mapping[Key, Mapping[int, float]]) -> None:
        """Take from changes by minute what belongs here."""
        for (metric, *place), counts in changes.items():
            if metric == _METRIC:
                entered = self._places.setdefault(tuple(place), _Entered([0.0] * self._buckets))
                for minute, change in counts.items():
                    self._change(entered, minute, change)

    def _change(self, entered: _Entered, minute: int, change: float) -> None:
        count = entered.minutes.get(minute, 0.0) + change
        if count:
            entered.minutes[minute] = count
        else:
            entered.minutes.pop(minute, None)
        entered.buckets[bisect_left(self._edges, -minute)] += change
        entered.total += change
        entered.weighed += minute * change
        self._latest = max(self._latest, minute)

    def at(self, now: float) -> Iterator[tuple[Labels, Aged]]:
        """All places with their ages at an instant; an order counts with its minute's middle."""
        self._move([ceil((now - 30 - bound) / 60) for bound in self._bounds])
        newest = range(ceil((now - 30) / 60), self._latest + 1)
        for place, entered in self._places.items():
            # What was entered a moment ago has the age 0, and no less.
            young = sum(entered.minutes.get(m, 0.0) * (60 * m + 30 - now) for m in newest)
            seconds = entered.total * (now - 30) - 60 * entered.weighed + young
            yield place, Aged(tuple(entered.buckets), seconds)

    def _move(self, edges: list[int]) -> None:
        before, self._edges = [-edge for edge in self._edges], [-edge for edge in edges]
        for entered in self._places.values():
            for number, (old, new) in enumerate(zip(before, edges, strict=True)):
                if old == new:
                    continue
                if abs(new - old) > len(entered.minutes):
                    passed = [m for m in entered.minutes if old <= m < new or new <= m < old]
                else:
                    passed = [
                        m for m in range(min(old, new), max(old, new)) if m in entered.minutes
                    ]
                moved = sum(entered.minutes[m] for m in passed) * (1 if new > old else -1)
                entered.buckets[number] -= moved
                entered.buckets[number + 1] += moved

    def minutes(self) -> Minutes:
        """The counts that were merged."""
        return Minutes({(_METRIC, *place): own.minutes for place, own in self._places.items()})
