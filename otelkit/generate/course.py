"""Events minute by minute, what is recorded of them, and in which minutes a budget alerts.

This reckons from an objective's tiers, not from the rules that are made of them: proofs take the
minutes that they expect from here. ``tests/simulator.py`` reckons the same from the policy's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Final

from otelkit import names, slo
from otelkit.generate.proof import notation
from otelkit.model import AlertPolicy, BudgetObjective, Window

LENGTHS: Final = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320}
_DIRECT: Final = 360
"""Minutes of the longest window that is no sum of whole hours."""
_PERIODS: Final = {
    "week": (4 * 24, 7 * 24),
    "month": (31 * 24, 28 * 24),
    "quarter": (90 * 24, 91 * 24),
}
"""Hours of the first periods of 1970, which began on a Thursday; no course is longer."""
_HALF: Final = 0.5
_MANY: Final = timedelta(days=92)
"""The longest period of which the hours are summed one by one; a longer one goes by six hours."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many minutes in which so many events come each minute, ``bad`` of ``total``."""

    minutes: int
    total: float
    bad: float = 0


class Recorded:
    """The five-minute series of a kind of event from minute 1 on, and windows built from it."""

    def __init__(self, events: Iterable[float], hours: Hours, gone: int = 0) -> None:
        counted = [0, *accumulate(events)]
        self.five = [now - counted[max(0, at - 5)] for at, now in enumerate(counted)]
        self.five += [0] * gone
        self._gone = gone
        self._sums = list(accumulate(self.five))
        self._hours = hours

    def within(self, window: int, minute: int) -> float:
        """Events of a window of so many minutes, as they stand on record in a minute."""
        if window == 5:
            return self.five[minute]
        if window > _DIRECT:
            return sum(self.within(60, hour) for hour in self._hours.whole(window, minute))
        before = minute - window
        return (self._sums[minute] - (self._sums[before] if before > 0 else 0)) / 5

    def notation(self) -> str:
        """The five-minute series as promtool writes it; a service that just began has none yet."""
        ends = " stale" if self._gone else ""
        return f"_ {notation(self.five[1 : len(self.five) - self._gone])}{ends}"


