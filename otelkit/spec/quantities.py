"""Words and numbers of an SLA file: pure functions from text.

What they refuse is a ``ValueError`` whose text is a sentence for the one who wrote the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from otelkit import slo
from otelkit.model import BudgetShare, NewBreaches, Unit, Window

_UNITS: Final[Mapping[str, Decimal]] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|bd|s|m|h|d|w)")
_PERCENT: Final = re.compile(r"(-?[0-9]{1,6}(?:\.[0-9]{1,9})?) ?%")
_LONGEST: Final = timedelta(days=3650)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CLOCK_TIME: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_BREACHES: Final = re.compile(r"([0-9]{1,6}) new in (\S+)")
_RESERVED: Final = frozenset({
        "system", "environment", "objective", "severity", "owner", "alertname", "alertstate",
        "stage", "queue", "rule_group",
    })  # fmt: skip
"""Labels that rules set, and those that the series of collectors bear."""
_SET_BY_OTELKIT: Final = frozenset(
    {"system", "environment", "objective", "severity", "owner", "window", "alertname", "alertstate"}
)
_CALENDAR_PERIODS: Final = {"week": 7, "month": 30, "quarter": 91}
"""Days that alerts reckon with."""


def identifier(text: str) -> str:
    """A name that becomes a label value, a file name and part of a URL."""
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name; write up to 63 letters, digits, _ and -, a letter first"
        )
    return text


def printable(text: str) -> str:
    """A name given by another system, such as a queue's."""
    if not text.isprintable() or len(text) > 255 or not text.strip():
        raise ValueError("write a name of at most 255 printable characters")
    return _no_template(text)


def _no_template(text: str) -> str:
    """What stands in an alert's labels and texts, which Prometheus takes for templates."""
    if "{{" in text or "`" in text:
        raise ValueError("Prometheus would take {{ and ` for a template; write it without them")
    return text


def label_name(text: str) -> str:
    """A Prometheus label name of the user's own."""
    if text in _RESERVED or text.startswith("__"):
        raise ValueError(f"the label {text!r} is set by otelkit; choose another name")
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is no label name; write letters, digits and _ only")
    return text


def share(text: str) -> Decimal:
    """``99.9%`` as ``Decimal("0.999")``: a share above 0 and below 1."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no share; write a percentage such as 99.9%, with at most 9 decimals"
        )
    percent = Decimal(match[1])
    if percent > 100:
        raise ValueError(f"{text} is above 100%; write a share such as 99.9%")
    if percent == 100:
        raise ValueError("100% leaves no budget for a single error; write a share such as 99.9%")
    if percent <= 0:
        raise ValueError(f"{text} is not above 0%; write a share such as 99.9%")
    return percent / 100


def seconds(text: str) -> Decimal:
    """``250ms`` or ``1h30m`` in seconds, above 0."""
    return _sum(text, _UNITS)


def duration(text: str) -> timedelta:
    """A duration of whole seconds, above 0."""
    value = seconds(text)
    if value != value.to_integral_value():
        raise ValueError(f"{text} is not a whole number of seconds; write one such as 15m")
    return timedelta(seconds=int(value))


def window(text: str) -> Window:
    """The period of a budget: a rolling one in whole days, or a calendar's."""
    if text in _CALENDAR_PERIODS:
        return Window(timedelta(days=_CALENDAR_PERIODS[text]), text)
    try:
        days = duration(text) / timedelta(days=1)
    except ValueError:
        days = 0.0
    if days != int(days) or not 1 <= days <= 366:
        raise ValueError(
            f"{text!r} is no period of a budget; write whole days such as 30d (at most 366d), "
            "or week, month, quarter"
        )
    return Window(timedelta(days=days))


def budget_share(text: str) -> BudgetShare:
    """``2% in 1h``."""
    spent, _, within = text.partition(" in ")
    if within.strip() not in slo.LONG_WINDOWS:
        raise ValueError(
            f"{text!r} is no share of a budget within a window; write such as 2% in 1h, with one "
            f"of {', '.join(slo.LONG_WINDOWS)}"
        )
    return BudgetShare(share(spent.strip()), duration(within.strip()))


