"""Counters and gauges by their labels, as the collector keeps them in memory and on disk."""

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
