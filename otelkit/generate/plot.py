"""A course of traffic in the making: steady, with failures on top of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from otelkit.generate.course import Course, Reckoning, Stretch, Terms

STEP: Final = 5
"""Minutes between evaluations: all that alerts read is exact at any minute."""
_RATE: Final = 60_000
"""Events a minute; so many that a share of them is a whole number but for a thousandth."""
GRAIN: Final = 1024
"""Events that are no whole number are so many parts of one, which floating point adds exactly."""


@dataclass
class Plot:
    """Stretches of traffic, each of which follows the one before it."""

    terms: Terms
    rate: float = _RATE
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def minute(self) -> int:
        return sum(stretch.minutes for stretch in self.stretches)

    def well(self, minutes: int, times: float = 1) -> Plot:
        """Good traffic, so many times what is usual."""
        return self.add(minutes, self.rate * minutes * times, 0)

    def fails(self, bad: float, minutes: int = STEP) -> Plot:
        """So many bad events in all, on top of what is usual."""
        return self.add(minutes, self.rate * minutes + bad, bad)

    def add(self, minutes: int, total: float, bad: float) -> Plot:
        """So many events in all, each minute the same."""
        each = (grains(amount / minutes) for amount in (total, bad))
        self.stretches.append(Stretch(minutes, *each))
        return self

    def until(self, minute: int) -> Plot:
        lasts = minute - self.minute
        return self.well(lasts) if lasts else self

    def budget(self) -> float:
        """Bad events that the period may hold, at the pace of the full hours so far."""
        return Reckoning(self.terms, self.course()).budget(self.minute)

    def within(self, window: int) -> tuple[float, float]:
        """Bad and all events of the last minutes, as they are counted five minutes later."""
        bad = total = 0.0
        for stretch in reversed(self.stretches):
            minutes = min(window, stretch.minutes)
            bad, total = bad + minutes * stretch.bad, total + minutes * stretch.total
            window -= minutes
        return bad, total

    def course(self) -> Course:
        return Course(*self.stretches, evaluated=STEP)


def grains(amount: float) -> float:
    """The nearest amount that floating point adds exactly."""
    return round(amount) if amount > GRAIN else round(amount * GRAIN) / GRAIN
