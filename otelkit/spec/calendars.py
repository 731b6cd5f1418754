"""Calendars of an SLA file: open hours a week, holidays, closed days."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Final

from otelkit.model import Calendar, Hours
from otelkit.spec import quantities as q
from otelkit.spec.reader import Key, Reader, Table, read_each, suggestion

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT: Final = 1440

Week = list[list[tuple[int, int]]]


def calendars(reader: Reader) -> Table[Calendar]:
    """The calendars of the file."""
    return read_each(reader, q.identifier, _calendar)


def _calendar(name: str, reader: Reader) -> Calendar | None:
    keys = ("timezone", "hours", "holidays", "closed", "open")
    fields = reader.fields(keys, ("timezone", "hours"))
    timezone = fields["timezone"].parse(_timezone) if "timezone" in fields else None
    hours = _hours(fields["hours"]) if "hours" in fields else None
    holidays = fields["holidays"].parse(_holidays) if "holidays" in fields else None
    closed = _closed(fields["closed"]) if "closed" in fields else frozenset()
    opened = _opened(fields["open"], closed) if "open" in fields else {}
    if timezone is None or hours is None:
        return None
    return Calendar(name, timezone, hours, holidays, closed, opened)


def _timezone(text: str) -> str:
    known = zoneinfo.available_timezones()
    if text not in known:
        near = suggestion(text, sorted(known))
        raise ValueError(
            f"no time zone is called {text!r}{near or '; write one such as Europe/Berlin'}"
        )
    return text


def _holidays(text: str) -> str:
    import holidays

    known = holidays.list_supported_countries()
    country, dash, part = text.partition("-")
    if country not in known:
        near = suggestion(country, sorted(known))
        raise ValueError(
            f"no holidays are known for {country!r}{near or '; write an ISO code such as DE'}"
        )
    if dash and part not in known[country]:
        near = suggestion(part, known[country])
        parts = f"; write one of {', '.join(known[country])}" if known[country] else ""
        raise ValueError(f"{country} has no part {part!r} with holidays of its own{near or parts}")
    return text


def _closed(reader: Reader) -> frozenset[date]:
    days = (item.parse(q.day) for item in reader.items())
    return frozenset(day for day in days if day is not None)


def _opened(reader: Reader, closed: frozenset[date]) -> dict[date, Hours]:
    """Days with hours of their own, by date."""
    found = {}
    for key, value in reader.entries():
        day = key.parse(q.day)
        spans = sorted(_intervals(value))
        if day in closed:
            key.problem(f"{day} is closed as well; leave it out of one of the two")
        elif any(start >= end for start, end in spans):
            value.problem("these hours go over midnight; write the rest under the next date")
        elif _overlap(spans):
            value.problem("open hours overlap; write each hour once")
        elif day is not None and spans:
            found[day] = tuple(_merged(spans))
    return found


def _overlap(spans: list[tuple[int, int]]) -> bool:
    return any(one[1] > other[0] for one, other in pairwise(spans))


def _hours(reader: Reader) -> tuple[Hours, ...] | None:
    week: Week = [[] for _ in _DAYS]
    told = len(reader.report.problems)
    for key, value in reader.entries():
        weekdays = _weekdays(key)
        for start, end in _intervals(value):
            for weekday in weekdays:
                _open(week, weekday, start, end)
    if len(reader.report.problems) > told:
        return None
    for day in week:
        day.sort()
        if _overlap(day):
            reader.problem("open hours overlap on a day; write each hour once")
            return None
    if not any(week):
        reader.problem('this calendar never opens; write hours such as mon-fri: "09:00-17:00"')
        return None
    return tuple(tuple(_merged(day)) for day in week)


def _merged(day: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Intervals that touch become one."""
    start, end = None, 0
    for following in day:
        if start is not None and following[0] == end:
            end = following[1]
            continue
        if start is not None:
            yield start, end
        start, end = following
    if start is not None:
        yield start, end


def _open(week: Week, weekday: int, start: int, end: int) -> None:
    if start < end:
        week[weekday].append((start, end))
        return
    week[weekday].append((start, _MIDNIGHT))  # over midnight, into the next day
    if end:
        week[(weekday + 1) % 7].append((0, end))


def _intervals(reader: Reader) -> Iterator[tuple[int, int]]:
    for item in reader.items():
        found = item.parse(lambda text: [_interval(part.strip()) for part in text.split(",")])
        yield from found or ()


def _interval(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f'{text!r} are no hours; write them as "09:00-17:00"')
    interval = q.minutes(start.strip()), q.minutes(end.strip())
    if interval[0] == interval[1]:
        raise ValueError(f'{text!r} is no time at all; write "00:00-24:00" for a whole day')
    if interval[0] == _MIDNIGHT:
        raise ValueError(f"{text!r} begins at the end of the day; write 00:00 under the next one")
    return interval


def _weekdays(key: Key) -> list[int]:
    days: list[int] = []
    for part in key.name.split(","):
        first, _, last = part.strip().partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            key.problem(f"{part.strip()!r} are no weekdays; write such as mon-fri or sat,sun")
            return []
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        span = (end - start) % 7
        days.extend((start + step) % 7 for step in range(span + 1))
    return days
