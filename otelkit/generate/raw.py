"""Proofs of the first step: raw counters, as services and the collector expose them, become events.

A selector with anything but ``=`` cannot be turned back into series, a query can be anything, and
promtool 2.42 cannot write a native histogram down: such an objective is proven from its recordings
on only, and its file says so by having no test here. Objectives whose series have nothing in common
share a test, because promtool evaluates all rules of the file for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Final

from otelkit import names, slo
from otelkit.generate.health import heartbeat_labels
from otelkit.generate.proof import Expect, Series, Test, beating, each, elsewhere, notation
from otelkit.generate.rule import matchers
from otelkit.generate.scope import collected, group_name, identity, match_of
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

IN_FULL: Final = 2
"""So many objectives of a kind are proven in full; the rules of the others are made alike."""
_MINUTES: Final = 45
_TURN: Final = 25
"""Minutes, of which sixteen have samples, and no range sees the turn before."""
_JOB: Final = "proof"
_ELSEWHERE: Final = "elsewhere"

Labels = Mapping[str, str]
Counted = Sequence[int | None]
"""A counter minute by minute, None where its series is not there."""


@dataclass(frozen=True, slots=True)
class _Shape:
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

    def series(self, flow: _Flow) -> Iterator[Series]:
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


@dataclass(frozen=True, slots=True)
class _Flow:
    """The events that one process counts under one value of the label that varies."""

    good: Counted
    bad: Counted
    instance: str = "a"
    variant: int = 0
    job: str = _JOB
    labels: Labels = field(default_factory=dict)
    otherwise: bool = False


def _sum(good: int | None, bad: int | None) -> int | None:
    return None if good is None and bad is None else (good or 0) + (bad or 0)


def _steady(rate: int, since: int = 0, first: int = 0) -> Counted:
    grows = (first + rate * minute for minute in range(_MINUTES + 1 - since))
    return (None,) * since + tuple(grows)


def _restarting(rate: int, at: int) -> Counted:
    """The process is new at this minute, and counts from zero."""
    return (*_steady(rate)[:at], *(rate * minute for minute in range(1, _MINUTES + 2 - at)))


def _born(minute: int, value: int) -> Counted:
    """A series that appears with its first event, of which there are no more."""
    return _steady(0, minute, value)


_NONE: Final[Counted] = (None,) * (_MINUTES + 1)


# --- tests ---------------------------------------------------------------------------------


def tests(sla: Sla) -> Iterator[Test]:
    """Events are counted through restarts and births of series; where all, or nothing, is good."""
    beat = beating(heartbeat_labels(sla, group_name(sla, "sli")), 10)
    for number, test in enumerate(_tests(sla)):
        yield test if number else replace(test, expressions=(*test.expressions, beat))


def _tests(sla: Sla) -> Iterator[Test]:
    shapes = [shape for objective in sla.budgets if (shape := _shape(sla, objective)) is not None]
    kinds: Counter[tuple[type, tuple[str, ...]]] = Counter()
    for batch in _batches(shapes):
        full = []
        for shape in batch:
            kind = type(shape.objective), tuple(sorted(shape.own))
            kinds[kind] += 1
            full += [shape] if kinds[kind] <= IN_FULL else []
        yield _counted(sla, batch, full)
        if full:
            yield _nothing_good(sla, full)
        if apart := [shape for shape in full if shape.total and shape.good]:
            yield _more_good_than_all(sla, apart)


def _counted(sla: Sla, shapes: Sequence[_Shape], full: Sequence[_Shape]) -> Test:
    """A thing or two at a time happens to the counters, each in minutes of its own."""
    flows = {shape.objective.name: [*_flows(shape, shape in full)] for shape in shapes}
    expected = [one for shape in shapes for one in _expected(sla, shape, shape in full)]
    return _test(sla, "good and bad events are counted", shapes, flows, expected)


def _flows(shape: _Shape, in_full: bool) -> Iterator[_Flow]:
    yield _Flow(_restarting(100, 15), _restarting(20, 15))
    if not in_full:
        return
    yield _Flow(_steady(50), _steady(5), "b", otherwise=True)
    # Series of a process that is known appear with their first event, or before it.
    yield _Flow(_born(22, 1), _NONE, variant=1)
    yield _Flow(_NONE, _born(24, 3), variant=2)
    yield _Flow(_born(40, 0), _born(40, 0), variant=3)
    # A process appears that has counted before, and has new series three and eight minutes later.
    yield _Flow(_steady(0, 30, 50), _steady(0, 30, 50), "c")
    yield _Flow(_NONE, _born(33, 1), "c", variant=4)
    yield _Flow(_born(38, 3), _NONE, "c", variant=5)
    if "job" not in shape.own:
        yield _Flow(_steady(0, 30, 50), _steady(0, 30, 50), "a", job="another")
    for label in shape.own:
        yield _Flow(_steady(1000), _steady(1000), labels={label: _ELSEWHERE})


def _expected(sla: Sla, shape: _Shape, in_full: bool) -> Iterator[Expect]:
    if not in_full:
        yield from _events(sla, shape, 18, 500, 100)
        return
    one = 1 if shape.sudden else 0
    for minute, good, bad in (
        (12, 0, 0),
        (18, 0, 0),  # it has restarted
        (22, one, 0),
        (26, one, one),
        (27, 0, one),
        (28, 0, one),
        (29, 0, 0),
        (34, 0, 0),  # whoever is not known yet has counted for longer than it was looked at
        (39, one, 0),
        (42, one, 0),
        (43, 0, 0),
    ):
        yield from _events(sla, shape, minute, 750 + good, 125 + bad)


def _nothing_good(sla: Sla, shapes: Sequence[_Shape]) -> Test:
    """A service that has never answered well has no series of good events at all.

    Each objective has its turn alone: nobody else's events stand in for its own. When its own have
    come, it has no traffic any more.
    """
    flows, expected, others = {}, list[Expect](), list[Series]()
    for number, shape in enumerate(shapes):
        start = number * _TURN
        own = identity(sla, shape.objective.name)
        recorded = f"{f'_x{start} ' if start else ''}7x10 stale"
        for kind in (names.TOTAL, names.GOOD, names.BAD):
            others += elsewhere(f"{kind}5m", own | each(shape.objective), own, recorded)
        fails = (*(20 * minute for minute in range(8)), *(140,) * 8)
        flows[shape.objective.name] = [_Flow((), (*(None,) * start, *fails, None))]
        expected += _events(sla, shape, start + 7, 0, 100)
        expected += _events(sla, shape, start + 14, 0, 0)
    test = _test(sla, "failures are counted where nothing was ever good", shapes, flows, expected)
    return replace(test, series=(*test.series, *others))


def _more_good_than_all(sla: Sla, shapes: Sequence[_Shape]) -> Test:
    """Where no total is known nothing is bad; where more are good than there are, nothing is."""
    series = []
    for shape in shapes:
        good, _ = shape.series(_Flow(_steady(12), _NONE))
        _, total = shape.series(_Flow(_steady(10, 20), _NONE))
        series += [good, total]
    expected = [
        one
        for shape in shapes
        for one in (
            Expect(_recorded(sla, shape, names.BAD), 15, ()),
            _event(sla, shape, names.GOOD, 35, 60),
            _event(sla, shape, names.BAD, 35, 0),
        )
    ]
    name = f"more good events than there are leave none bad: {_listed(shapes)}"
    return Test(name, (*series, *_calendars(sla, shapes)), tuple(expected))


def _test(
    sla: Sla,
    what: str,
    shapes: Sequence[_Shape],
    flows: Mapping[str, Iterable[_Flow]],
    expected: Iterable[Expect],
) -> Test:
    series = [
        one
        for shape in shapes
        for flow in flows[shape.objective.name]
        for one in (*shape.series(flow), *_beside(shape, flow))
    ]
    # What is counted elsewhere may be the same for several objectives.
    once = {(one.name, *sorted(one.labels.items())): one for one in series}
    every = (*once.values(), *_calendars(sla, shapes))
    return Test(f"{what}: {_listed(shapes)}", every, tuple(expected))


def _beside(shape: _Shape, flow: _Flow) -> Iterator[Series]:
    for name, labels in () if flow.variant or flow.labels else shape.beside:
        found = {"job": flow.job, **shape.own, "instance": flow.instance, **labels}
        yield Series(name, found, notation(_steady(1000)))


def _calendars(sla: Sla, shapes: Sequence[_Shape]) -> Iterator[Series]:
    """Those in whose hours alone objectives count, always open."""
    minutes = max(_MINUTES, len(shapes) * _TURN)
    for name in sorted({shape.objective.during.name for shape in shapes if shape.objective.during}):
        labels = {**collected(sla), "calendar": name}
        yield Series(names.CALENDAR_OPEN.name, labels, f"1x{minutes}")


def _listed(shapes: Sequence[_Shape]) -> str:
    found = [shape.objective.name for shape in shapes]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def _events(sla: Sla, shape: _Shape, minute: int, good: int, bad: int) -> Iterator[Expect]:
    for kind, value in ((names.TOTAL, good + bad), (names.GOOD, good), (names.BAD, bad)):
        yield _event(sla, shape, kind, minute, value)


def _event(sla: Sla, shape: _Shape, kind: str, minute: int, value: int) -> Expect:
    """So many events are recorded, give or take rounding."""
    labels = identity(sla, shape.objective.name) | each(shape.objective)
    return Expect(f"round({_recorded(sla, shape, kind)}, 0.01)", minute, ((labels, value),))


def _recorded(sla: Sla, shape: _Shape, kind: str) -> str:
    return f"{kind}5m{matchers(identity(sla, shape.objective.name))}"


def _batches(shapes: Iterable[_Shape]) -> list[list[_Shape]]:
    """Objectives that count the same series are told apart; the rest is together."""
    found: list[_Batch] = []
    for shape in shapes:
        free = next((batch for batch in found if not batch.overlaps(shape)), None)
        if free is None:
            found.append(free := _Batch())
        free.add(shape)
    return [batch.shapes for batch in found]


class _Batch:
    """Objectives whose selectors take none of each other's series."""

    def __init__(self) -> None:
        self.shapes: list[_Shape] = []
        self._taken: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}

    def add(self, shape: _Shape) -> None:
        self.shapes.append(shape)
        labels = tuple(sorted(shape.own))
        for name in shape.names():
            values = tuple(shape.own[label] for label in labels)
            self._taken.setdefault((name, labels), set()).add(values)

    def overlaps(self, shape: _Shape) -> bool:
        """Whether one of them asks for the same metric, and for no other value of any label."""
        for (name, labels), taken in self._taken.items():
            if name in shape.names():
                own = tuple(shape.own.get(label) for label in labels)
                if own in taken:  # found at once, where hundreds ask for the same labels
                    return True
                if None in own and any(_agree(own, values) for values in taken):
                    return True
        return False


