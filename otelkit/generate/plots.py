"""Courses of traffic in which one clause of a burn alert decides, on either side of its line.

Each begins with an hour of steady traffic, which sets the pace that a budget is reckoned by until
the next full hour: within that hour whatever comes moves no line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otelkit import names, slo
from otelkit.generate.course import LENGTHS as _LENGTHS
from otelkit.generate.course import Course, Terms
from otelkit.generate.plot import GRAIN, STEP, Plot, grains

_UNDER: Final = 0.96
_OVER: Final = 1.04


def plots(terms: Terms) -> Iterator[tuple[str, Course]]:
    """All of them, each with what it shows."""
    for tier in terms.tiers:
        of = _Tier(terms, tier)
        for what, plot in of.plots():
            yield (
                f"{what} ({tier.severity}, {slo.percent(tier.share)} in {tier.long})",
                plot.course(),
            )
    if slo.of_severity(terms.tiers, names.SEVERITY_PAGE):
        yield "an outage at a quiet hour: ten events, four fifths of all", _outage(terms).course()


@dataclass(frozen=True)
class _Tier:
    """The plots about one pair of windows."""

    terms: Terms
    tier: slo.Tier

    def plots(self) -> Iterator[tuple[str, Plot]]:
        in_whole_hours = self.long > 360
        if in_whole_hours:
            yield "the inner window crosses its line", self.inner_ramp()
            yield "the long window crosses its line", self.long_by_hours()
            yield "it burns, and burns no more", self.short_by_adding()
            yield "just slower than the budget's own pace", self.pace_by_hours(_UNDER)
            yield "just faster than the budget's own pace", self.pace_by_hours(_OVER)
            yield "few failures at once", self.few_within_hours()
            yield "few failures, one by one", self.few_by_hours()
            yield "an outage that ends all traffic", self.ends_traffic(1.5, self.short + 90)
        else:
            yield "a burst under the line, and one over it", self.bursts()
            yield "the long window crosses its line", self.long_by_trickle()
            yield "it burns, and burns no more", self.short_by_blocks()
            yield "a peak of traffic, in which little fails", self.peak()
            yield "few failures at once", self.few_at_once()
            yield "few failures, one by one", self.few_one_by_one()
            yield "an outage that ends all traffic", self.ends_traffic(1.8, self.short + 75)

    @property
    def long(self) -> int:
        return _LENGTHS[self.tier.long]

    @property
    def inner(self) -> int:
        return _LENGTHS[self.tier.inner]

    @property
    def short(self) -> int:
        return _LENGTHS[self.tier.short]

    @property
    def share(self) -> float:
        return float(self.tier.share)

    def line(self, plot: Plot) -> float:
        """Bad events at which the share of the budget is spent."""
        return self.share * plot.budget()

    def start(self, burn: float = 0) -> Plot:
        """An hour of steady traffic, at so many times the pace of the budget."""
        plot = Plot(self.terms)
        return plot.add(60, 60 * plot.rate, 60 * plot.rate * burn * self.terms.error)

    # --- the line ----------------------------------------------------------------------

    def bursts(self) -> Plot:
        plot = self.start()
        plot.fails(_UNDER * self.line(plot)).well(15)
        if self.inner == self.long:  # the long one counts a burst no later than it does
            return plot
        plot.until(60 + self.long + 15)
        return plot.fails(_OVER * self.line(plot)).well(10)

    def long_by_trickle(self) -> Plot:
        plot = self.start()
        line = self.line(plot)
        if self.long == 60:
            plot = Plot(self.terms).fails(0.3 * line).until(70)
        minutes = _whole(0.93 * line / (0.9 * plot.rate))
        plot.add(minutes, minutes * plot.rate, 0.93 * line)
        plot.well(25 if self.short == 5 else self.short + 5)
        lasts = 20 if self.short == 5 else 2 * self.short + 10
        return plot.add(lasts, lasts * plot.rate, 1.05 * line / 12 / self.short * lasts).well(10)

    def inner_ramp(self) -> Plot:
        plot = self.start(burn=1.5)
        return plot.fails(45 * 0.94 / 38 * self.line(plot), 45).well(10)

    def long_by_hours(self) -> Plot:
        plot = self.start()
        line = self.line(plot)
        hours = int(0.95 * line / (0.6 * 60 * plot.rate)) + 1
        plot = Plot(self.terms).add(hours * 60, hours * 60 * plot.rate, 0.95 * line)
        plot.well(self.inner + 60)
        return plot.add(60, 60 * plot.rate, 0.1 * line).well(15)

    # --- still burning -----------------------------------------------------------------

    def short_by_blocks(self) -> Plot:
        plot = self.start()
        line = self.line(plot)
        minutes = _whole(1.3 * line / (0.9 * plot.rate))
        plot.add(minutes, minutes * plot.rate, 1.3 * line).well(self.short + STEP)
        quiet = 0 if self.short == STEP else 10
        burns = self.short - quiet
        for bad, traffic in ((0.95, 0.95 / 1.05), (0.95, 0.95 / 0.96), (1.05, 1.5), (0.95, 1.5)):
            mean = self.short * plot.rate * traffic
            part = mean * burns / self.short
            plot.add(burns, part, bad * line / 12)
            if quiet:
                plot.add(quiet, mean - part, 0)
        return plot.well(10)

    def short_by_adding(self) -> Plot:
        plot = Plot(self.terms)
        bad = 3.2 * self.line(self.start())
        hours = int(bad / (0.9 * 3 * 60 * plot.rate)) + 1
        plot.add(hours * 60, 3 * hours * 60 * plot.rate, bad)
        plot.well(self.short // 2 + STEP).fails(self.line(plot) / 30).well(self.short // 2)
        error, line = self.terms.error, self.line(plot) / 12
        for burn, over in (
            (_UNDER, None),
            (_OVER, None),
            (0.9, None),
            (None, _UNDER),
            (None, _OVER),
        ):
            bad, total = plot.within(self.short)
            total += STEP * 2 * plot.rate
            factor = float(self.tier.factor) * error
            if burn == 0.9:  # more traffic, so that it burns more slowly
                plot.add(STEP, STEP * plot.rate + max(0.0, bad / (0.9 * factor) - total), 0)
            else:
                wanted = burn * factor * total if burn else (over or 0) * line
                new = max(0.0, wanted - bad)
                traffic = 0.0 if burn else max(0.0, wanted / (0.85 * factor) - total)
                plot.add(STEP, STEP * plot.rate + traffic, new)
            plot.well(STEP)
        return plot

    def ends_traffic(self, over: float, minutes: int) -> Plot:
        plot = self.start(burn=1.5 if self.long > 360 else 0)
        plot.fails(over * self.line(plot))
        return plot.add(minutes, 0, 0)

    # --- faster than the budget's own pace ---------------------------------------------

    def peak(self) -> Plot:
        line = self.line(self.start())
        plot = Plot(self.terms)
        # What came an hour ago is in no window of an hour.
        plot.add(STEP, 50 * plot.rate, 0.3 * line if self.long == 60 else 0)
        plot.add(55, 10 * plot.rate, 0).fails(1.15 * line).well(10)
        bad, _ = plot.within(self.long)
        plot.add(STEP, bad / self.terms.error / 2, 0).well(15)
        for burn in (1.01, 0.99):
            self._burns_at(burn, 0.15 * line, plot)
        return plot.well(STEP)

    def _burns_at(self, burn: float, failing: float, plot: Plot) -> None:
        """So much traffic that the long window burns at this rate after ten minutes."""
        bad, total = plot.within(self.long)
        at_once = self.short > STEP
        # Of failures in the last five minutes three fifths are counted in the means.
        counted = 2 * failing if at_once else 1.6 * failing
        wanted = (bad + counted) / (burn * self.terms.error)
        plot.add(STEP, max(STEP * plot.rate, wanted - total), 2 * failing if at_once else failing)
        plot.add(STEP, plot.rate, 0 if at_once else failing)

    def pace_by_hours(self, burn: float) -> Plot:
        plot = self.start(burn=burn)
        return plot.fails(1.2 * self.line(plot)).well(10)

    # --- the least number of events ----------------------------------------------------

    def start_few(self, line: float) -> Plot:
        """So little traffic that the share of the budget is so many events."""
        probe = self.start()
        return Plot(self.terms, grains(line * probe.rate / self.line(probe)) or 1 / GRAIN)

    @property
    def least(self) -> float:
        return self.terms.policy.min_bad_events - 0.5

    def few_at_once(self) -> Plot:
        plot = self.start_few(0.8 * self.least).well(60)
        plot.fails(self.least - 1 / 16).until(135)
        return plot.fails(self.least + 1 / 16).well(10)

    def few_one_by_one(self) -> Plot:
        plot = self.start_few(0.8 * self.least)
        if self.long == 60:
            plot.fails(1 / 2).until(70)
        plot.until(70).fails(self.least - 3 / 16).well(25 if self.long == 60 else 65)
        for _ in range(2):
            plot.fails(1 / 8).well(STEP)
        return plot.well(STEP)

    def few_within_hours(self) -> Plot:
        plot = self.start_few(0.3 * self.least)
        plot.fails(1 / 16, 60).fails(self.least - 1 / 8).well(STEP)
        return plot.fails(1 / 8).well(10)

    def few_by_hours(self) -> Plot:
        plot = self.start_few(0.2 * self.least)
        plot.fails(self.least - 3 / 16, 60).well(self.inner)
        for _ in range(2):
            plot.fails(1 / 8, 60)
        return plot.well(10)


def _whole(minutes: float) -> int:
    """Minutes, as whole evaluations."""
    return STEP * (int(minutes / STEP) + 1)


def _outage(terms: Terms) -> Plot:
    """The budget of an hour before is far from spent, and still this is an outage."""
    least = max(slo.OUTAGE_BAD_EVENTS, terms.policy.min_bad_events) - 0.5
    plot = Plot(terms).well(60)
    plot.add(15, 0, 0).add(STEP, 3, 3).add(30, 0, 0)
    bad = least - 1 / 4
    plot.add(STEP, bad, bad).add(STEP, 0, 0).add(STEP, 0.5, 0.5)
    bad += 0.5
    plot.add(STEP, bad / 0.82 - bad, 0).add(STEP, 0, 0)
    return plot.add(STEP, bad / 0.77 - bad / 0.82, 0).add(STEP, 0, 0)
