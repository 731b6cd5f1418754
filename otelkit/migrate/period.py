"""OpenSLO's time windows as the periods of an SLA file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otelkit.migrate.draft import number, yes_or_no
from otelkit.migrate.foreign import Book, Fields
from otelkit.spec.reader import Reader

_SHORTHAND: Final = re.compile(r"([0-9]{1,6})([mhdwMQY])")
_DAYS: Final = {
    "s": Decimal(1) / 86400, "m": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1),
    "w": Decimal(7), "M": Decimal(30), "Q": Decimal(90), "Y": Decimal(365),
}  # fmt: skip
_UNITS: Final = {
    "Second": "s", "Minute": "m", "Hour": "h", "Day": "d", "Week": "w", "Month": "M",
    "Quarter": "Q", "Year": "Y",
}  # fmt: skip
_CALENDAR: Final = {
    (1, "w"): "week", (7, "d"): "week", (1, "M"): "month", (1, "Q"): "quarter", (3, "M"): "quarter",
}  # fmt: skip
_IN_DAYS: Final = {"week": 7, "month": 30, "quarter": 90}


@dataclass(frozen=True, slots=True)
class Period:
    """The period of a budget as an SLA file writes it, and its length in days."""

    text: str
    days: int


DEFAULT: Final = Period("30d", 30)


def period(windows: list[Reader], book: Book) -> Period:
    """The period of the first window of a list; an SLO has one, 30 days where there is none."""
    for more in windows[1:]:
        book.note(more, "an objective has one period, the first of these; left out")
    if not windows:
        return DEFAULT
    fields = Fields(windows[0], book)
    length = _length(fields)
    rolling = fields.take("isRolling")
    is_rolling = rolling.parse(yes_or_no) if rolling else "calendar" not in windows[0].keys
    if is_rolling:
        fields.drop("calendar", "a rolling period begins at no time; left out")
    else:
        _note_calendar(fields.fields("calendar"), book)
    fields.close()
    if length is None:
        return DEFAULT
    return (_rolling if is_rolling else _calendar)(length, windows[0], book)


def _length(fields: Fields) -> tuple[int, str] | None:
    """``4w``, or v1alpha's count and unit."""
    if "duration" in fields.at.keys:
        duration = fields.need("duration")
        return None if duration is None else duration.parse(shorthand)
    count, unit = fields.need("count"), fields.need("unit")
    number = count.parse(_whole) if count else None
    word = unit.parse(_unit) if unit else None
    return None if number is None or word is None else (number, word)


def shorthand(text: str) -> tuple[int, str]:
    """OpenSLO's durations: a whole number and one of m, h, d, w, M, Q and Y."""
    match = _SHORTHAND.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no duration; OpenSLO writes one such as 1h, 4w or 1M")
    return int(match[1]), match[2]


def hours(length: tuple[int, str]) -> Decimal:
    """A duration in hours."""
    return length[0] * _DAYS[length[1]] * 24


def _whole(text: str) -> int:
    value = number(text)
    if value != value.to_integral_value() or not 1 <= value < 10**6:
        raise ValueError(f"{text!r} counts nothing; write a whole number from 1 on")
    return int(value)


def _unit(text: str) -> str:
    known = {name.lower(): letter for name, letter in _UNITS.items()}
    letter = known.get(text.lower(), known.get(text.lower().removesuffix("s")))
    if letter is None:
        raise ValueError(f"{text!r} is no unit; write one of {', '.join(_UNITS)}")
    return letter


def _rolling(length: tuple[int, str], at: Reader, book: Book) -> Period:
    exact = length[0] * _DAYS[length[1]]
    days = max(1, int(exact.to_integral_value()))
    if length[1] in "MQY":
        book.note(at, f"a rolling period is so many days: {days}d")
    elif exact != days:
        book.note(at, f"a period is whole days, one at least: {days}d")
    return Period(f"{days}d", days)


def _calendar(length: tuple[int, str], at: Reader, book: Book) -> Period:
    name = _CALENDAR.get(length)
    if name is not None:
        return Period(name, _IN_DAYS[name])
    found = _rolling(length, at, book)
    book.note(at, f"calendar periods are week, month and quarter; it rolls over {found.text}")
    return found


def _note_calendar(fields: Fields, book: Book) -> None:
    zone = fields.take("timeZone")
    if zone is not None and zone.text() not in (None, "UTC", "Etc/UTC", "GMT"):
        book.note(zone, "calendar periods begin at midnight UTC; left out")
    fields.drop("startTime", "week, month and quarter begin on their own first day; left out")
    fields.close()
