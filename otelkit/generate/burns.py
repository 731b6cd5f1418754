"""Proofs of budgets: what is recorded of events, which burn pages, and which alarms nobody.

Each test is a course of events; the values that have to be recorded in it, and the minutes in which
an alert has to fire, are reckoned by :mod:`.course`. Some courses are followed minute by minute;
:mod:`.plots` has those in which one clause of an alert decides, looked at every five minutes, and a
month of uneven traffic is looked at every six hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Final

from otelkit import names, slo
from otelkit.generate.alerts import labels_of
from otelkit.generate.budget import windows_of
from otelkit.generate.course import Course, Reckoning, Stretch, Terms, Value
from otelkit.generate.plot import STEP
from otelkit.generate.plots import plots
from otelkit.generate.proof import (
    Expect,
    ExpectAlert,
    Series,
    Test,
    each,
    elsewhere,
    fires,
    firing,
    silent,
)
from otelkit.generate.rule import matchers
from otelkit.generate.said import Said, humanized, texts
from otelkit.generate.scope import identity, severity_of
from otelkit.model import BudgetObjective, Sla

_RATE: Final = 60_000
"""Events a minute; so many that a share of them is a whole number but for a thousandth."""
_LEAST: Final = 1 / 16_384
"""Events a minute; so few that the budget of a period is less than one."""
_HEALTHY: Final = Stretch(65, _RATE)
"""Good traffic before something happens: a whole hour on record, and a bit of the next."""
_HOUR: Final = 60
_SIX_HOURS: Final = 360
_DAY: Final = 1440


@dataclass(frozen=True, slots=True)
class _Plan:
    """A course, and in which minutes what is recorded of it has to be proven by value."""

    what: str
    course: Course
    valued: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Scene:
    """A course of events as a test has it: its series, and what has to follow from them."""

    what: str
    evaluated: int
    last: int
    series: tuple[tuple[str, str], ...]
    firing: tuple[tuple[str, tuple[int, ...]], ...]
    values: tuple[tuple[int, tuple[Value, ...]], ...]
    told: tuple[tuple[int, float | None, float | None], ...]
    """In some minutes, the burn rate over an hour, and the budget that is left."""


def tests(sla: Sla, objective: BudgetObjective, *, short: bool) -> Iterator[Test]:
    """The tests of one objective's budget; ``short`` ones prove that it has one, and its alerts."""
    terms, windows = Terms.of(objective), windows_of(objective)
    yield _apart(sla, objective, _young(terms, windows), short=short)
    if not short:
        for scene in _scenes(terms, windows):
            yield _test(sla, objective, scene)


@lru_cache(maxsize=256)
def _young(terms: Terms, windows: tuple[str, ...]) -> _Scene:
    course = Course(_well(8), Stretch(12, _RATE, _RATE))
    return _scene(terms, windows, _Plan("all of a young service fails", course, (10, 20)), set())


@lru_cache(maxsize=256)
def _scenes(terms: Terms, windows: tuple[str, ...]) -> tuple[_Scene, ...]:
    """Reckoned once for all objectives on the same terms: it takes longer than all the rest."""
    told: set[str] = set()
    return tuple(_scene(terms, windows, plan, told) for plan in _plans(terms))


def _scene(terms: Terms, windows: tuple[str, ...], plan: _Plan, told: set[str]) -> _Scene:
    """What a severity says is proven in the first scene in which it fires; then it is ``told``."""
    course = plan.course
    reckoned = Reckoning(terms, course)
    severities = (names.SEVERITY_PAGE, names.SEVERITY_TICKET)
    return _Scene(
        plan.what,
        course.evaluated,
        course.minutes[-1],
        (
            (names.BAD, course.bad.notation()),
            (names.TOTAL, course.total.notation()),
            (names.GOOD, course.good.notation()),
        ),
        tuple((severity, tuple(sorted(reckoned.firing(severity)))) for severity in severities),
        tuple((minute, tuple(reckoned.recorded(windows, minute))) for minute in plan.valued),
        tuple(_told(reckoned, minute) for minute in _last_minutes(reckoned, told)),
    )


