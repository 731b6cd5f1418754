"""Whether a Prometheus has what rules read: the strongest guard against alerts that never come."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Final, Protocol

from otelkit.verify import promql
from otelkit.verify.prometheus import Sample

_SHOWN: Final = 5
"""Of values that there are instead, so many are named."""
_SAMPLES: Final = 9
"""In ten minutes there are ten at the longest scrape interval that `increase` stands, one lost."""
_FALLS: Final = 5
"""A process that restarts more often within an hour has other troubles."""
_SUFFIXES: Final = ("", "_total", "_count", "_bucket", "_sum")
"""What a series' name may have after that of its metric."""


class Level(StrEnum):
    """Whether rules cannot work, or may work otherwise than meant."""

    MISSING = "missing"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Reading:
    """A selector that rules read. ``total`` are those that hold all events of the objective.

    ``bad`` may be without series as long as nothing has failed; ``by`` are the labels that its
    series are told apart by. ``objective`` is empty for what watches the collector.
    """

    environment: str
    objective: str
    selector: promql.Read
    counter: bool = False
    total: bool = False
    bad: bool = False
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the series of a selector, and what to do next."""

    level: Level
    reading: Reading
    found: str
    advice: str


class Server(Protocol):
    """As much of a Prometheus as is asked here."""

    def query(self, expr: str) -> list[Sample]:
        """An expression, now."""

    def kinds(self) -> dict[str, set[str]]:
        """What targets say that each metric is."""

    def names(self) -> list[str]:
        """The names of all series."""


class Live:
    """A Prometheus and what it says of readings. Nothing is asked of it twice."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._value = cache(self._asked)

    def findings(self, reading: Reading) -> Iterator[Finding]:
        """What is wrong with one reading."""
        if not self._count(reading.selector.text):
            yield self._absent(reading)
            return
        yield from self._labels(reading)
        if reading.counter:
            yield from self._kind(reading)
            yield from self._falls(reading)
            yield from self._interval(reading)

    def traffic(self, totals: Sequence[Reading]) -> Iterator[Finding]:
        """Whether the readings that hold all events of an objective have counted any lately."""
        there = [one.selector.text for one in totals if self._count(one.selector.text)]
        if there and not sum(self._value(f"sum(increase({one}[1h]))") for one in there):
            yield Finding(
                Level.DOUBTFUL,
                totals[0],
                "no event within the last hour",
                "if there should have been some, is this the counter that is meant?",
            )

    # --- questions -------------------------------------------------------------------------

    def _asked(self, expr: str) -> float:
        """The value of an expression that yields one series at most; 0 where it yields none."""
        found = self._server.query(expr)
        return found[0].value if found else 0.0

    def _count(self, selector: str) -> int:
        return int(self._value(f"count({selector})"))

    def _values(self, selector: str, label: str) -> list[str]:
        found = self._server.query(f"count by ({label}) ({selector})")
        return sorted({sample.labels.get(label, "") for sample in found} - {""})

    @cached_property
    def _kinds(self) -> dict[str, set[str]]:
        return self._server.kinds()

    @cached_property
    def _names(self) -> list[str]:
        return self._server.names()

    # --- no series -------------------------------------------------------------------------

    def _absent(self, reading: Reading) -> Finding:
        text, name = reading.selector.text, reading.selector.selector.name or ""
        if self._count(f"last_over_time({text}[1h])"):
            return _missing(
                reading, "it had series within the last hour, but has none now", "is its target up?"
            )
        if name and not self._count(name):
            near = difflib.get_close_matches(name, self._names, _SHOWN, 0.8)
            advice = f"is it {_listed(near, 'or')}?" if near else "is its target scraped?"
            return _missing(reading, f"no series is called {name}", advice)
        for at, matcher in enumerate(reading.selector.selector.matchers.matchers):
            rest = _selector(name, reading.selector.matchers(without=at))
            if self._count(rest):
                return self._unmatched(reading, matcher.name, matcher.value, rest)
        return _missing(
            reading,
            f"there are series called {name}, but none that several of its labels fit",
            "compare the labels with those of the series there",
        )

    def _unmatched(self, reading: Reading, label: str, value: str, rest: str) -> Finding:
        values = self._values(rest, label)
        if not values:
            return self._unlabelled(reading, label, rest)
        if label == "le" and (bound := _bound(value)) is not None:
            return _missing(reading, *_buckets(bound, values))
        found = f"its series have the {label} {_listed(values)}, none that fits {value!r}"
        if reading.bad and label not in ("job", "instance"):
            advice = "that is right as long as nothing has failed; else correct the value"
            return Finding(Level.DOUBTFUL, reading, found, advice)
        return _missing(reading, found, "correct the SLA file, or the labels of the target")

    def _unlabelled(self, reading: Reading, label: str, series: str) -> Finding:
        labels = {name for one in self._server.query(f"topk(1, {series})") for name in one.labels}
        return _missing(
            reading,
            f"its series have no label {label}",
            f"name one that they have: {_listed(sorted(labels - {'__name__'}), 'or')}",
        )

    # --- series that are not what they should be -------------------------------------------

    def _labels(self, reading: Reading) -> Iterator[Finding]:
        import promql_parser as p

        matchers = list(enumerate(reading.selector.selector.matchers.matchers))
        negative = {
            m.name: at for at, m in matchers if m.op in (p.MatchOp.NotEqual, p.MatchOp.NotRe)
        }
        for label in dict.fromkeys((*negative, *reading.by)):
            yield from self._lacking(reading, label, negative.get(label))

    def _lacking(self, reading: Reading, label: str, matcher: int | None) -> Iterator[Finding]:
        """A matcher of what a label must not be is true of series that do not have it at all."""
        name, matchers = reading.selector.selector.name or "", reading.selector.matchers(matcher)
        every = self._count(_selector(name, matchers))
        lacking = self._count(_selector(name, [*matchers, f'{label}=""']))
        if lacking == every:
            yield self._unlabelled(reading, label, _selector(name, matchers))
        elif lacking:
            yield Finding(
                Level.DOUBTFUL,
                reading,
                f"{lacking} of its {every} series have no label {label}",
                "are they meant as well?",
            )

    def _kind(self, reading: Reading) -> Iterator[Finding]:
        name = reading.selector.selector.name or ""
        known = (name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix))
        kinds = set().union(*(self._kinds.get(one, set()) for one in known))
        if kinds & {"gauge", "info", "stateset"} and not kinds & {
            "counter",
            "histogram",
            "summary",
        }:
            yield _missing(
                reading,
                f"its target says that it is a {_listed(sorted(kinds), 'or')}, no counter",
                "name a counter of the same events, or write a `query:`",
            )

    def _falls(self, reading: Reading) -> Iterator[Finding]:
        text = reading.selector.text
        falls = int(self._value(f"max({self._resets(text, '1h')})"))
        if falls >= _FALLS:
            yield Finding(
                Level.DOUBTFUL,
                reading,
                f"one of its series has fallen {falls} times within the last hour",
                "a counter falls only when its process restarts: is it a gauge, or do several "
                "processes write one series?",
            )
        restarts = "(changes(process_start_time_seconds[1d]) > 0)"
        started = f"count({text} offset 1d and on (job, instance) {restarts})"
        if self._value(started) and not self._value(f"sum({self._resets(text, '1d')})"):
            yield Finding(
                Level.DOUBTFUL,
                reading,
                "it has not begun at 0 again, though its process has restarted within a day",
                "is it a counter, and does it count events since the process began?",
            )

    def _resets(self, text: str, span: str) -> str:
        """Prometheus 2 sees no resets of a native histogram, but those of its count."""
        count = f"histogram_count({text})"
        return f"resets({count}[{span}:1m])" if self._count(count) else f"resets({text}[{span}])"

    def _interval(self, reading: Reading) -> Iterator[Finding]:
        text = reading.selector.text
        samples = self._value(f"max(count_over_time({text}[10m]) and {text} offset 10m)")
        if 0 < samples < _SAMPLES:
            yield Finding(
                Level.DOUBTFUL,
                reading,
                f"it is scraped about every {600 / samples:.0f} s",
                "scrape it every minute at least: over five minutes, `increase` counts too little",
            )


