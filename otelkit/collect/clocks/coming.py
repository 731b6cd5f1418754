"""Which deadlines are still to be met, without looking at any order: counts by minute.

What the earliest is costs the minutes that have passed since it was asked last, however many clocks
run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from otelkit.collect.clocks.standing import COMING
from otelkit.collect.clocks.tallies import Key, Tallies

Place = tuple[str, ...]
"""Objective, stage and tier."""


@dataclass(slots=True)
class _Minutes:
    """Of one place the clocks by minute, and a heap of all minutes that have any."""

    counts: dict[int, float] = field(default_factory=dict)
    heap: list[int] = field(default_factory=list)


class Coming:
    """Counts of clocks whose deadline is ahead, by place and minute."""

    def __init__(self) -> None:
        self._places: dict[Place, _Minutes] = {}

    def merge(self, changes: Mapping[Key, float]) -> None:
        """Take from changes of tallies what belongs here."""
        for key, change in changes.items():
            if key[0] == COMING:
                self._change(key[1:-1], int(key[-1]), change)

    def _change(self, place: Place, minute: int, change: float) -> None:
        minutes = self._places.get(place)
        if minutes is None:
            minutes = self._places[place] = _Minutes()
        before = minutes.counts.get(minute)
        if before is None:
            heappush(minutes.heap, minute)
        count = (before or 0.0) + change
        if count:
            minutes.counts[minute] = count
        else:
            minutes.counts.pop(minute, None)

    def earliest(self) -> Iterator[tuple[Place, float]]:
        """Of each place where there is one the next deadline, in Unix seconds.

        It lies there or up to a minute before; one on the minute is told exactly.
        """
        for place, minutes in self._places.items():
            counts, heap = minutes.counts, minutes.heap
            if len(heap) > 2 * len(counts) + 1000:  # minutes that came and went
                heap[:] = counts
                heapify(heap)
            while heap and heap[0] not in counts:
                heappop(heap)
            if heap:
                yield place, 60.0 * heap[0]

    def tallies(self) -> Tallies:
        """The counts that were merged."""
        return Tallies(
            {
                (COMING, *place, str(minute)): count
                for place, minutes in self._places.items()
                for minute, count in minutes.counts.items()
            }
        )