def least(text: str) -> int:
    """A number of events from 1 on."""
    number = whole(text)
    if number < 1:
        raise ValueError("0 is no minimum; write 1 or more")
    return number


def by_label(text: str) -> str:
    """A label that gives each of its values a budget of its own."""
    if not _LABEL.fullmatch(text) or text.startswith("__"):
        raise ValueError(f"{text!r} is no label name; write letters, digits and _ only")
    if text in _SET_BY_OTELKIT | {"le"}:
        raise ValueError(f"the label {text!r} means something else in rules; leave it out")
    return text


def boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false; write one of them")
    return text == "true"


def instant(text: str) -> datetime:
    """``2026-03-01T00:00Z``: a time that says how far it is from UTC."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no instant; write one such as 2026-03-01T00:00Z") from None


def allowance(text: str, *, calendar: bool) -> tuple[int, Unit]:
    """An allowance in its unit: ``5bd`` in open days, hours on a calendar in open seconds.

    Days and weeks are calendar time, with or without a calendar.
    """
    units = [unit for _, unit in _PART.findall(text)]
    if "bd" in units:
        return _business_days(text, units, calendar=calendar)
    amount = int(duration(text).total_seconds())
    in_days = {"d", "w"} & set(units)
    if calendar and in_days and len(in_days) != len(set(units)):
        raise ValueError(
            f"{text} mixes days with hours of a calendar; write hours, days or 5bd alone"
        )
    return amount, Unit.OPEN if calendar and not in_days else Unit.ELAPSED


def _business_days(text: str, units: list[str], *, calendar: bool) -> tuple[int, Unit]:
    if not calendar:
        raise ValueError(
            f"{text} counts business days; name a calendar, or write 5d for calendar days"
        )
    count = text.removesuffix("bd")
    if units != ["bd"] or not count.isdecimal() or not 1 <= int(count) <= 3650:
        raise ValueError(f"{text!r} is no number of business days; write whole ones such as 5bd")
    return int(count), Unit.OPEN_DAYS


def breaches(text: str) -> NewBreaches:
    """``10 new in 1h``."""
    match = _BREACHES.fullmatch(text)
    if match is None or int(match[1]) < 1:
        raise ValueError(f"{text!r} is no threshold; write one such as 10 new in 1h")
    within = duration(match[2])
    if not timedelta(minutes=5) <= within <= timedelta(hours=6):
        raise ValueError(f"{match[2]} is out of range; count new breaches within 5m to 6h")
    if within % timedelta(minutes=1):
        raise ValueError(f"{match[2]} is no whole number of minutes; write one such as 1h")
    return NewBreaches(int(match[1]), within)


def whole(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ValueError(f"{text!r} is no whole number from 0 on; write one such as 0")
    return int(text)


def day(text: str) -> date:
    """``2026-12-31``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date; write one such as 2026-12-31") from None


def minutes(text: str) -> int:
    """A time of day in minutes after midnight; ``24:00`` is 1440."""
    match = _CLOCK_TIME.fullmatch(text)
    value = int(match[1]) * 60 + int(match[2]) if match else 1441
    if value > 1440:
        raise ValueError(f"{text!r} is no time of day; write one from 00:00 to 24:00")
    return value


def url(text: str) -> str:
    """An address that people open."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or not text.isprintable():
        raise ValueError(f"{text!r} is no address; write one such as https://grafana.example")
    return _no_template(text.rstrip("/"))


def _sum(text: str, units: Mapping[str, Decimal]) -> Decimal:
    parts = _PART.findall(text)
    known = all(unit in units for _, unit in parts)
    if not parts or not known or "".join(a + u for a, u in parts) != text:
        raise ValueError(f"{text!r} is no duration; write one such as 250ms, 15m, 1h30m or 5d")
    total = sum((Decimal(amount) * units[unit] for amount, unit in parts), Decimal(0))
    if not 0 < total <= Decimal(int(_LONGEST.total_seconds())):
        raise ValueError(f"{text} is out of range; write more than nothing and at most 10 years")
    return total
