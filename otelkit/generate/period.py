"""Periods of the calendar in PromQL: which one it is, and how much of it is left.

A subquery cannot see the time at which it is asked, so it cannot be told where a period begins.
Instead each hour is recorded with the beginning of its own period as a label, the hours are summed
by it, and the sum of the present period is picked out.

All is reckoned a second ago: the hour that ends at midnight belongs to the day before.
"""

from __future__ import annotations

from typing import Final

from otelkit import names
from otelkit.generate.rule import Recording, matchers

_NOW: Final = "vector(time() - 1)"
_DAY: Final = 86400
_THURSDAY: Final = 3 * _DAY
"""1970 began on that day of a week that begins on Monday."""
_LEAP: Final = f"(year({_NOW}) % 4 == bool 0)"
"""Right until 2100."""

# The days of a year before the quarter, and the days of the quarter.
_BEFORE_QUARTER: Final = (
    f"(month({_NOW}) > bool 3) * (90 + {_LEAP})"
    f" + (month({_NOW}) > bool 6) * 91 + (month({_NOW}) > bool 9) * 92"
)
_QUARTER: Final = (
    f"90 + {_LEAP} + (month({_NOW}) > bool 3) * (1 - {_LEAP}) + (month({_NOW}) > bool 6)"
)

_DAYS_GONE: Final = {
    "week": f"floor(({_NOW} + {_THURSDAY}) % {7 * _DAY} / {_DAY})",
    "month": f"day_of_month({_NOW}) - 1",
    "quarter": f"day_of_year({_NOW}) - 1 - ({_BEFORE_QUARTER})",
}
_DAYS: Final = {"week": "7", "month": f"days_in_month({_NOW})", "quarter": _QUARTER}
LONGEST: Final = {"week": 7 * 24, "month": 31 * 24, "quarter": 92 * 24}
"""Hours of the longest period of each kind."""


def recordings(calendar: str, labels: dict[str, str]) -> tuple[Recording, ...]:
    """The present period, and the hours that are left of it, the unfinished one included."""
    gone = f"(({_DAYS_GONE[calendar]}) * {_DAY} + {_NOW} % {_DAY})"
    return (
        Recording(
            names.PERIOD,
            f'count_values("period",\n  {_NOW} - {gone}\n)',
            labels,
            f"1, labelled with the Unix time at which this {calendar} began (UTC).",
        ),
        Recording(
            names.PERIOD_HOURS_LEFT,
            f"ceil((\n  ({_DAYS[calendar]}) * {_DAY}\n  - {gone} - 1\n) / 3600)",
            labels,
            f"Hours until the next {calendar}, the unfinished one included.",
        ),
    )


def labelled(hourly: str, labels: dict[str, str]) -> Recording:
    """An hourly recording with the period that its hour belongs to."""
    own = matchers(labels)
    return Recording(
        hourly + names.OF_PERIOD,
        f"{hourly}{own} * on () group_left (period) {names.PERIOD}{own}",
        labels,
        "The same hour, labelled with its period.",
    )


def so_far(hourly: str, calendar: str, labels: dict[str, str]) -> str:
    """The sum of an hourly recording over the whole hours of the present period.

    Zero in the first hour, of which nothing is known yet.
    """
    own = matchers(labels)
    inside = f"{LONGEST[calendar] * 3600 - 1}s:1h"
    return (
        "sum without (period) (\n"
        f"  sum_over_time({hourly}{names.OF_PERIOD}{own}[{inside}])\n"
        f"  and on (period) {names.PERIOD}{own}\n"
        f")\nor 0 * {hourly}{own}"
    )
