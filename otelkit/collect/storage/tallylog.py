"""Tallies on disk: a row for what each transaction changed, and one for the sum of older ones.

Thousands of counters change in a batch of events, each in another place. Written as one row they
cost a page or two; they are summed up when there is more of them than of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from otelkit.collect.clocks.standing import BY_MINUTE
from otelkit.collect.clocks.tallies import Key, Minutes, Tallies
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.words import Words

LEAST_BYTES: Final = 2**18
"""Of changes, before they are summed up."""
SUMS: Final = 2
"""Or so many times what their sum takes."""

Nested = dict[int, dict[str | int, float]]
"""By the number of a key's beginning, and by its last label or its minute."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Nested).decode


class TallyLog:
    """Over the table ``tallies``."""

    def __init__(self, db: Database, words: Words) -> None:
        self._db = db
        self._words = words
        rows = db.rows("SELECT num, length(changes) FROM tallies ORDER BY num")
        self._last: int = rows[-1][0] if rows else 0
        self._sum: int = rows[0][1] if rows else 0
        self._since: int = sum(size for _, size in rows[1:])
        self._total: Nested | None = None
        """All of them; None before they are asked for."""

    def read(self) -> tuple[Tallies, Minutes]:
        """All of them as they stand in the database."""
        tallies, minutes, texts = Tallies(), Minutes(), self._words.texts
        total = self._total = self._summed()
        for beginning, values in total.items():
            series = texts[beginning]
            if series[0] in BY_MINUTE:
                minutes[series] = {int(minute): count for minute, count in values.items()}
            else:
                tallies.update(((*series, str(last)), value) for last, value in values.items())
        return tallies, minutes

    def _summed(self) -> Nested:
        total: Nested = {}
        for (packed,) in self._db.rows("SELECT changes FROM tallies ORDER BY num"):
            _add(total, _decode(packed))
        return total

    def append(
        self, changes: Mapping[Key, float], minutes: Mapping[Key, Mapping[int, float]]
    ) -> None:
        """Change tallies by so much."""
        if not changes and not minutes:
            return
        if self._total is None:
            self._total = self._summed()
        nested: Nested = {}
        words = self._words
        for (*beginning, last), change in changes.items():
            # A minute is a number here, however it was told: else it would stand here twice.
            label = int(last) if beginning[0] in BY_MINUTE else last
            nested.setdefault(words[tuple(beginning)], {})[label] = _exact(change)
        for series, counts in minutes.items():
            nested.setdefault(words[series], {}).update(
                {minute: int(change) for minute, change in counts.items() if change}
            )
        self._since += self._write(nested)
        _add(self._total, nested)
        if self._since > max(LEAST_BYTES, SUMS * self._sum):
            self._db.run("DELETE FROM tallies")
            self._sum, self._since = self._write(self._total), 0

    def _write(self, nested: Nested) -> int:
        packed = _encode(nested)
        self._last += 1
        self._db.load("tallies", [(self._last, packed)])
        return len(packed)


def _add(total: Nested, changes: Nested) -> None:
    """What comes to 0 leaves, so that gauges of long ago take no room."""
    for beginning, values in changes.items():
        sums = total.setdefault(beginning, {})
        for last, change in values.items():
            value = sums.get(last, 0) + change
            if value:
                sums[last] = value
            else:
                sums.pop(last, None)


def _exact(value: float) -> float:
    """As an integer where it is one: most are small, and take a byte."""
    return int(value) if value == int(value) else value