@dataclass(frozen=True, slots=True)
class Hours:
    """The full hours at which rules are evaluated, every so many minutes."""

    evaluated: int

    def whole(self, window: int, minute: int, span: int = 60) -> range:
        """Those of a window that have anything on record; ``span`` minutes apart at least."""
        step = max(span, self.evaluated)
        return range(max(step, (minute - window) // step * step + step), minute + 1, step)


class Course:
    """Stretches of traffic, one after the other; rules are evaluated every so many minutes.

    For the last ``gone`` minutes there is no data any more.
    """

    def __init__(self, *stretches: Stretch, evaluated: int = 1, gone: int = 0) -> None:
        self.last = sum(stretch.minutes for stretch in stretches)
        self.length = self.last + gone
        self.evaluated = evaluated
        self.hours = Hours(evaluated)
        each = [stretch for stretch in stretches for _ in range(stretch.minutes)]
        self.total = Recorded((stretch.total for stretch in each), self.hours, gone)
        self.bad = Recorded((stretch.bad for stretch in each), self.hours, gone)
        self.good = Recorded((stretch.total - stretch.bad for stretch in each), self.hours, gone)

    @property
    def minutes(self) -> range:
        """Those in which rules are evaluated, but for the first, in which nothing is known."""
        return range(self.evaluated, self.length + 1, self.evaluated)


@dataclass(frozen=True, slots=True)
class Terms:
    """All of an objective that decides when its budget alerts; many objectives share the same."""

    target: Decimal
    window: Window
    policy: AlertPolicy

    @classmethod
    def of(cls, objective: BudgetObjective) -> Terms:
        return cls(objective.target, objective.window, objective.policy)

    @property
    def tiers(self) -> tuple[slo.Tier, ...]:
        return slo.tiers(self.target, self.window.length, self.policy)

    @property
    def error(self) -> float:
        return float(1 - self.target)


@dataclass(frozen=True, slots=True)
class Value:
    """A recorded series in a minute: by its name and its own labels, None where it is absent."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float | None


@dataclass(frozen=True)
class Reckoning:
    """What is recorded of the course of events, and when a budget on these terms alerts in it."""

    terms: Terms
    course: Course

    def firing(self, severity: str) -> frozenset[int]:
        """The minutes in which alerts of a severity fire."""
        return frozenset(minute for minute in self.course.minutes if self._fires(severity, minute))

    def recorded(self, windows: Sequence[str], minute: int) -> Iterator[Value]:
        """All that is recorded of the objective; ``windows`` are those that its alerts need."""
        kinds = {
            names.GOOD: self.course.good,
            names.TOTAL: self.course.total,
            names.BAD: self.course.bad,
        }
        for window in windows:
            for prefix, kind in kinds.items():
                if window == "5m" or (prefix == names.GOOD and window != "1h"):
                    continue
                seen = self._seen(window, minute)
                value = kind.within(LENGTHS[window], minute) if seen else None
                yield Value(f"{prefix}{window}", (), value)
        if minute <= self.course.last:  # by itself a target has no labels to be told apart by
            yield Value(names.TARGET, (), float(self.terms.target))
        step = f"{self._span // 60}h"
        yield Value(f"{names.HISTORY_HOURS}{step}", (), self._on_record(minute))
        yield from self._budgets(minute)
        for window in windows:
            total = self.course.total.within(LENGTHS[window], minute)
            bad = self.course.bad.within(LENGTHS[window], minute)
            rate = bad / total / self.terms.error if total else None
            yield Value(names.BURN_RATE, (("window", window),), rate)

    def _seen(self, window: str, minute: int) -> bool:
        long = LENGTHS[window]
        return long <= _DIRECT or bool(self.course.hours.whole(long, minute))

    def _budgets(self, minute: int) -> Iterator[Value]:
        budget = self.budget(minute)
        yield Value(names.BUDGET_EVENTS, (), budget)
        left = 1 - self._spent(minute) / budget if budget else None
        yield Value(names.ERROR_BUDGET_REMAINING, (), left)
        calendar = self.terms.window.calendar
        if calendar is None:
            return
        start, end = _period(calendar, minute)
        period = ("period", str(start * 3600))
        yield Value(names.PERIOD, (period,), 1)
        yield Value(names.PERIOD_HOURS_LEFT, (), end - minute // 60)
        for prefix, kind in ((names.TOTAL, self.course.total), (names.BAD, self.course.bad)):
            yield Value(f"{prefix}1h{names.OF_PERIOD}", (period,), kind.within(60, minute))

    def _spent(self, minute: int) -> float:
        """Bad events that are held against the budget of the period."""
        calendar = self.terms.window.calendar
        if calendar is not None:
            return self._so_far(self.course.bad, minute)
        return self._in_period(self.course.bad, minute)

    @property
    def _span(self) -> int:
        """Minutes of the recording of which the period is summed."""
        return 60 if self.terms.window.length <= _MANY else 360

    def _on_record(self, minute: int) -> float:
        """Hours of the last so many that have samples."""
        return max(0, min(minute, self.course.last) - max(0, minute - self._span)) / 60

    def _marks(self, minute: int) -> range:
        period = int(self.terms.window.length / slo.MINUTE)
        return self.course.hours.whole(period, minute, self._span)

    def _in_period(self, kind: Recorded, minute: int) -> float:
        marks = self._marks(minute) or (minute,)
        return sum(kind.within(self._span, mark) for mark in marks)

    def _so_far(self, kind: Recorded, minute: int) -> float:
        """Events of the whole hours of this calendar period."""
        calendar = self.terms.window.calendar or ""
        start, _ = _period(calendar, minute)
        hours = self.course.hours.whole(minute - start * 60, minute)
        return sum(kind.within(60, hour) for hour in hours)

    @cached_property
    def _tiers(self) -> tuple[slo.Tier, ...]:
        return self.terms.tiers

    def _fires(self, severity: str, minute: int) -> bool:
        chosen = slo.of_severity(self._tiers, severity)
        if not chosen:
            return False
        budget = self.budget(minute)
        if any(self._burns(tier, budget, minute) for tier in chosen):
            return True
        return severity == names.SEVERITY_PAGE and self._is_out(minute)

    def budget(self, minute: int) -> float:
        """Bad events that a period may hold, at the pace of the hours on record."""
        total, marks = self.course.total, self._marks(minute)
        hours = sum(self._on_record(mark) for mark in marks or (minute,))
        pace = self._in_period(total, minute) / hours if hours else 0
        period = int(self.terms.window.length / slo.HOUR)
        calendar = self.terms.window.calendar
        if calendar is None:
            return self.terms.error * period * pace
        _, end = _period(calendar, minute)
        return self.terms.error * (self._so_far(total, minute) + pace * (end - minute // 60))

    def _burns(self, tier: slo.Tier, budget: float, minute: int) -> bool:
        bad, total = self.course.bad, self.course.total
        long, share = LENGTHS[tier.long], float(tier.share)
        spent = bad.within(long, minute)
        most = max(spent, bad.within(LENGTHS[tier.inner], minute))
        return (
            most > share * budget
            and most > self.terms.policy.min_bad_events - _HALF
            and spent > self.terms.error * total.within(long, minute)
            and (
                bad.within(LENGTHS[tier.short], minute) > share / 12 * budget
                or self._last_burn(tier, minute) > float(tier.factor)
            )
        )

    def _last_burn(self, tier: slo.Tier, minute: int) -> float:
        """The burn rate when events were last seen, an hour ago at most."""
        short = LENGTHS[tier.short]
        for at in range(minute, max(0, minute - 60), -self.course.evaluated):
            if total := self.course.total.within(short, at):
                return self.course.bad.within(short, at) / total / self.terms.error
        return 0

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
