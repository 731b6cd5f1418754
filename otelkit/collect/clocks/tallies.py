"""Counters and gauges by their labels, as the collector keeps them in memory and on disk.

Those that orders count in by the minute are many, and each event changes some: they are kept by
series, and become flat only where somebody looks at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Key = tuple[str, ...]
"""A metric's name and the values of its labels, without ``system``."""


class Tallies(dict[Key, float]):
    """Numbers by key; a key that is not there stands at 0."""

    def __missing__(self, key: Key) -> float:
        return 0.0

    def change(self, keys: Iterable[Key], by: float = 1.0) -> None:
        """Change each key by so much, once for each time it is given."""
        get = self.get
        for key in keys:
            self[key] = get(key, 0.0) + by

    def merge(self, changes: Mapping[Key, float]) -> None:
        """Add changes; what comes to 0 leaves, so that gauges of long ago take no room."""
        for key, change in changes.items():
            value = self.get(key, 0.0) + change
            if value:
                self[key] = value
            else:
                self.pop(key, None)


class Minutes(dict[Key, dict[int, float]]):
    """Numbers by series and minute since the epoch; the series is a metric's name and labels."""

    def count(self, series: Key, minute: int, by: float) -> None:
        """Change one by so much."""
        counts = self.get(series)
        if counts is None:
            counts = self[series] = {}
        counts[minute] = counts.get(minute, 0.0) + by

    def merge(self, changes: Mapping[Key, Mapping[int, float]]) -> None:
        """Add changes."""
        for series, counts in changes.items():
            for minute, change in counts.items():
                self.count(series, minute, change)

    def flat(self) -> Tallies:
        """All that are not 0, the minute as the last label."""
        return Tallies(
            {
                (*series, str(minute)): count
                for series, counts in self.items()
                for minute, count in counts.items()
                if count
            }
        )
