"""Rules replayed over what a Prometheus has stored, without waiting for the time to pass.

Long windows are recorded from shorter ones, so an alert's expression means nothing to a server that
never loaded the rules. Here each rule in turn is asked for over the whole time it is needed for:
those that read raw series of the live server, all others of a server of our own, which is given
every recording before the rules that read it. So Prometheus itself does all the arithmetic, with
its own staleness and lookback, and a series that ends is marked as ended, as its rules would.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from otelkit.errors import ConfigError
from otelkit.verify import promql, remote_write
from otelkit.verify.prometheus import Series

_LIVE_STEPS: Final = 1_440
"""Evaluations that the live server is asked for at once: it has others to serve."""
_OWN_STEPS: Final = 10_000
"""The same for our own; a server answers 11,000 at most."""
_TOO_MUCH: Final = ("too many samples", "timed out")
_NAME: Final = "__name__"
_SELECTOR: Final = re.compile(r'([A-Za-z_:][\w:]*)\{((?:"(?:\\.|[^"\\])*"|[^"}])*)\}')

Labels = frozenset[tuple[str, str]]
Take = Callable[[Sequence[Series]], None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as Prometheus loads it. ``hold`` is the ``for:`` of an alert."""

    name: str
    expr: str
    labels: Mapping[str, str]
    alert: bool = False
    hold: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Task:
    """A rule to evaluate from ``since`` on, in Unix seconds, by the live server or by our own.

    ``expr`` is what is asked: to the live server recordings are spelled out.
    """

    rule: Rule
    expr: str
    live: bool
    since: float

    def chunks(self, end: float, step: float) -> Iterator[tuple[float, float]]:
        """Times of so many evaluations as one question may ask for."""
        length = ((_LIVE_STEPS if self.live else _OWN_STEPS) - 1) * step
        at = self.since
        while at <= end:
            yield at, min(at + length, end)
            at += length + step


class Server(Protocol):
    """As much of a Prometheus as is asked here."""

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """An expression at each step of a time, both ends included."""


class Store(Server, Protocol):
    """A Prometheus that takes samples."""

    def write(self, request: bytes) -> None:
        """A remote-write request."""


# --- what has to be evaluated, from when on ------------------------------------------------


def plan(rules: Sequence[Rule], start: float, step: float) -> tuple[Task, ...]:
    """The rules that the alerts need, in their order; ``start`` is when alerts begin to count.

    Each is evaluated for as long before ``start`` as those that read it look back.
    """
    recorded = _Recorded(rules)
    needed: dict[int, float] = {}
    tasks: list[Task] = []
    for at in reversed(range(len(rules))):
        rule = rules[at]
        since = start - rule.hold.total_seconds() - step if rule.alert else needed.get(at)
        if since is None:
            continue
        since = math.floor(since / step) * step
        found = [(read, recorded.of(read)) for read in promql.reads(rule.expr)]
        live = any(not sources for _, sources in found)
        for read, sources in found:
            for source in sources:
                earliest = since - read.reach.total_seconds()
                needed[source] = min(needed.get(source, earliest), earliest)
        tasks.append(
            Task(rule, recorded.spelled_out(rule.expr) if live else rule.expr, live, since)
        )
    return tuple(reversed(tasks))


class _Recorded:
    """Which rules write the series that a selector reads."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._named: dict[str, list[int]] = {}
        self._exact: dict[tuple[str, Labels], int] = {}
        for at, rule in enumerate(rules):
            if not rule.alert:
                self._named.setdefault(rule.name, []).append(at)
                self._exact[rule.name, frozenset(rule.labels.items())] = at

    def of(self, read: promql.Read) -> list[int]:
        """The places of the rules; none for a raw series."""
        import promql_parser

        matchers = read.selector.matchers.matchers
        wanted = {m.name: m.value for m in matchers if m.op == promql_parser.MatchOp.Equal}
        name = read.selector.name or ""
        if (exact := self._exact.get((name, frozenset(wanted.items())))) is not None:
            return [exact]
        return [
            at
            for at in self._named.get(name, ())
            if all(self._rules[at].labels.get(k, v) == v for k, v in wanted.items())
        ]

    def spelled_out(self, expr: str) -> str:
        """The expression with what they record in the place of recorded series."""

        def replaced(found: re.Match[str]) -> str:
            (read,) = promql.reads(found.group())
            sources = self.of(read)
            return " or ".join(map(self._vector, sources)) if sources else found.group()

        return _SELECTOR.sub(replaced, expr)

    def _vector(self, at: int) -> str:
        """A rule's expression with its labels."""
        rule = self._rules[at]
        found = f"({self.spelled_out(rule.expr)})"
        for name, value in rule.labels.items():
            text = json.dumps(value.replace("$", "$$"), ensure_ascii=False)
            found = f'label_replace({found}, "{name}", {text}, "", "")'
        return found