def _agree(some: Sequence[str | None], all_of: Sequence[str]) -> bool:
    return all(one in (None, other) for one, other in zip(some, all_of, strict=True))


# --- shapes --------------------------------------------------------------------------------


def _shape(sla: Sla, objective: BudgetObjective) -> _Shape | None:
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


def _availability(sla: Sla, objective: Availability, group: Labels) -> _Shape:
    http = objective.service.http
    name = f"{http.duration}_count"
    route = {http.route: "/orders", **group}
    return _Shape(
        objective,
        {**objective.service.match, **match_of(sla)},
        (name, {**route, http.status: "200"}),
        bad=(name, {**route, http.status: "503"}),
        otherwise={http.status: "404"},
    )


def _latency(sla: Sla, objective: Latency, group: Labels) -> _Shape:
    name = objective.service.http.duration
    return _Shape(
        objective,
        {**objective.service.match, **match_of(sla)},
        (f"{name}_bucket", {**group, "le": slo.plain(objective.below)}),
        total=(f"{name}_count", group),
        beside=((f"{name}_bucket", {**group, "le": "+Inf"}),),
    )


def _clock(sla: Sla, objective: Clock) -> _Shape:
    name = names.ORDER_CLOCKS.name
    labels = {
        "tier": objective.process.default_tier,
        "agreement": objective.within[-1].agreement,
        **each(objective),
    }
    return _Shape(
        objective,
        {**collected(sla), "objective": objective.name},
        (name, {**labels, "outcome": names.OUTCOME_MET}),
        bad=(name, {**labels, "outcome": names.OUTCOME_BREACHED}),
        beside=((name, {**labels, "outcome": names.OUTCOME_CANCELLED}),),
        sudden=False,
    )


def _selectors(sla: Sla, objective: Selectors, group: Labels) -> _Shape | None:
    """Series that the two selectors take; none where they take the same, or none can be made."""
    found = counters(sla, objective)
    part, whole = exact(found.good or found.bad or ""), exact(found.total or found.bad or "")
    if part is None or whole is None or part == whole:
        return None
    own = {name: value for name, value in whole[1].items() if part[1].get(name) == value}
    inside, outside = (part[0], {**group, **part[1]}), (whole[0], {**group, **whole[1]})
    if found.total is None:
        return _Shape(objective, own, inside, bad=outside)
    if part[0] != whole[0]:
        if found.good:
            return _Shape(objective, own, inside, None, outside)
        return _Shape(objective, own, None, inside, outside)
    apart = {name: _ELSEWHERE for name in part[1] if name not in {*whole[1], *objective.by}}
    if not apart:
        return None
    outside = whole[0], {**outside[1], **apart}
    return _Shape(objective, own, *((inside, outside) if found.good else (outside, inside)))


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