def _last_minutes(reckoned: Reckoning, told: set[str]) -> Iterator[int]:
    """The last minute of each severity that fires for the first time."""
    for severity in (names.SEVERITY_PAGE, names.SEVERITY_TICKET):
        minutes = sorted(reckoned.firing(severity))
        if minutes and severity not in told:
            told.add(severity)
            yield minutes[-1]


def _told(reckoned: Reckoning, minute: int) -> tuple[int, float | None, float | None]:
    values = {(v.name, *v.labels): v.value for v in reckoned.recorded(("1h",), minute)}
    burn = values[names.BURN_RATE, ("window", "1h")]
    return minute, burn, values[names.ERROR_BUDGET_REMAINING,]


# --- courses -------------------------------------------------------------------------------


def _plans(terms: Terms) -> Iterator[_Plan]:
    outage = Stretch(30, _RATE, _RATE)
    yield _Plan("an outage of 30 minutes", Course(_HEALTHY, outage, _well(40)))
    ends = Course(_HEALTHY, outage, gone=100, evaluated=STEP)
    yield _Plan("an outage, and no data any more", ends, (120,))
    little = Course(Stretch(60, 0), Stretch(150, _LEAST, _LEAST / 4), evaluated=STEP)
    yield _Plan("no traffic at all, then next to none", little, (60, 210))
    rare, failing = _rare(bad=0), _rare(bad=1)
    lone = Course(*rare * 15, *failing, *rare * 10, *failing * 8, evaluated=STEP)
    yield _Plan("10 requests an hour: one fails, much later all do", lone)
    nights = Course(_HEALTHY, Stretch(120, 2, 1), _well(60), evaluated=STEP)
    yield _Plan("a night in which half of little fails", nights)
    yield from (_Plan(what, course) for what, course in plots(terms))
    yield _uneven(terms)


def _well(minutes: int) -> Stretch:
    return Stretch(minutes, _RATE)


def _rare(bad: int) -> tuple[Stretch, ...]:
    return (Stretch(5, 0), Stretch(1, 1, bad))


def _uneven(terms: Terms) -> _Plan:
    """No two days and no two hours alike, and a window longer than the period in all."""
    evaluated = _SIX_HOURS if terms.window.length <= timedelta(days=92) else _DAY
    days = terms.window.length // timedelta(days=1) + 2
    course = Course(*_changing(days), evaluated=evaluated)
    return _Plan("uneven traffic for longer than the period", course, (course.length,))


