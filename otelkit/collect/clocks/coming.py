"""Which deadlines are still to be met, without looking at any order: counts by minute.

What the earliest is costs the minutes that have passed since it was asked last, however many clocks
run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from otelkit.collect.clocks.standing import COMING
from otelkit.collect.clocks.tallies import Key, Minutes

Place = tuple[str, ...]
"""Objective, stage and tier."""
_SPARE: Final = 1000
"""Minutes that a heap holds in vain before it is made anew."""


@dataclass(slots=True)
class _Minutes:
    """Of one place the clocks by minute, and a heap of all minutes that have any."""

    counts: dict[int, float] = field(default_factory=dict)
    heap: list[int] = field(default_factory=list)

    def change(self, minute: int, by: float) -> None:
        before = self.counts.get(minute)
        if before is None:
            heappush(self.heap, minute)
        count = (before or 0.0) + by
        if count:
            self.counts[minute] = count
        else:
            self.counts.pop(minute, None)

    def first(self) -> int | None:
        counts, heap = self.counts, self.heap
        if len(heap) > 2 * len(counts) + _SPARE:  # minutes that came and went
            heap[:] = counts
            heapify(heap)
        while heap and heap[0] not in counts:
            heappop(heap)
        return heap[0] if heap else None


class Coming:
    """Counts of clocks whose deadline is ahead, by place and minute."""

    def __init__(self) -> None:
        self._places: dict[Place, _Minutes] = {}

    def merge(self, changes: Mapping[Key, Mapping[int, float]]) -> None:
        """Take from changes by minute what belongs here."""
        for (metric, *place), counts in changes.items():
            if metric == COMING:
                minutes = self._places.setdefault(tuple(place), _Minutes())
                for minute, change in counts.items():
                    minutes.change(minute, change)

    def earliest(self) -> Iterator[tuple[Place, float]]:
        """Of each place where there is one the next deadline, in Unix seconds.

        It lies there or up to a minute before; one on the minute is told exactly.
        """
        for place, minutes in self._places.items():
            first = minutes.first()
            if first is not None:
                yield place, 60.0 * first

    def minutes(self) -> Minutes:
        """The counts that were merged."""
        return Minutes({(COMING, *place): own.counts for place, own in self._places.items()})
