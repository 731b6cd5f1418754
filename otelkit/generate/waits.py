"""How long orders may take, and when time counts at all: what changes of it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from otelkit import slo
from otelkit.model import Allowance, Calendar, Clock, Unit

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def allowances(old: Clock, new: Clock) -> Iterator[str]:
    """Which orders get more or less time, or other terms."""
    if _span(old) != _span(new):
        yield f"its clock runs {_span(new)} instead of {_span(old)}"
    tiers = tuple(dict.fromkeys((*new.process.tiers, *old.process.tiers)))
    others = {tier: _change(old, new, tier, None) for tier in tiers}
    yield from _said(others, "", _span(new))
    named = (a.partner for a in (*old.within, *new.within) if a.partner is not None)
    for partner in dict.fromkeys(named):
        changes = {tier: _change(old, new, tier, partner) for tier in tiers}
        if changes != others:
            yield from _said(changes, f" of {partner}", _span(new))


def _change(old: Clock, new: Clock, tier: str, partner: str | None) -> str | None:
    was, now = old.allowance(tier, partner), new.allowance(tier, partner)
    if (was.amount, was.unit) != (now.amount, now.unit):
        return f"may take {_amount(now)} instead of {_amount(was)}"
    if was.agreement != now.agreement:
        return f"count under {now.agreement} instead of {was.agreement}"
    return None


def _said(changes: dict[str, str | None], whose: str, span: str) -> Iterator[str]:
    """One sentence where all tiers change alike, else one for each tier that does."""
    if len(set(changes.values())) == 1:
        changes = {"": next(iter(changes.values()))}
    for tier, change in changes.items():
        if change is not None:
            of_tier = f" of tier {tier}" if tier else ""
            yield f"orders{whose}{of_tier} {change} {span}"


def _amount(allowance: Allowance) -> str:
    if allowance.unit is Unit.OPEN_DAYS:
        return f"{allowance.amount}bd"
    time = slo.promql_duration(timedelta(seconds=allowance.amount))
    return f"{time} of open hours" if allowance.unit is Unit.OPEN else time


def _span(clock: Clock) -> str:
    return f"in {clock.starts}" if clock.stops is None else f"from {clock.starts} to {clock.stops}"


def calendar(what: str, old: Calendar | None, new: Calendar | None) -> Iterator[str]:
    """``what`` goes by another calendar, or by one that has changed."""
    if old is None or new is None or old.name != new.name:
        if old is not new:
            yield f"{what} by {_name(new)} instead of {_name(old)}"
        return
    if old.timezone != new.timezone:
        yield f"{new.name} is in {new.timezone} instead of {old.timezone}"
    pairs = tuple(zip(new.hours, old.hours, strict=True))
    for now, was in dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]):
        days = [day for day, pair in zip(_DAYS, pairs, strict=True) if pair == (now, was)]
        on = "every day" if len(days) == len(_DAYS) else f"on {', '.join(days)}"
        yield f"{new.name} is open {on} {_open(now)} instead of {_open(was)}"
    if old.holidays != new.holidays:
        said = [f"the holidays of {c.holidays}" if c.holidays else "no holiday" for c in (new, old)]
        yield f"{new.name} keeps {said[0]} instead of {said[1]}"
    for date in sorted(new.closed ^ old.closed):
        yield f"{new.name} is {'closed' if date in new.closed else 'no longer closed'} on {date}"


def _name(found: Calendar | None) -> str:
    return found.name if found else "the clock on the wall"


def _open(hours: tuple[tuple[int, int], ...]) -> str:
    return " and ".join(f"{_time(begin)}-{_time(end)}" for begin, end in hours) or "never"


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
