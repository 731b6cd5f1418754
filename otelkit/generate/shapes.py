"""The series by which objectives count, as one process exposes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from otelkit import names, slo
from otelkit.generate.flows import Flow, Labels
from otelkit.generate.proof import Series, each, notation
from otelkit.generate.scope import collected, match_of
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

ELSEWHERE: Final = "elsewhere"
"""The value of a label that no selector asks for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The series by which an objective counts, as one process exposes them.

    One of the three may follow from the others.
    """

    objective: BudgetObjective
    own: Labels
    """What all its series have in common, and its selectors ask for."""
    good: tuple[str, Labels] | None
    bad: tuple[str, Labels] | None = None
    total: tuple[str, Labels] | None = None
    otherwise: Labels = field(default_factory=dict)
    """Labels of other good events."""
    beside: tuple[tuple[str, Labels], ...] = ()
    """Series that are none of its events."""
    sudden: bool = True

    def series(self, flow: Flow) -> Iterator[Series]:
        """The counters of a flow of events."""
        variant = {"variant": str(flow.variant)} if flow.variant else {}
        common = {"job": flow.job, **self.own, "instance": flow.instance, **flow.labels}
        otherwise = self.otherwise if flow.otherwise else {}
        both = tuple(_sum(*pair) for pair in zip_longest(flow.good, flow.bad))
        kinds = ((self.good, flow.good), (self.bad, flow.bad), (self.total, both))
        for kind, counted in kinds:
            if kind is not None and any(value is not None for value in counted):
                other = otherwise if kind is self.good else {}
                found = {**common, **kind[1], **other, **variant, **flow.labels}
                yield Series(kind[0], found, notation(counted))

    def names(self) -> frozenset[str]:
        kinds = (self.good, self.bad, self.total)
        return frozenset(kind[0] for kind in kinds if kind is not None)


def shape_of(sla: Sla, objective: BudgetObjective) -> Shape | None:
    """That of an objective, None where a proof cannot write its series down: a selector with
    anything but ``=`` cannot be turned back into series, a query can be anything, and promtool 2.42
    has no notation for a native histogram.
    """
    if isinstance(objective, Query) or (isinstance(objective, Latency) and objective.native):
        return None
    # Of the objective's own groups any will do, the same on all series.
    group = each(objective)
    if isinstance(objective, Availability):
        return _availability(sla, objective, group)
    if isinstance(objective, Latency):
        return _latency(sla, objective, group)
    if isinstance(objective, Clock):
        return _clock(sla, objective)
    if isinstance(objective, Selectors):
        return _selectors(sla, objective, group)
    raise AssertionError(f"{type(objective).__name__} has no counters")


def _availability(sla: Sla, objective: Availability, group: Labels) -> Shape:
    http = objective.service.http
    name = f"{http.duration}_count"
    route = {http.route: "/orders", **group}
    return Shape(
        objective,
        {**objective.service.match, **match_of(sla)},
        (name, {**route, http.status: "200"}),
        bad=(name, {**route, http.status: "503"}),
        otherwise={http.status: "404"},
    )


def _latency(sla: Sla, objective: Latency, group: Labels) -> Shape:
    name = objective.service.http.duration
    return Shape(
        objective,
        {**objective.service.match, **match_of(sla)},
        (f"{name}_bucket", {**group, "le": slo.plain(objective.below)}),
        total=(f"{name}_count", group),
        beside=((f"{name}_bucket", {**group, "le": "+Inf"}),),
    )


def _clock(sla: Sla, objective: Clock) -> Shape:
    name = names.ORDER_CLOCKS.name
    labels = {
        "tier": objective.process.default_tier,
        "agreement": objective.within[-1].agreement,
        **each(objective),
    }
    return Shape(
        objective,
        {**collected(sla), "objective": objective.name},
        (name, {**labels, "outcome": names.OUTCOME_MET}),
        bad=(name, {**labels, "outcome": names.OUTCOME_BREACHED}),
        beside=((name, {**labels, "outcome": names.OUTCOME_CANCELLED}),),
        sudden=False,
    )


def _selectors(sla: Sla, objective: Selectors, group: Labels) -> Shape | None:
    """Series that the two selectors take; none where they take the same, or none can be made."""
    found = counters(sla, objective)
    part, whole = exact(found.good or found.bad or ""), exact(found.total or found.bad or "")
    if part is None or whole is None or part == whole:
        return None
    own = {name: value for name, value in whole[1].items() if part[1].get(name) == value}
    inside, outside = (part[0], {**group, **part[1]}), (whole[0], {**group, **whole[1]})
    if found.total is None:
        return Shape(objective, own, inside, bad=outside)
    if part[0] != whole[0]:
        if found.good:
            return Shape(objective, own, inside, None, outside)
        return Shape(objective, own, None, inside, outside)
    apart = {name: ELSEWHERE for name in part[1] if name not in {*whole[1], *objective.by}}
    if not apart:
        return None
    outside = whole[0], {**outside[1], **apart}
    return Shape(objective, own, *((inside, outside) if found.good else (outside, inside)))


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


def _sum(good: int | None, bad: int | None) -> int | None:
    return None if good is None and bad is None else (good or 0) + (bad or 0)
