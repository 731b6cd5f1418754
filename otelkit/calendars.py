"""Business time: deadlines that count only the hours in which a calendar is open.

Time is a table. A calendar is a sorted list of open intervals in UTC with prefix sums, so that
"16 business hours after t" is a bisection and clock changes are exact. All instants are Unix
seconds as floats.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from otelkit.model import Calendar, Hours

HORIZON_YEARS: Final = 20
"""A deadline further away than this is a mistake; the search for it ends in a ``ValueError``."""
_DAY: Final = timedelta(days=1)


class BusinessTime(Protocol):
    """What a clock needs to know of a calendar."""

    def add(self, at: float, seconds: float) -> float:
        """The instant at which ``seconds`` of open time have passed since ``at``."""

    def add_days(self, at: float, days: int) -> float:
        """The same time of day, ``days`` open days on, moved into that day's hours."""

    def elapsed(self, start: float, end: float) -> float:
        """Open seconds between two instants; zero if ``end`` is not after ``start``."""

    def is_open(self, at: float) -> bool:
        """Whether the calendar is open at this instant."""

    def next_open(self, at: float) -> float:
        """The first instant from ``at`` on at which it is open: ``at`` itself if it is."""


class Always:
    """Wall-clock time: open at every instant."""

    def add(self, at: float, seconds: float) -> float:
        return at + seconds

    def add_days(self, at: float, days: int) -> float:
        return at + days * 86400.0

    def elapsed(self, start: float, end: float) -> float:
        return max(end - start, 0.0)

    def is_open(self, at: float) -> bool:  # noqa: ARG002 - the answer never changes
        return True

    def next_open(self, at: float) -> float:
        return at


ALWAYS: Final[BusinessTime] = Always()


