"""Proofs of the first step: raw counters, as services and the collector expose them, become events.

A selector with anything but ``=`` cannot be turned back into series, a query can be anything, and
promtool 2.42 cannot write a native histogram down: such an objective is proven from its recordings
on only, and its file says so by having no test here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otelkit import names, slo
from otelkit.generate.proof import Expect, Series, Test
from otelkit.generate.scope import collected, identity, match_of
from otelkit.generate.sli import counters
from otelkit.model import (
    Availability,
    BudgetObjective,
    Clock,
    Latency,
    Query,
    Selectors,
    Sla,
)

_INSTANCE: Final = {"instance": "proof:9464"}
_GOOD: Final = 100
_BAD: Final = 20
"""Events a minute."""
_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class _Counters:
    """The series of good and bad events."""

    series: tuple[Series, ...]
    failure: Series | None = None
    """A series that appears with its first failure; None where all series exist from the start."""


def tests(sla: Sla) -> Iterator[Test]:
    """Events are counted, so is the one that creates its series, and so are failures alone."""
    for objective in sla.budgets:
        found = _counters(sla, objective)
        if found is not None:
            open_hours = _open_hours(sla, objective)
            yield _counted(sla, objective, found, open_hours)
            if found.failure is not None:
                yield _first_failure(sla, objective, found, found.failure, open_hours)
                yield _nothing_good(sla, objective, found.failure, open_hours)


def _open_hours(sla: Sla, objective: BudgetObjective) -> tuple[Series, ...]:
    """The calendar in whose hours alone the objective counts, always open."""
    if objective.during is None:
        return ()
    own = {**collected(sla), "calendar": objective.during.name}
    return (Series(names.CALENDAR_OPEN.name, own, f"1x{_MINUTES}"),)


def _counters(sla: Sla, objective: BudgetObjective) -> _Counters | None:
    if isinstance(objective, Query) or (isinstance(objective, Latency) and objective.native):
        return None
    # Labels of the objective's own groups: any value will do, the same on all series.
    group = dict.fromkeys(objective.by, "proof") | dict(match_of(sla))
    if isinstance(objective, Availability):
        return _availability(objective, group)
    if isinstance(objective, Latency):
        return _latency(objective, group)
    if isinstance(objective, Clock):
        return _clock(sla, objective)
    if isinstance(objective, Selectors):
        return _selectors(sla, objective, group)
    raise AssertionError(f"{type(objective).__name__} has no counters")


def _steady(name: str, labels: Mapping[str, str], rate: int) -> Series:
    return Series(name, labels, f"0+{rate}x{_MINUTES}")


def _availability(objective: Availability, group: Mapping[str, str]) -> _Counters:
    http = objective.service.http
    name = f"{http.duration}_count"
    route = {**_job({**objective.service.match, **group}), http.route: "/orders"}
    return _Counters(
        (
            _steady(name, route | {http.status: "200"}, _GOOD - 10),
            _steady(name, route | {http.status: "404"}, 10),
            _steady(name, route | {http.status: "503"}, _BAD),
        ),
        Series(name, route | {http.status: "500"}, ""),
    )


def _latency(objective: Latency, group: Mapping[str, str]) -> _Counters:
    name = objective.service.http.duration
    labels = _job({**objective.service.match, **group})
    bound = slo.plain(objective.below)
    return _Counters(
        (
            _steady(f"{name}_count", labels, _GOOD + _BAD),
            _steady(f"{name}_bucket", labels | {"le": bound}, _GOOD),
        )
    )


def _clock(sla: Sla, objective: Clock) -> _Counters:
    labels = {
        **_INSTANCE,
        "job": "otelkit-collector",
        **collected(sla),
        "objective": objective.name,
        "tier": objective.process.default_tier,
        "agreement": objective.within[-1].agreement,
    }

    def outcome(value: str, rate: int) -> Series:
        return _steady(names.ORDER_CLOCKS.name, labels | {"outcome": value}, rate)

    return _Counters(
        (
            outcome(names.OUTCOME_MET, _GOOD),
            outcome(names.OUTCOME_BREACHED, _BAD),
            outcome(names.OUTCOME_CANCELLED, 5),  # no event of the objective
        )
    )


def _selectors(sla: Sla, objective: Selectors, group: Mapping[str, str]) -> _Counters | None:
    """Series that the two selectors take; none where they take the same, or none can be made."""
    found = counters(sla, objective)
    part, whole = exact(found.good or found.bad or ""), exact(found.total or found.bad or "")
    if part is None or whole is None:
        return None
    rates = (_GOOD, _BAD) if found.good else (_BAD, _GOOD)
    if found.total is None:
        return _apart(part, whole, group)
    if part[0] != whole[0]:
        return _Counters(
            (
                _steady(whole[0], _job({**group, **whole[1]}), _GOOD + _BAD),
                _steady(part[0], _job({**group, **part[1]}), rates[0]),
            )
        )
    told_apart = {
        name: "proof" for name in part[1] if name not in whole[1] and name not in objective.by
    }
    if not told_apart:
        return None
    inside = _job({**group, **whole[1], **part[1]})
    outside = _job({**group, **whole[1], **told_apart})
    series = (_steady(part[0], inside, rates[0]), _steady(whole[0], outside, rates[1]))
    first = {**outside, **dict.fromkeys(told_apart, "first")}
    return _Counters(series, Series(whole[0], first, "") if found.good else None)


def _apart(
    good: tuple[str, dict[str, str]], bad: tuple[str, dict[str, str]], group: Mapping[str, str]
) -> _Counters | None:
    """Two counters that have no event in common."""
    first = {**bad[1], **dict.fromkeys({"proof"} - set(bad[1]), "first")}
    if good == bad:
        return None
    return _Counters(
        (
            _steady(good[0], _job({**group, **good[1]}), _GOOD),
            _steady(bad[0], _job({**group, **bad[1]}), _BAD),
        ),
        Series(bad[0], _job({**group, **first}), ""),
    )


def exact(selector: str) -> tuple[str, dict[str, str]] | None:
    """Metric and labels of a selector that has equality matchers only, else None."""
    import promql_parser

    if not selector:
        return None
    parsed = promql_parser.parse(selector)
    if not isinstance(parsed, promql_parser.VectorSelector) or not parsed.name:
        return None
    labels = {}
    for matcher in parsed.matchers.matchers:
        if matcher.op != promql_parser.MatchOp.Equal:
            return None
        labels[matcher.name] = matcher.value
    return parsed.name, labels


def _job(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of one target; a scrape always sets ``job`` and ``instance``."""
    return {"job": "proof", **_INSTANCE, **labels}