def _changing(days: int) -> Iterator[Stretch]:
    """Each day has its own traffic and failures, the first most of all; the last hours as well."""
    for day in range(days):
        total = 50_000 if day == 0 else 700 + day * 31 % 97 * 10
        length = _DAY - _SIX_HOURS if day == days - 1 else _DAY
        yield Stretch(length, total, total // (900 + day * 57 % 500))
    last = (240, 900, 2), (60, 1200, 1), (30, 640, 3), (25, 800, 1), (5, 500, 2)
    yield from (Stretch(*one) for one in last)


# --- tests ---------------------------------------------------------------------------------


def _test(sla: Sla, objective: BudgetObjective, scene: _Scene) -> Test:
    own = identity(sla, objective.name)
    labels = own | each(objective)
    return Test(
        f"{objective.name}: {scene.what}",
        tuple(Series(f"{prefix}5m", labels, values) for prefix, values in scene.series),
        (
            *_expected(sla, objective, scene),
            *(
                _valued(value, minute, own, labels)
                for minute, values in scene.values
                for value in values
            ),
        ),
        tuple(_expected_told(sla, objective, scene)),
        scene.evaluated,
    )


def _apart(sla: Sla, objective: BudgetObjective, scene: _Scene, *, short: bool) -> Test:
    """What is recorded of others is nothing to it; in short, what is recorded of their events."""
    windows = ("5m",) if short else ("5m", *windows_of(objective))
    kinds = (names.BAD, names.TOTAL, names.GOOD)
    recorded = {f"{kind}{window}": "" for window in windows for kind in kinds}
    if not short:
        values = (one.name for _, values in scene.values for one in values if not one.labels)
        recorded |= dict.fromkeys(values, "")
    own = identity(sla, objective.name)
    others = (
        one
        for name in recorded
        for one in elsewhere(name, own | each(objective), own, f"{7 * _RATE}x{scene.last}")
    )
    test = _test(sla, objective, scene)
    return replace(test, series=(*test.series, *others))


def _expected(sla: Sla, objective: BudgetObjective, scene: _Scene) -> Iterator[Expect]:
    """Each severity of this environment, where a page may be a ticket."""
    found: dict[str, set[int]] = {}
    for severity, minutes in scene.firing:
        here = labels_of(sla, objective, severity)["severity"]
        found.setdefault(here, set()).update(minutes)
    for severity, firing_minutes in found.items():
        labels = labels_of(sla, objective, severity) | {"severity": severity} | each(objective)
        if scene.evaluated == 1:
            yield from _by_minute(labels, firing_minutes, scene)
        else:
            yield from _in_all(labels, sorted(firing_minutes), scene)


def _expected_told(sla: Sla, objective: BudgetObjective, scene: _Scene) -> Iterator[ExpectAlert]:
    """All that fires in a minute, and what it says."""
    alert = names.ALERT_ERROR_BUDGET_BURN
    for minute, burn, left in scene.told:
        said = texts(sla, alert, minute, _said(objective, burn, left))
        firing_now = {
            severity_of(sla, severity): None for severity, at in scene.firing if minute in at
        }
        labels = (labels_of(sla, objective, s) | {"severity": s} for s in firing_now)
        yield ExpectAlert(alert, minute, tuple((one | each(objective), said) for one in labels))


def _said(objective: BudgetObjective, burn: float | None, left: float | None) -> Said:
    of = "".join(f" {name} {value}" for name, value in each(objective).items())
    window = objective.window
    over = f"a {window.calendar}" if window.calendar else slo.promql_duration(window.length)
    rate = "unknown" if burn is None else humanized(burn)
    budget = "unknown" if left is None else f"{left * 100:.4g}%"
    return Said(
        f"{objective.name}{of} is burning its error budget",
        f"{slo.percent(objective.target)} over {over} has to be good. Burn rate over 1h: {rate}. "
        f"Budget left: {budget}.",
        names.DASHBOARD_OVERVIEW,
        f"&var-objective={objective.name}",
    )


def _by_minute(labels: Mapping[str, str], minutes: set[int], scene: _Scene) -> Iterator[Expect]:
    """Firing from its first minute to its last, silent in the minutes beside them."""
    every = range(1, scene.last + 1)
    changes = (m for m in every if (m in minutes) != (m - 1 in minutes))
    for minute in sorted({minute for m in changes for minute in (m - 1, m)} | {scene.last}):
        expect = fires if minute in minutes else silent
        yield expect(names.ALERT_ERROR_BUDGET_BURN, labels, minute)


def _in_all(labels: Mapping[str, str], minutes: list[int], scene: _Scene) -> Iterator[Expect]:
    """The first and the last minute in which it fires, and how often it is found firing."""
    alert = firing(names.ALERT_ERROR_BUDGET_BURN, labels)
    span = f"[{slo.promql_duration(timedelta(minutes=scene.last))}:{scene.evaluated}m]"
    if not minutes:
        yield Expect(f"count_over_time({alert}{span})", scene.last, ())
        return
    minute = f"(max({alert}) * time() / 60){span}"
    yield Expect(f"min_over_time({minute})", scene.last, (({}, minutes[0]),))
    yield Expect(f"max_over_time({minute})", scene.last, (({}, minutes[-1]),))
    yield Expect(f"count_over_time({minute})", scene.last, (({}, len(minutes)),))


def _valued(value: Value, minute: int, own: Mapping[str, str], labels: Mapping[str, str]) -> Expect:
    """The series has its value, give or take a millionth, and these labels; or there is none."""
    extra = dict(value.labels)
    if value.name in (names.PERIOD, names.PERIOD_HOURS_LEFT):
        labels = own  # the same for all that an objective is told apart by
    selector = value.name + matchers({**own, **extra})
    if value.value is None:
        return Expect(selector, minute, ())
    if value.value == 0:
        return Expect(selector, minute, (({"__name__": value.name, **labels, **extra}, 0),))
    close = f"round({selector} / {value.value:.9g}, 0.000001)"
    return Expect(close, minute, (({**labels, **extra}, 1),))
