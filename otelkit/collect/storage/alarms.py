"""When orders have to be looked at: an index by place and instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otelkit.collect.clocks.standing import AT_RISK, OVERDUE
from otelkit.collect.storage.ledger import Ledger
from otelkit.collect.storage.words import Word, Words

Place = tuple[str, str, str]
"""Objective, stage and tier."""
Alarm = tuple[float, int]
"""An instant, and the number of the order that is at risk or overdue from then on."""

WATERMARK: Final = "tick"
"""The number that tells up to when alarms have been looked at."""
BEGINNING: Final[Alarm] = (float("-inf"), 0)
"""Before all alarms."""
LAST_NUMBER: Final = 2**63 - 1
"""No order has it: an alarm of this number comes behind all others of its instant."""
_PLACES_AT_ONCE: Final = 100
"""SQLite puts no more than 500 queries together."""
_FIRST_ALARMS: Final = (
    "SELECT * FROM (SELECT place, instant, num FROM alarms WHERE place = {}"
    " AND (instant, num) > (?1, ?2) AND instant <= ?3 ORDER BY instant, num LIMIT ?4) AS first"
)
_FIRST_OF_ALL: Final = "SELECT * FROM ({}) AS found ORDER BY instant, num LIMIT ?4"


class AlarmIndex(Ledger):
    """Over the table ``alarms``. Not for threads.

    Every method raises :class:`~otelkit.errors.StoreError` if the database refuses.
    """

    _words: Words

    def due(self, after: float, until: float, enough: int) -> tuple[float, list[int]]:
        """Orders with an alarm in ``(after, until]``, and the instant up to which these are all.

        The instant is before ``until`` where more than ``enough`` are due.
        """
        found = self._between(after, until, enough + 1)
        if len(found) > enough:
            # All that share the last instant belong to it, however many they are.
            until = found[enough - 1][0]
            found = self._between(after, until, None)
        return until, list(dict.fromkeys(number for _, number in found))

    def _between(self, after: float, until: float, limit: int | None) -> list[Alarm]:
        every = [(kind, *place) for kind in (AT_RISK, OVERDUE) for place in self.places(kind)]
        found = self._first(every, (after, LAST_NUMBER), until, limit, _FIRST_OF_ALL)
        return [alarm for alarm, _ in found]

    def first_alarms(
        self, kind: str, places: Iterable[Place], *, after: Alarm, until: float, limit: int | None
    ) -> list[tuple[Alarm, Place]]:
        """Of each place the first alarms behind ``after`` and up to ``until``, all in order."""
        found = self._first([(kind, *place) for place in places], after, until, limit)
        return [(alarm, (place[1], place[2], place[3])) for alarm, place in found]

    def _first(
        self,
        places: Iterable[Word],
        after: Alarm,
        until: float,
        limit: int | None,
        of: str = "{}",
    ) -> list[tuple[Alarm, Word]]:
        numbers = {self._words[place]: place for place in places}
        found: list[tuple[Alarm, Word]] = []
        for some in _chunks(sorted(numbers)):
            statement = " UNION ALL ".join([_FIRST_ALARMS.format(number) for number in some])
            rows = self._db.rows(of.format(statement), (*after, until, limit or LAST_NUMBER))
            found += [((instant, number), numbers[place]) for place, instant, number in rows]
        return sorted(found)

    def word(self, place: Word) -> int:
        """The number by which the table knows a place."""
        return self._words[place]

    def places(self, kind: str) -> list[Place]:
        """Where there ever was an alarm of a kind."""
        return [
            (word[1], word[2], word[3])
            for word in list(self._words.texts.values())
            if len(word) == 4 and word[0] == kind
        ]


def _chunks(keys: Sequence[int], size: int = _PLACES_AT_ONCE) -> Iterator[Sequence[int]]:
    return (keys[n : n + size] for n in range(0, len(keys), size))
