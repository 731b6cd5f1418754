"""The events of an objective: which series hold its good or bad ones, and all of them.

The three recordings made here (good, total and bad events of the last five minutes) are all
that the rest of the rules knows of an objective: environments, excluded time and business hours
end here. They stand in a rule file of their own, so that a proof can put series in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otelkit import names, slo
from otelkit.generate import text
from otelkit.generate.rule import Group, Recording, joined_on, keeping, matchers
from otelkit.generate.scope import collected, group_name, identity, match_of
from otelkit.model import (
    Availability,
    BudgetObjective,
    Clock,
    Exclusion,
    Latency,
    Query,
    Selectors,
    Sla,
)
from otelkit.spec.narrowing import narrow

_SPAN: Final = 300
"""Seconds over which a recording counts."""


@dataclass(frozen=True, slots=True)
class Counters:
    """PromQL selectors of two counters; the third is None and follows from them.

    ``sudden`` tells whether a series may first appear with the very event that it counts. Such an
    event is no increase to Prometheus, so it has to be counted apart.
    """

    good: str | None
    bad: str | None
    total: str | None
    sudden: bool = True


@dataclass(frozen=True, slots=True)
class _Events:
    """PromQL of the events of five minutes: all of them, and ``part``, the good or the bad."""

    total: str
    part: str
    counts: str
    """What ``part`` counts: the name of a recording."""
    note: str = ""


def counters(sla: Sla, objective: BudgetObjective) -> Counters:
    """The counters of an objective, by its kind, in the environment of the SLA."""
    match = match_of(sla)
    if isinstance(objective, Availability):
        return _availability(objective, match)
    if isinstance(objective, Latency):
        return _latency(objective, match)
    if isinstance(objective, Selectors):
        three = (objective.good, objective.bad, objective.total)
        good, bad, total = (one and narrow(one, match) for one in three)
        return Counters(good, bad, total)
    if isinstance(objective, Clock):
        return _clock(sla, objective)
    raise AssertionError(f"{type(objective).__name__} has no counters")


def _availability(objective: Availability, match: Mapping[str, str]) -> Counters:
    http = objective.service.http
    own = {**objective.service.match, **match}
    count = f"{http.duration}_count"
    return Counters(
        good=count + _with(own, f'{http.status}!~"5.."'), bad=None, total=count + matchers(own)
    )


def _latency(objective: Latency, match: Mapping[str, str]) -> Counters:
    name = objective.service.http.duration
    own = {**objective.service.match, **match}
    return Counters(
        good=f"{name}_bucket{_with(own, _le(objective.below))}",
        bad=None,
        total=f"{name}_count{matchers(own)}",
    )


def _le(bound: Decimal) -> str:
    """A matcher for a bucket bound: one second is ``1`` to some clients and ``1.0`` to others."""
    plain = slo.plain(bound)
    return f'le="{plain}"' if "." in plain else f'le=~"{plain}|{plain}[.]0"'


def _clock(sla: Sla, objective: Clock) -> Counters:
    own = {**collected(sla), "objective": objective.name}
    name = names.ORDER_CLOCKS.name
    met, breached = names.OUTCOME_MET, names.OUTCOME_BREACHED
    return Counters(
        good=name + _with(own, f'outcome="{met}"'),
        bad=None,
        total=name + _with(own, f'outcome=~"{met}|{breached}"'),
        sudden=False,  # the collector exposes every combination from its start
    )


def _with(labels: Mapping[str, str], matcher: str) -> str:
    pairs = [f"{name}={text.quoted(value)}" for name, value in labels.items()]
    return "{" + ",".join([*pairs, matcher]) + "}"


# --- recordings ----------------------------------------------------------------------------


def group(sla: Sla) -> Group:
    """The recordings of all objectives that have a budget."""
    rules = tuple(rule for objective in sla.budgets for rule in _recordings(sla, objective))
    return Group(group_name(sla, "sli"), rules)


def _recordings(sla: Sla, objective: BudgetObjective) -> tuple[Recording, ...]:
    found, mask = _events(sla, objective), "".join(_masks(sla, objective))
    labels = identity(sla, objective.name)
    own, join = matchers(labels), joined_on(objective.by)
    total, good, bad = (f"{prefix}5m" for prefix in (names.TOTAL, names.GOOD, names.BAD))
    part, rest = (good, bad) if found.counts == names.GOOD else (bad, good)
    said = {
        good: "The good ones among them; zero, not absent, when none was good.",
        bad: "The bad ones among them; zero, not absent, when none was bad.",
    }
    follows = {
        good: "The good ones. Clamped, because increase() rounds the two apart.",
        bad: "The bad ones. Clamped, because increase() rounds the two apart.",
    }
    return (
        Recording(total, found.total + mask, labels, "\n".join(_comment(objective, found))),
        Recording(
            part,
            f"{found.part}{mask}\nor {join} 0 * {total}{own}",
            labels,
            said[part],
        ),
        Recording(rest, f"clamp_min({total}{own} - {part}{own}, 0)", labels, follows[rest]),
    )


def _comment(objective: BudgetObjective, found: _Events) -> Iterator[str]:
    each = f", each {', '.join(objective.by)} by itself" if objective.by else ""
    yield f"{objective.name}: all events of the last 5 minutes{each}."
    if found.note:
        yield found.note
    for one in objective.exclude:
        reason = text.printable(one.reason)
        yield f"None counts from {one.start.isoformat()} to {one.end.isoformat()}: {reason}."
    if objective.during:
        yield f"Only while the calendar {objective.during.name} is open; else they are zero."


def _masks(sla: Sla, objective: BudgetObjective) -> Iterator[str]:
    """Factors of 1 or 0. Zero, not absent: time without events is still on record."""
    if objective.during:
        own = matchers({**collected(sla), "calendar": objective.during.name})
        # Open all the while, so that no event from before the opening is among the five minutes.
        shut = f"max(min_over_time({names.CALENDAR_OPEN.name}{own}[5m]))"
        yield f"\n* on () group_left () {shut}"
    for one in objective.exclude:
        yield f"\n* {_outside(one)}"


def _outside(one: Exclusion) -> str:
    """1 before the time and from five minutes after it, when no event of it is left."""
    start, end = (int(moment.timestamp()) for moment in (one.start, one.end))
    return f"((time() < bool {start}) + (time() >= bool {end + _SPAN}))"


# --- events of five minutes ----------------------------------------------------------------


def _events(sla: Sla, objective: BudgetObjective) -> _Events:
    if isinstance(objective, Query):
        return _checked(sla, objective)
    if isinstance(objective, Latency) and objective.native:
        return _native(sla, objective)
    return _counted(counters(sla, objective), objective.by)


def _counted(found: Counters, by: tuple[str, ...]) -> _Events:
    part = found.good or found.bad
    if part is None:
        raise AssertionError("two of the three counters are known")
    total = [found.total] if found.total else [one for one in (found.good, found.bad) if one]
    return _Events(
        _sum(by, total, total, found.sudden),
        _sum(by, [part], total, found.sudden),
        names.GOOD if found.good else names.BAD,
    )


def _sum(by: tuple[str, ...], counted: list[str], total: list[str], sudden: bool) -> str:
    """Increases of the counters, and one event for each series that was born with it.

    That is counted where its process was scraped already. The labels ``born`` and ``part`` keep
    series apart that differ in nothing else.
    """
    lines = []
    known = " or ".join(f"{one} offset 5m" for one in total)
    known = f"({known})" if len(total) > 1 else known
    for number, one in enumerate(counted):
        terms = [f"increase({one}[5m])"]
        if sudden:
            born = (
                f"{one} > bool 0\n"
                f"      unless {one} offset 5m\n"
                f"      and on (job, instance) {known}"
            )
            terms.append(f'label_replace(\n    {born},\n    "born", "1", "", ""\n  )')
        if number:
            terms = [f'label_replace({term}, "part", "{number}", "", "")' for term in terms]
        lines += terms
    return f"{keeping('sum', by)}(\n  " + "\n  or ".join(lines) + "\n)"


def _checked(sla: Sla, objective: Query) -> _Events:
    """One event is one minute in which the query had an answer; no share of nothing is one."""
    query = text.indented(narrow(objective.query, match_of(sla)))
    share = f"clamp({keeping('avg', objective.by)}(\n  {query}\n), 0, 1) >= 0"
    return _Events(
        f"count_over_time((\n  {text.indented(share)}\n)[4m59s:1m])",
        f"sum_over_time((\n  {text.indented(share)}\n)[4m59s:1m])",
        names.GOOD,
        "One event is one minute checked. No proof covers the query itself, only what follows.",
    )


def _native(sla: Sla, objective: Latency) -> _Events:
    own = matchers({**objective.service.match, **match_of(sla)})
    durations = (
        f"{keeping('sum', objective.by)}(increase({objective.service.http.duration}{own}[5m]))"
    )
    below = slo.plain(objective.below)
    return _Events(
        f"histogram_count({durations})",
        f"(histogram_fraction(0, {below}, {durations}) * histogram_count({durations}) >= 0)",
        names.GOOD,
        "A native histogram, which promtool 2.42 cannot write down: this step is unproven.",
    )
