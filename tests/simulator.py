"""A service, event by event, and somebody who reads the alerting policy aloud each minute.

It shares nothing with otelkit but the words of the policy, so that an error in the arithmetic of
the package is not repeated here:

- The budget of a period is the share of bad events that the target allows, of the events that a
  period holds at the pace of the hours on record.
- A share of it, spent within a window, alerts; an objective so low that a full outage would not
  spend it within a quarter of the window alerts on what such an outage spends.
- Not on fewer bad events than the policy's least number, not while the window as a whole keeps
  pace with the budget, and only while it still burns: a twelfth of the share within a twelfth of
  the window, or faster than the share's own pace when events were last seen, at most an hour ago.
- Ten bad events (or the policy's least number, if that is more) page in any case when they make up
  more than four fifths of half an hour.

A minute of the record shows the events of its last five minutes. A window of up to six hours is
the mean of these, a longer one the sum of what stood on record at its full hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

PAGE, TICKET = "page", "ticket"
Minute = tuple[int, int]
"""Good and bad events."""


@dataclass(frozen=True)
class Promise:
    """A target over so many days, and the shares of its budget that alert within some hours."""

    target: float
    days: int = 30
    page: tuple[tuple[float, int], ...] = ((0.02, 1), (0.05, 6))
    ticket: tuple[tuple[float, int], ...] = ((0.1, 72),)
    least: int = 2
    slack: float = 0
    """By what share of a limit something has to be above it: a tie is told by rounding alone."""

    @property
    def error(self) -> float:
        """The share of bad events that it allows: 0.2 as people write it, not 1 - 0.8."""
        return round(1 - self.target, 12)


@dataclass(frozen=True)
class Firing:
    """The minutes in which one severity fires, in order; the first minute of events is 1."""

    minutes: tuple[int, ...]

    @property
    def first(self) -> int | None:
        return self.minutes[0] if self.minutes else None

    @property
    def last(self) -> int | None:
        return self.minutes[-1] if self.minutes else None

    @property
    def times(self) -> int:
        """How often it begins."""
        return sum(1 for minute in self.minutes if minute - 1 not in self.minutes)


# Hours of a window: minutes in which it must still burn, minutes that catch a steep burn early.
SHORT = {1: (5, 5), 6: (30, 360), 24: (120, 360), 72: (360, 360)}


class Record:
    """What is on record in a minute of the events until then; nothing is, before minute 1."""

    def __init__(self, minutes: Sequence[Minute]) -> None:
        self.good_and_bad = [(0, 0), *minutes]
        self._bad = self._five([bad for _, bad in self.good_and_bad])
        self._all = self._five([good + bad for good, bad in self.good_and_bad])
        self._sums = {name: [0, *accumulate(s)] for name, s in (("b", self._bad), ("a", self._all))}

    @staticmethod
    def _five(events: list[int]) -> list[int]:
        return [sum(events[max(0, at - 4) : at + 1]) for at in range(len(events))]

    def bad(self, window: int, now: int) -> float:
        return self._seen("b", window, now)

    def all(self, window: int, now: int) -> float:
        return self._seen("a", window, now)

    def _seen(self, name: str, window: int, now: int) -> float:
        if window == 5:
            return (self._bad if name == "b" else self._all)[now]
        if window <= 360:
            sums = self._sums[name]
            return (sums[now + 1] - sums[max(0, now + 1 - window)]) / 5
        return sum(self._seen(name, 60, hour) for hour in self._hours(window, now))

    @staticmethod
    def _hours(window: int, now: int) -> range:
        last = now // 60 * 60
        first = last - 60 * ((window - 1 - (now - last)) // 60)
        return range(max(60, first), last + 1, 60)

    def pace(self, window: int, now: int) -> float:
        """Events an hour, of the hours on record."""
        hours = self._hours(window, now)
        if not hours:
            return self.all(60, now) / min(now / 60, 1)
        on_record = sum(min(hour, 60) / 60 for hour in hours)
        return sum(self.all(60, hour) for hour in hours) / on_record


def firing(promise: Promise, minutes: Sequence[Minute]) -> dict[str, Firing]:
    """When each severity fires."""
    record = Record(minutes)
    shares = {PAGE: promise.page, TICKET: promise.ticket}
    found: dict[str, list[int]] = {PAGE: [], TICKET: []}
    for now in range(1, len(minutes) + 1):
        budget = promise.error * promise.days * 24 * record.pace(promise.days * 1440, now)
        for severity in _alerting(promise, shares, record, budget, now):
            found[severity].append(now)
    return {severity: Firing(tuple(at)) for severity, at in found.items()}


def _alerting(
    promise: Promise,
    shares: dict[str, tuple[tuple[float, int], ...]],
    record: Record,
    budget: float,
    now: int,
) -> Iterator[str]:
    for severity, wanted in shares.items():
        spent = any(_spends(promise, record, budget, now, *share) for share in wanted)
        if spent or (severity == PAGE and wanted and _is_out(promise, record, now)):
            yield severity


def _spends(
    promise: Promise, record: Record, budget: float, now: int, share: float, hours: int
) -> bool:
    error, part = promise.error, hours / (promise.days * 24)
    # People read these two numbers in the rules, so they have six digits.
    share = float(f"{min(share, 0.25 * part / error):.6g}")
    factor = float(f"{max(share / part, 1):.6g}")
    short, inner = SHORT[hours]
    gone = record.bad(hours * 60, now)
    most = max(gone, record.bad(inner, now))
    above = 1 + promise.slack
    if most <= share * budget * above or most < promise.least - 0.5:
        return False
    if gone <= error * record.all(hours * 60, now) * above:
        return False
    return (
        record.bad(short, now) > share / 12 * budget * above
        or _last_burn(record, short, now) > factor * error * above
    )


def _last_burn(record: Record, short: int, now: int) -> float:
    """The share of bad events when any were last seen."""
    for minute in range(now, max(0, now - 60), -1):
        if record.all(short, minute):
            return record.bad(short, minute) / record.all(short, minute)
    return 0


def _is_out(promise: Promise, record: Record, now: int) -> bool:
    bad = record.bad(30, now)
    return bad >= max(10, promise.least) - 0.5 and bad > 0.8 * record.all(30, now) * (
        1 + promise.slack
    )
