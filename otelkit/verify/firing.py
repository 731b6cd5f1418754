"""When alerts fire: from the evaluations that have an answer to the times of firing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from otelkit.verify.prometheus import Series

_SLACK: Final = 1.5
"""Steps between two evaluations that follow one another, with room for rounding."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires from ``since`` on and no longer at ``until``, in Unix seconds.

    ``before`` says that it fired already when the time began, ``still`` that it does at its end:
    these are then the edges of what was asked for.
    """

    alert: str
    labels: Mapping[str, str]
    since: float
    until: float
    before: bool = False
    still: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """One firing by an old SLA file, and by a new one; None where there is none."""

    old: Firing | None
    new: Firing | None


class Active:
    """The evaluations in which an alert's expression had an answer, by its labels."""

    def __init__(self, alert: str, hold: timedelta) -> None:
        self._alert = alert
        self._hold = hold.total_seconds()
        self._times: dict[Labels, list[float]] = {}

    def add(self, found: Sequence[Series]) -> None:
        """What comes next in time."""
        for one in found:
            times = self._times.setdefault(frozenset(one.labels.items()), [])
            times.extend(at for at, _ in one.points)

    def firings(self, start: float, end: float, step: float) -> Iterator[Firing]:
        """Those between ``start`` and ``end``, which are evaluations themselves."""
        for labels, times in self._times.items():
            for first, last in _runs(times, step):
                # Prometheus looks once a step, so a `for:` ends with the look that finds it over.
                since = first + -(-self._hold // step) * step
                if start <= last and since <= last:
                    yield Firing(
                        self._alert,
                        dict(sorted(labels)),
                        max(since, start),
                        min(last + step, end),
                        before=since < start,
                        still=last + step > end,
                    )


def _runs(times: Sequence[float], step: float) -> Iterator[tuple[float, float]]:
    """First and last of each sequence of evaluations without a gap."""
    first = last = None
    for at in times:
        if first is not None and last is not None and at - last > _SLACK * step:
            yield first, last
            first = at
        first, last = at if first is None else first, at
    if first is not None and last is not None:
        yield first, last


def paired(old: Sequence[Firing], new: Sequence[Firing], ignored: Collection[str]) -> list[Pair]:
    """Firings of the same alert that overlap are one; labels in ``ignored`` tell none apart."""
    rest = list(old)
    found = []
    for one in new:
        other = next((o for o in rest if _same(o, one, ignored)), None)
        if other is not None:
            rest.remove(other)
        found.append(Pair(other, one))
    found += [Pair(one, None) for one in rest]
    return sorted(found, key=_order)


def _same(one: Firing, other: Firing, ignored: Collection[str]) -> bool:
    def told(firing: Firing) -> dict[str, str]:
        return {k: v for k, v in firing.labels.items() if k not in ignored}

    overlap = one.since < other.until and other.since < one.until
    return overlap and one.alert == other.alert and told(one) == told(other)


def _order(pair: Pair) -> tuple[float, str, list[tuple[str, str]]]:
    one = pair.new or pair.old
    return (one.since, one.alert, sorted(one.labels.items())) if one else (0.0, "", [])
