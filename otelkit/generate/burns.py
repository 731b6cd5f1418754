"""Proofs of budgets: which burn pages, which opens a ticket, and which alarms nobody.

Each test is a course of events; the minutes in which an alert has to fire, and those in which it
may not, are reckoned by :mod:`.course`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

from otelkit import names, slo
from otelkit.generate.alerts import labels_of
from otelkit.generate.course import Course, Reckoning, Stretch, Terms
from otelkit.generate.proof import Expect, Series, Test, each, fires, silent
from otelkit.generate.rule import matchers
from otelkit.generate.scope import identity
from otelkit.model import BudgetObjective, Sla

_RATE: Final = 60_000
"""Events a minute; so many that a share of them is a whole number but for a thousandth."""
_HEALTHY: Final = Stretch(125, _RATE)
"""Good traffic before something happens: two whole hours on record, and a bit of the next."""
_HOURS: Final = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}


@dataclass(frozen=True, slots=True)
class _Scene:
    """A course of events as a test has it: its series, and the minutes in which alerts fire."""

    what: str
    length: int
    series: tuple[tuple[str, str], ...]
    firing: tuple[tuple[str, frozenset[int]], ...]


def tests(sla: Sla, objective: BudgetObjective, *, short: bool) -> Iterator[Test]:
    """The tests of one objective's burn alerts; of the courses ``short`` ones have the first."""
    scenes = _scenes(Terms.of(objective))
    for scene in scenes[:1] if short else scenes:
        yield _test(sla, objective, scene)
    yield _apart(sla, objective)


@lru_cache(maxsize=256)
def _scenes(terms: Terms) -> tuple[_Scene, ...]:
    """Reckoned once for all objectives on the same terms: it takes longer than all the rest."""
    return tuple(_scene(terms, what, course) for what, course in _courses(terms))


def _scene(terms: Terms, what: str, course: Course) -> _Scene:
    reckoned = Reckoning(terms, course)
    severities = (names.SEVERITY_PAGE, names.SEVERITY_TICKET)
    firing = tuple((severity, reckoned.firing(severity)) for severity in severities)
    return _Scene(what, course.length, _recorded(course), firing)


def _courses(terms: Terms) -> Iterator[tuple[str, Course]]:
    yield "an outage of 30 minutes", Course(_HEALTHY, Stretch(30, _RATE, _RATE), _well(100))
    yield "an outage at a quiet hour", Course(_HEALTHY, Stretch(45, 2, 2), Stretch(45, 2))
    yield "an outage that ends all traffic", Course(_HEALTHY, Stretch(5, _RATE, _RATE), _none(110))
    yield "no traffic at all", Course(_none(90))
    yield "a lone failure at 10 requests an hour", Course(*_rare(30), Stretch(1, 1, 1), *_rare(10))
    yield (
        "10 requests an hour, then all of them fail",
        Course(*_rare(20), *_rare(15, bad=1)),
    )
    yield "nights that fail half of little", Course(_HEALTHY, Stretch(120, 2, 1), _well(60))
    for tier in slo.tiers(terms.target, terms.window.length, terms.policy):
        yield from _line(terms, tier)


def _well(minutes: int) -> Stretch:
    return Stretch(minutes, _RATE)


def _none(minutes: int) -> Stretch:
    return Stretch(minutes, 0)


def _rare(times: int, bad: int = 0) -> list[Stretch]:
    return [Stretch(5, 0), Stretch(1, 1, bad)] * times


def _line(terms: Terms, tier: slo.Tier) -> Iterator[tuple[str, Course]]:
    """A share of the budget, spent within half of the window, or as soon as three fifths bad do."""
    period = int(terms.window.length / slo.MINUTE)
    spends = Fraction(tier.share) * Fraction(1 - terms.target) * period
    half = min(30 * _HOURS[tier.long], 180)
    lasts = max(half, int(spends / Fraction(3, 5)) + 1)
    for word, part in (("just under", Fraction(95, 100)), ("just over", Fraction(105, 100))):
        bad = int(spends * part / lasts * _RATE)
        yield (
            f"{word} {slo.percent(tier.share)} of the budget within {tier.long}",
            Course(_HEALTHY, Stretch(lasts, _RATE, bad), *_fading(bad), _well(40)),
        )


def _fading(bad: int) -> Iterator[Stretch]:
    """It mends little by little, in thrice the traffic and then in a third."""
    for total in (_RATE * 3, _RATE // 3):
        yield from (Stretch(2, total, min(total, bad * left // 12)) for left in range(11, 0, -1))


def _test(sla: Sla, objective: BudgetObjective, scene: _Scene) -> Test:
    labels = identity(sla, objective.name) | each(objective)
    return Test(
        f"{objective.name}: {scene.what}",
        tuple(Series(f"{prefix}5m", labels, values) for prefix, values in scene.series),
        tuple(_expected(sla, objective, scene)),
    )


def _recorded(course: Course) -> tuple[tuple[str, str], ...]:
    return (
        (names.BAD, course.bad.notation()),
        (names.TOTAL, course.total.notation()),
        (names.GOOD, course.good.notation()),
    )


def _apart(sla: Sla, objective: BudgetObjective) -> Test:
    """All fails around it, and only the objective's own events count."""
    own = identity(sla, objective.name)
    calm = _scene(
        Terms.of(objective), "what fails elsewhere is none of its events", Course(_well(15))
    )
    well = _test(sla, objective, calm)
    others = (
        Series(f"{prefix}5m", own | {name: "another"} | each(objective), values)
        for name in own
        for prefix, values in _recorded(Course(Stretch(15, _RATE, _RATE)))
    )
    target = {"__name__": names.TARGET, **own, **each(objective)}
    value = Expect(names.TARGET + matchers(own), 15, ((target, float(objective.target)),))
    return replace(well, series=(*well.series, *others), expressions=(*well.expressions, value))


def _expected(sla: Sla, objective: BudgetObjective, scene: _Scene) -> Iterator[Expect]:
    """Firing from its first minute to its last, silent in the minutes beside them."""
    firing: dict[str, frozenset[int]] = {}
    for severity, minutes in scene.firing:
        here = labels_of(sla, objective, severity)["severity"]  # a page may be a ticket here
        firing[here] = firing.get(here, frozenset()) | minutes
    for severity, minutes in firing.items():
        labels = labels_of(sla, objective, severity) | {"severity": severity} | each(objective)
        for minute in _telling(minutes, scene.length):
            expect = fires if minute in minutes else silent
            yield expect(names.ALERT_ERROR_BUDGET_BURN, labels, minute)


def _telling(firing: frozenset[int], last: int) -> list[int]:
    """The minutes in which an alert changes, those just before, and two that are far from it."""
    changes = (m for m in range(1, last + 1) if (m in firing) != (m - 1 in firing))
    return sorted({minute for m in changes for minute in (m - 1, m)} | {last // 2, last})