# --- the evaluation ------------------------------------------------------------------------


def replay(
    tasks: Sequence[Task],
    live: Server,
    own: Store,
    end: float,
    step: float,
    take: Callable[[Rule, Sequence[Series]], None],
    done: Callable[[], None],
) -> None:
    """Evaluate the tasks; ``take`` gets each rule's series piece by piece, in order of time.

    They carry the labels that the rule gives them. ``done`` is called after each piece.
    """
    for task in tasks:
        recorder = _Recorder(own, step)
        for begin, stop in task.chunks(end, step):
            server = live if task.live else own
            asked = _asked(server, task.expr, begin, stop, step)
            found = _joined([_labelled(task.rule, one) for one in asked])
            if not task.rule.alert:
                recorder.write(found)
            take(task.rule, found)
            done()
        recorder.close(end)


def pieces(tasks: Sequence[Task], end: float, step: float) -> int:
    """How often ``done`` will be called."""
    return sum(1 for task in tasks for _ in task.chunks(end, step))


def _labelled(rule: Rule, series: Series) -> Series:
    own = {k: v for k, v in series.labels.items() if k != _NAME}
    name = {} if rule.alert else {_NAME: rule.name}
    return Series({**own, **rule.labels, **name}, series.points)


def _asked(server: Server, expr: str, start: float, end: float, step: float) -> list[Series]:
    """The answer; in halves where it would be too much at once."""
    try:
        return server.query_range(expr, start, end, step)
    except ConfigError as error:
        if end <= start or not any(sign in str(error) for sign in _TOO_MUCH):
            raise
    middle = start + (end - start) // (2 * step) * step
    found = _asked(server, expr, start, middle, step)
    found += _asked(server, expr, middle + step, end, step)
    return found


def _joined(parts: Sequence[Series]) -> list[Series]:
    """One series for each set of labels: `a or b` yields two, told apart by a name that is lost."""
    points: dict[Labels, list[tuple[float, float]]] = {}
    for part in parts:
        points.setdefault(frozenset(part.labels.items()), []).extend(part.points)
    return [Series(dict(labels), tuple(sorted(found))) for labels, found in points.items()]


class _Recorder:
    """Writes the series of one rule, and marks where one of them ends."""

    def __init__(self, own: Store, step: float) -> None:
        self._own = own
        self._step = step
        self._open: dict[Labels, float] = {}

    def write(self, found: Sequence[Series]) -> None:
        """What comes next in time."""
        self._send([(one.labels, self._points(one)) for one in found])

    def close(self, end: float) -> None:
        """The end of the time: what does not reach it has ended before."""
        ends = {key: last + self._step for key, last in self._open.items()}
        self._send([(dict(key), [(at, None)]) for key, at in ends.items() if at <= end])

    def _points(self, series: Series) -> list[tuple[float, float | None]]:
        found: list[tuple[float, float | None]] = []
        key = frozenset(series.labels.items())
        last = self._open.get(key)
        for at, value in series.points:
            if last is not None and at > last + self._step:
                found.append((last + self._step, None))
            found.append((at, value))
            last = self._open[key] = at
        return found

    def _send(self, series: list[tuple[Mapping[str, str], remote_write.Points]]) -> None:
        if series:
            self._own.write(remote_write.request(series))