def findings(server: Server, readings: Iterable[Reading]) -> Iterator[list[Finding]]:
    """What is wrong, reading by reading, and last with the traffic of each objective."""
    live, totals = Live(server), dict[tuple[str, str], list[Reading]]()
    for reading in readings:
        if reading.total:
            totals.setdefault((reading.environment, reading.objective), []).append(reading)
        yield list(live.findings(reading))
    yield [finding for group in totals.values() for finding in live.traffic(group)]


def _missing(reading: Reading, found: str, advice: str) -> Finding:
    return Finding(Level.MISSING, reading, found, advice)


def _bound(text: str) -> float | None:
    """The bound that a matcher of ``le`` means, which may spell it in two ways."""
    try:
        return float(text.partition("|")[0])
    except ValueError:
        return None


def _buckets(bound: float, values: Iterable[str]) -> tuple[str, str]:
    """A threshold that is no bucket bound, and the bounds beside it."""
    known = sorted(found for value in values if (found := _bound(value)) is not None)
    near = [one for one in known if one < bound][-1:]
    near += [one for one in known if bound < one < math.inf][:1]
    beside = _listed([f"{one:g} s" for one in near], "or") or "none"
    return (
        f"it has no bucket that ends at {bound:g} s",
        f"take a neighbour that it has ({beside}), or give it that bucket",
    )


def _selector(name: str, matchers: Sequence[str]) -> str:
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def _listed(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``; of many only the first."""
    shown = list(words[:_SHOWN])
    if len(words) > _SHOWN:
        return f"{', '.join(shown)} and {len(words) - _SHOWN} more"
    return f" {last} ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
