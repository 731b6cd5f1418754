"""Proofs of the first step: raw counters, as services and the collector expose them, become events.

A selector with anything but ``=`` cannot be turned back into series, so such an objective is proven
from its recordings on only; its file says so by having no test here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otelkit import names, slo
from otelkit.generate.proof import Expect, Series, Test
from otelkit.generate.sli import identity
from otelkit.model import Availability, BudgetObjective, Clock, Latency, Selectors, Sla

_INSTANCE: Final = {"instance": "proof:9464"}
_GOOD: Final = 100
_BAD: Final = 20
"""Events a minute."""


@dataclass(frozen=True, slots=True)
class _Counters:
    """The series of one good and one bad event. ``bad`` is None where ``total`` counts both."""

    total: tuple[Series, ...]
    good: Series | None
    failure: Series | None
    """A series that appears with its first failure; None where all series exist from the start."""


def tests(sla: Sla) -> Iterator[Test]:
    """Events are counted, so is the one that creates its series, and so are failures alone."""
    for objective in sla.budgets:
        counters = _counters(sla, objective)
        if counters is not None:
            yield _counted(sla, objective, counters)
            if counters.failure is not None:
                yield _first_failure(sla, objective, counters, counters.failure)
                yield _nothing_good(sla, objective, counters.failure)


def _counters(sla: Sla, objective: BudgetObjective) -> _Counters | None:
    if isinstance(objective, Availability):
        return _availability(objective)
    if isinstance(objective, Latency):
        return _latency(objective)
    if isinstance(objective, Clock):
        return _clock(sla, objective)
    if isinstance(objective, Selectors):
        return _selectors(objective)
    raise AssertionError(f"{type(objective).__name__} has no counters")


def _steady(name: str, labels: Mapping[str, str], rate: int) -> Series:
    return Series(name, labels, f"0+{rate}x60")


def _availability(objective: Availability) -> _Counters:
    service = objective.service
    name = f"{service.http.duration}_count"
    route = {**_job(service.match), service.http.route: "/orders"}
    status = service.http.status
    return _Counters(
        total=(
            _steady(name, route | {status: "200"}, _GOOD - 10),
            _steady(name, route | {status: "404"}, 10),
            _steady(name, route | {status: "503"}, _BAD),
        ),
        good=None,
        failure=Series(name, route | {status: "500"}, ""),
    )


def _latency(objective: Latency) -> _Counters:
    service = objective.service
    labels = _job(service.match)
    bound = slo.plain(objective.below)
    return _Counters(
        total=(_steady(f"{service.http.duration}_count", labels, _GOOD + _BAD),),
        good=_steady(f"{service.http.duration}_bucket", labels | {"le": bound}, _GOOD),
        failure=None,
    )


def _clock(sla: Sla, objective: Clock) -> _Counters:
    labels = {
        **_INSTANCE,
        "job": "otelkit-collector",
        "system": sla.system,
        "objective": objective.name,
        "tier": objective.process.default_tier,
        "agreement": objective.within[-1].agreement,
    }

    def outcome(value: str, rate: int) -> Series:
        return _steady(names.ORDER_CLOCKS.name, labels | {"outcome": value}, rate)

    return _Counters(
        total=(
            outcome(names.OUTCOME_MET, _GOOD),
            outcome(names.OUTCOME_BREACHED, _BAD),
            outcome(names.OUTCOME_CANCELLED, 5),  # no event of the objective
        ),
        good=None,
        failure=None,
    )


def _selectors(objective: Selectors) -> _Counters | None:
    good, total = exact(objective.good or ""), exact(objective.total or "")
    if good is None or total is None:
        return None
    if good[0] != total[0]:
        return _Counters(
            total=(_steady(total[0], _job(total[1]), _GOOD + _BAD),),
            good=_steady(good[0], _job(good[1]), _GOOD),
            failure=None,
        )
    told_apart = {name: "proof" for name in good[1] if name not in total[1]}
    if not told_apart:
        return None
    failed = _job({**total[1], **told_apart})
    return _Counters(
        total=(
            _steady(good[0], _job({**total[1], **good[1]}), _GOOD),
            _steady(total[0], failed, _BAD),
        ),
        good=None,
        failure=Series(total[0], {**failed, **dict.fromkeys(told_apart, "first")}, ""),
    )


def exact(selector: str) -> tuple[str, dict[str, str]] | None:
    """Metric and labels of a selector that has equality matchers only, else None."""
    import promql_parser

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


def _counted(sla: Sla, objective: BudgetObjective, counters: _Counters) -> Test:
    series = (*counters.total, *((counters.good,) if counters.good else ()))
    good, bad = _recorded(sla, objective, names.GOOD), _recorded(sla, objective, names.BAD)
    total = _recorded(sla, objective, names.TOTAL)
    return Test(
        f"{objective.name}: good and bad events are counted",
        series,
        (
            _near(total, 5 * (_GOOD + _BAD), 30),
            _near(good, 5 * _GOOD, 30),
            _near(bad, 5 * _BAD, 30),
        ),
    )


def _first_failure(
    sla: Sla, objective: BudgetObjective, counters: _Counters, failure: Series
) -> Test:
    """increase() does not see the event with which a series begins."""
    born = Series(failure.name, failure.labels, "_x21 1x20")
    good = counters.total[0]
    return Test(
        f"{objective.name}: a failure that creates its series is counted, once",
        (good, born),
        (
            _near(_recorded(sla, objective, names.BAD), 0, 20),
            _near(_recorded(sla, objective, names.BAD), 1, 21),
            _near(_recorded(sla, objective, names.BAD), 1, 24),
            _near(_recorded(sla, objective, names.BAD), 0, 27),
        ),
    )


def _nothing_good(sla: Sla, objective: BudgetObjective, failure: Series) -> Test:
    """A service that has never answered well has no series of good events at all."""
    return Test(
        f"{objective.name}: failures are counted where nothing was ever good",
        (_steady(failure.name, failure.labels, _BAD),),
        (
            _near(_recorded(sla, objective, names.GOOD), 0, 30),
            _near(_recorded(sla, objective, names.BAD), 5 * _BAD, 30),
        ),
    )
