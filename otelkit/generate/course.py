"""Events minute by minute, what is recorded of them, and in which minutes a budget alerts.

This reckons from an objective's tiers, not from the rules that are made of them: proofs take the
minutes that they expect from here. ``tests/simulator.py`` reckons the same from the policy's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Final

from otelkit import names, slo
from otelkit.model import AlertPolicy, BudgetObjective, Window

_LENGTHS: Final = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320}
_DIRECT: Final = 360
"""Minutes of the longest window that is no sum of whole hours."""
_PERIODS: Final = {
    "week": (4 * 24, 7 * 24),
    "month": (31 * 24, 28 * 24),
    "quarter": (90 * 24, 91 * 24),
}
"""Hours of the first periods of 1970, which began on a Thursday; no course is longer."""
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many minutes in which so many events come each minute, ``bad`` of ``total``."""

    minutes: int
    total: int
    bad: int = 0


class Recorded:
    """The five-minute series of a kind of event from minute 1 on, and windows built from it."""

    def __init__(self, events: Iterable[int]) -> None:
        counted = [0, *accumulate(events)]
        self.five = [now - counted[max(0, at - 5)] for at, now in enumerate(counted)]
        self._sums = list(accumulate(self.five))

    def within(self, window: int, minute: int) -> float:
        """Events of a window of so many minutes, as they stand on record in a minute."""
        if window == 5:
            return self.five[minute]
        if window > _DIRECT:
            return sum(self.within(60, hour) for hour in whole_hours(window, minute))
        before = minute - window
        return (self._sums[minute] - (self._sums[before] if before > 0 else 0)) / 5

    def notation(self) -> str:
        """The five-minute series as promtool writes it; a service that just began has none yet."""
        return f"_ {_notation(self.five[1:])}"


def whole_hours(window: int, minute: int) -> range:
    """The full hours of a window, of those that have anything on record."""
    return range(max(60, (minute - window) // 60 * 60 + 60), minute + 1, 60)


class Course:
    """Stretches of traffic, one after the other."""

    def __init__(self, *stretches: Stretch) -> None:
        self.length = sum(stretch.minutes for stretch in stretches)
        each = [stretch for stretch in stretches for _ in range(stretch.minutes)]
        self.total = Recorded(stretch.total for stretch in each)
        self.bad = Recorded(stretch.bad for stretch in each)
        self.good = Recorded(stretch.total - stretch.bad for stretch in each)


@dataclass(frozen=True, slots=True)
class Terms:
    """All of an objective that decides when its budget alerts; many objectives share the same."""

    target: Decimal
    window: Window
    policy: AlertPolicy

    @classmethod
    def of(cls, objective: BudgetObjective) -> Terms:
        return cls(objective.target, objective.window, objective.policy)


@dataclass(frozen=True)
class Reckoning:
    """When a budget on these terms alerts in the course of events."""

    terms: Terms
    course: Course

    def firing(self, severity: str) -> frozenset[int]:
        """The minutes in which alerts of a severity fire."""
        every = range(1, self.course.length + 1)
        return frozenset(minute for minute in every if self._fires(severity, minute))

    @cached_property
    def _tiers(self) -> tuple[slo.Tier, ...]:
        terms = self.terms
        return slo.tiers(terms.target, terms.window.length, terms.policy)

    @property
    def _error(self) -> float:
        return float(1 - self.terms.target)

    def _fires(self, severity: str, minute: int) -> bool:
        chosen = slo.of_severity(self._tiers, severity)
        budget = self._budget(minute)
        if any(self._burns(tier, budget, minute) for tier in chosen):
            return True
        return severity == names.SEVERITY_PAGE and bool(chosen) and self._is_out(minute)

    def _budget(self, minute: int) -> float:
        """Bad events that a period may hold, at the pace of the hours on record."""
        period = int(self.terms.window.length / slo.HOUR)
        total, hours = self.course.total, whole_hours(period * 60, minute)
        if hours:
            pace = sum(total.within(60, hour) for hour in hours) / len(hours)
        else:
            pace = total.within(60, minute) * 60 / min(minute, 60)
        calendar = self.terms.window.calendar
        if calendar is None:
            return self._error * period * pace
        start, end = _period(calendar, minute)
        so_far = sum(total.within(60, hour * 60) for hour in range(start + 1, minute // 60 + 1))
        return self._error * (so_far + pace * (end - minute // 60))

    def _burns(self, tier: slo.Tier, budget: float, minute: int) -> bool:
        bad, total = self.course.bad, self.course.total
        long, share = _LENGTHS[tier.long], float(tier.share)
        spent = bad.within(long, minute)
        most = max(spent, bad.within(_LENGTHS[tier.inner], minute))
        return (
            most > share * budget
            and most > self.terms.policy.min_bad_events - _HALF
            and spent > self._error * total.within(long, minute)
            and (
                bad.within(_LENGTHS[tier.short], minute) > share / 12 * budget
                or self._last_burn(tier, minute) > tier.factor
            )
        )

    def _last_burn(self, tier: slo.Tier, minute: int) -> Decimal:
        """The burn rate when events were last seen, an hour ago at most."""
        short = _LENGTHS[tier.short]
        for at in range(minute, max(0, minute - 60), -1):
            if total := self.course.total.within(short, at):
                return Decimal(self.course.bad.within(short, at) / total / self._error)
        return Decimal(0)

    def _is_out(self, minute: int) -> bool:
        bad, total = self.course.bad.within(30, minute), self.course.total.within(30, minute)
        least = max(slo.OUTAGE_BAD_EVENTS, self.terms.policy.min_bad_events) - _HALF
        return bad > least and bad > float(slo.OUTAGE_SHARE) * total


def _period(calendar: str, minute: int) -> tuple[int, int]:
    """The hours since 1970, when promtool's time begins, between which a minute's period lies."""
    start, end = 0, 0
    for length in _PERIODS[calendar]:
        start, end = end, end + length
        if minute <= end * 60:  # the hour that ends at midnight belongs to the day before
            break
    return start, end


def _notation(values: Sequence[int]) -> str:
    return " ".join(_pieces(values))


def _pieces(values: Sequence[int]) -> Iterator[str]:
    at = 0
    while at < len(values):
        step = values[at + 1] - values[at] if at + 1 < len(values) else 0
        end = at + 1
        while end < len(values) and values[end] - values[end - 1] == step:
            end += 1
        yield f"{values[at]}{step:+d}x{end - at - 1}" if step else f"{values[at]}x{end - at - 1}"
        at = end
