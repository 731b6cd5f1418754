"""Proofs of the first step: raw counters, as services and the collector expose them, become events.

An objective whose series cannot be written down is proven from its recordings on only, and its file
says so by having no test here. Objectives whose series have nothing in common share a test, because
promtool evaluates all rules of the file for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from otelkit import names
from otelkit.generate.batches import batched
from otelkit.generate.flows import MINUTES, NONE, Flow, born, restarting, steady
from otelkit.generate.health import heartbeat_labels
from otelkit.generate.proof import Expect, Series, Test, beating, each, elsewhere, notation
from otelkit.generate.rule import matchers
from otelkit.generate.scope import collected, group_name, identity
from otelkit.generate.shapes import ELSEWHERE, Shape, shape_of
from otelkit.model import Sla

IN_FULL: Final = 2
"""So many objectives of a kind are proven in full; the rules of the others are made alike."""
_TURN: Final = 25
"""Minutes, of which sixteen have samples, and no range sees the turn before."""


def tests(sla: Sla) -> Iterator[Test]:
    """Events are counted through restarts and births of series; where all, or nothing, is good."""
    beat = beating(heartbeat_labels(sla, group_name(sla, "sli")), 10)
    for number, test in enumerate(_tests(sla)):
        yield test if number else replace(test, expressions=(*test.expressions, beat))


def _tests(sla: Sla) -> Iterator[Test]:
    shapes = [shape for objective in sla.budgets if (shape := shape_of(sla, objective)) is not None]
    kinds: Counter[tuple[type, tuple[str, ...]]] = Counter()
    for batch in batched(shapes):
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


def _counted(sla: Sla, shapes: Sequence[Shape], full: Sequence[Shape]) -> Test:
    """A thing or two at a time happens to the counters, each in minutes of its own."""
    flows = {shape.objective.name: [*_flows(shape, shape in full)] for shape in shapes}
    expected = [one for shape in shapes for one in _expected(sla, shape, shape in full)]
    return _test(sla, "good and bad events are counted", shapes, flows, expected)


def _flows(shape: Shape, in_full: bool) -> Iterator[Flow]:
    yield Flow(restarting(100, 15), restarting(20, 15))
    if not in_full:
        return
    yield Flow(steady(50), steady(5), "b", otherwise=True)
    # Series of a process that is known appear with their first event, or before it.
    yield Flow(born(22, 1), NONE, variant=1)
    yield Flow(NONE, born(24, 3), variant=2)
    yield Flow(born(40, 0), born(40, 0), variant=3)
    # A process appears that has counted before, and has new series three and eight minutes later.
    yield Flow(steady(0, 30, 50), steady(0, 30, 50), "c")
    yield Flow(NONE, born(33, 1), "c", variant=4)
    yield Flow(born(38, 3), NONE, "c", variant=5)
    if "job" not in shape.own:
        yield Flow(steady(0, 30, 50), steady(0, 30, 50), "a", job="another")
    for label in shape.own:
        yield Flow(steady(1000), steady(1000), labels={label: ELSEWHERE})


def _expected(sla: Sla, shape: Shape, in_full: bool) -> Iterator[Expect]:
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


def _nothing_good(sla: Sla, shapes: Sequence[Shape]) -> Test:
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
        flows[shape.objective.name] = [Flow((), (*(None,) * start, *fails, None))]
        expected += _events(sla, shape, start + 7, 0, 100)
        expected += _events(sla, shape, start + 14, 0, 0)
    test = _test(sla, "failures are counted where nothing was ever good", shapes, flows, expected)
    return replace(test, series=(*test.series, *others))


def _more_good_than_all(sla: Sla, shapes: Sequence[Shape]) -> Test:
    """Where no total is known nothing is bad; where more are good than there are, nothing is."""
    series = []
    for shape in shapes:
        good, _ = shape.series(Flow(steady(12), NONE))
        _, total = shape.series(Flow(steady(10, 20), NONE))
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
    shapes: Sequence[Shape],
    flows: Mapping[str, Iterable[Flow]],
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


def _beside(shape: Shape, flow: Flow) -> Iterator[Series]:
    for name, labels in () if flow.variant or flow.labels else shape.beside:
        found = {"job": flow.job, **shape.own, "instance": flow.instance, **labels}
        yield Series(name, found, notation(steady(1000)))


def _calendars(sla: Sla, shapes: Sequence[Shape]) -> Iterator[Series]:
    """Those in whose hours alone objectives count, always open."""
    minutes = max(MINUTES, len(shapes) * _TURN)
    for name in sorted({shape.objective.during.name for shape in shapes if shape.objective.during}):
        labels = {**collected(sla), "calendar": name}
        yield Series(names.CALENDAR_OPEN.name, labels, f"1x{minutes}")


def _listed(shapes: Sequence[Shape]) -> str:
    found = [shape.objective.name for shape in shapes]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def _events(sla: Sla, shape: Shape, minute: int, good: int, bad: int) -> Iterator[Expect]:
    for kind, value in ((names.TOTAL, good + bad), (names.GOOD, good), (names.BAD, bad)):
        yield _event(sla, shape, kind, minute, value)


def _event(sla: Sla, shape: Shape, kind: str, minute: int, value: int) -> Expect:
    """So many events are recorded, give or take rounding."""
    labels = identity(sla, shape.objective.name) | each(shape.objective)
    return Expect(f"round({_recorded(sla, shape, kind)}, 0.01)", minute, ((labels, value),))


def _recorded(sla: Sla, shape: Shape, kind: str) -> str:
    return f"{kind}5m{matchers(identity(sla, shape.objective.name))}"