def _near(expr: str, value: int, minute: int) -> Expect:
    """The expression is one series without labels that is this value, give or take rounding."""
    return Expect(f"count(abs({expr} - {value}) < 0.01)", minute, (({}, 1),))


def _recorded(sla: Sla, objective: BudgetObjective, prefix: str) -> str:
    pairs = ",".join(f'{k}="{v}"' for k, v in identity(sla, objective.name).items())
    return f"{prefix}5m{{{pairs}}}"


def _counted(
    sla: Sla, objective: BudgetObjective, found: _Counters, open_hours: tuple[Series, ...]
) -> Test:
    good, bad = _recorded(sla, objective, names.GOOD), _recorded(sla, objective, names.BAD)
    total = _recorded(sla, objective, names.TOTAL)
    return Test(
        f"{objective.name}: good and bad events are counted",
        (*found.series, *open_hours),
        (
            _near(total, 5 * (_GOOD + _BAD), 30),
            _near(good, 5 * _GOOD, 30),
            _near(bad, 5 * _BAD, 30),
        ),
    )


def _first_failure(
    sla: Sla,
    objective: BudgetObjective,
    found: _Counters,
    failure: Series,
    open_hours: tuple[Series, ...],
) -> Test:
    """increase() does not see the event with which a series begins."""
    born = Series(failure.name, failure.labels, "_x21 1x20")
    good = found.series[0]
    return Test(
        f"{objective.name}: a failure that creates its series is counted, once",
        (good, born, *open_hours),
        (
            _near(_recorded(sla, objective, names.BAD), 0, 20),
            _near(_recorded(sla, objective, names.BAD), 1, 21),
            _near(_recorded(sla, objective, names.BAD), 1, 24),
            _near(_recorded(sla, objective, names.BAD), 0, 27),
        ),
    )


def _nothing_good(
    sla: Sla, objective: BudgetObjective, failure: Series, open_hours: tuple[Series, ...]
) -> Test:
    """A service that has never answered well has no series of good events at all."""
    return Test(
        f"{objective.name}: failures are counted where nothing was ever good",
        (_steady(failure.name, failure.labels, _BAD), *open_hours),
        (
            _near(_recorded(sla, objective, names.GOOD), 0, 30),
            _near(_recorded(sla, objective, names.BAD), 5 * _BAD, 30),
        ),
    )