class AroundTheClock(Always):
    """The same, where days are those of a place: some have 23 or 25 hours."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def add_days(self, at: float, days: int) -> float:
        local = datetime.fromtimestamp(at, self._zone)
        return (local + days * _DAY).timestamp()


@dataclass(frozen=True, slots=True)
class _Table:
    """Open intervals of the years ``first`` to ``last``, both whole.

    ``before[i]`` is the open time of all intervals before ``starts[i]``.
    """

    first: int
    last: int
    starts: list[float]
    ends: list[float]
    before: list[float]

    def position(self, at: float) -> float:
        """Open seconds between the beginning of the table and ``at``."""
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return 0.0
        # In brackets, or the sum of all years takes the last digit from fractions of seconds.
        return self.before[index] + (min(at, self.ends[index]) - self.starts[index])


class OpenHours:
    """Open hours of one :class:`otelkit.model.Calendar`.

    Years are added to its table when somebody asks beyond it; a table is replaced whole, so that
    threads may share a calendar.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._zone = ZoneInfo(calendar.timezone)
        self._table: _Table | None = None

    def add(self, at: float, seconds: float) -> float:
        if seconds <= 0:
            return at
        first = last = self._year(at)
        while True:
            table = self._covering(first, last)
            goal = table.position(at) + seconds
            index = bisect_left(table.before, goal) - 1
            if table.starts:
                deadline = table.starts[index] + (goal - table.before[index])
                if deadline <= table.ends[index]:
                    return deadline
            last = self._further(last, first)

    def add_days(self, at: float, days: int) -> float:
        start = self.next_open(at)
        local = datetime.fromtimestamp(start, self._zone)
        day, left = local.date(), days
        while left:
            day += _DAY
            if self._opens(day):
                left -= 1
            elif day.year - local.year > HORIZON_YEARS:
                raise ValueError(self._too_far())
        return self._within(day, local)

    def elapsed(self, start: float, end: float) -> float:
        if end <= start:
            return 0.0
        table = self._covering(self._year(start), self._year(end))
        return table.position(end) - table.position(start)

    def is_open(self, at: float) -> bool:
        table = self._covering(self._year(at), self._year(at))
        index = bisect_right(table.starts, at) - 1
        return index >= 0 and at < table.ends[index]

    def next_open(self, at: float) -> float:
        first = last = self._year(at)
        while True:
            table = self._covering(first, last)
            index = bisect_right(table.ends, at)
            if index < len(table.starts):
                return max(at, table.starts[index])
            last = self._further(last, first)

    def _within(self, day: date, local: datetime) -> float:
        """The time of day of ``local`` on another day, moved into the hours of that day."""
        intervals = [_instants(day, span, self._zone) for span in self._spans(day)]
        wanted = datetime.combine(day, local.timetz()).timestamp()
        for start, end in intervals:
            if wanted <= end:
                return max(wanted, start)
        return intervals[-1][1]

    def _year(self, at: float) -> int:
        return datetime.fromtimestamp(at, self._zone).year

    def _further(self, last: int, first: int) -> int:
        if last - first >= HORIZON_YEARS:
            raise ValueError(self._too_far())
        return last + 1

    def _too_far(self) -> str:
        name = self._calendar.name
        return f"calendar {name!r} does not open often enough within {HORIZON_YEARS} years"

    def _covering(self, first: int, last: int) -> _Table:
        """A table that holds these years and one on each side."""
        table = self._table
        if table is None or not table.first < first <= last < table.last:
            low, high = first - 1, last + 1
            if table is not None:
                low, high = min(low, table.first), max(high, table.last)
            table = self._table = self._build(low, high)
        return table

    def _build(self, first: int, last: int) -> _Table:
        intervals: list[tuple[float, float]] = []
        day, end = date(first, 1, 1), date(last, 12, 31)
        while day <= end:
            intervals.extend(_instants(day, span, self._zone) for span in self._spans(day))
            day += _DAY
        # An hour that a clock change skips ends as it starts.
        intervals = [(start, end) for start, end in intervals if start < end]
        starts = [start for start, _ in intervals]
        ends = [end for _, end in intervals]
        before = list(accumulate((end - start for start, end in intervals), initial=0.0))[:-1]
        return _Table(first, last, starts, ends, before)

    def _spans(self, day: date) -> Hours:
        calendar = self._calendar
        if day in calendar.opened:
            return calendar.opened[day]
        is_holiday = calendar.holidays and day in _holidays(calendar.holidays, day.year)
        return () if is_holiday or day in calendar.closed else calendar.hours[day.weekday()]

    def _opens(self, day: date) -> bool:
        return bool(self._spans(day))


def build(calendar: Calendar) -> BusinessTime:
    """The business time of a calendar; one that is open around the clock costs nothing."""
    around_the_clock = all(day == ((0, 1440),) for day in calendar.hours)
    if around_the_clock and not (calendar.holidays or calendar.closed or calendar.opened):
        return AroundTheClock(ZoneInfo(calendar.timezone))
    return OpenHours(calendar)


def _instants(day: date, span: tuple[int, int], zone: ZoneInfo) -> tuple[float, float]:
    return _instant(day, span[0], zone), _instant(day, span[1], zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> float:
    """When a clock there shows a time of day: for the first time, or at once a later one."""
    if minutes == 1440:
        day, minutes = day + _DAY, 0
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    at, before = local.timestamp(), local.replace(fold=1).timestamp()
    if at <= before:
        return at
    # Clocks skip this time. Read as they go before and after that, it lies on either side.
    skipped = local.utcoffset()
    moments = range(int(before), int(at))
    return float(
        moments[0]
        + bisect_left(
            moments, True, key=lambda t: datetime.fromtimestamp(t, zone).utcoffset() != skipped
        )
    )


def holidays_of(place: str, years: Iterable[int]) -> list[date]:
    """The holidays of a country or a part of it in these years, in order."""
    return [day for year in years for day in sorted(_holidays(place, year))]


@cache
def _holidays(place: str, year: int) -> frozenset[date]:
    """The dates alone: names and languages of holidays are nobody's business here."""
    import holidays

    country, _, part = place.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))
