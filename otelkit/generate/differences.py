"""How one objective changes for those who answer for it: sentences without a subject."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from otelkit import names, slo
from otelkit.generate import risk
from otelkit.generate.waits import allowances, calendar
from otelkit.model import (
    AlertPolicy,
    Availability,
    BudgetObjective,
    BudgetShare,
    Clock,
    Latency,
    NewBreaches,
    Objective,
    Query,
    QueueLimit,
    Selectors,
    Service,
)

_VERBS: Final = {names.SEVERITY_PAGE: "pages", names.SEVERITY_TICKET: "opens a ticket"}
_PAGES: Final = re.compile("^(also |no longer |never )?pages(?= )")
_FORECAST: Final = (names.ALERT_ERROR_BUDGET_BURN,)
"""Alerts whose minutes say more than their threshold does."""


def differences(old: Objective, new: Objective, page_as: str = names.SEVERITY_PAGE) -> list[str]:
    """What changes from one objective to another of the same name; its owner is not looked at.

    ``page_as`` is what its pages are.
    """
    if type(old) is not type(new):
        return [f"measures {_kind(new)} instead of {_kind(old)}"]
    found = (*_found(old, new), *_minutes(old, new, page_as), *_unnamed(old, new))
    return list(dict.fromkeys(_PAGES.sub(rf"\1{_VERBS[page_as]}", text) for text in found))


def _found(old: Any, new: Any) -> Iterator[str]:
    for kinds, look in _LOOKS:
        if isinstance(old, kinds):
            yield from look(old, new)


def _unnamed(old: Objective, new: Objective) -> Iterator[str]:
    """No change goes unsaid for want of words."""
    for field in fields(old):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _IN_WORDS and was != now:
            yield f"has {field.name} {now} instead of {was}"


def introduced(objective: Objective, severity: Callable[[str], str]) -> str:
    """What a new objective does at a full outage."""
    alerts = slo.expected(objective, slo.ASSUMED_EVENTS)
    said = dict.fromkeys(
        f"{_VERBS[severity(one.severity)]} after {slo.spoken(one.forecast.full_outage)}"
        for one in alerts
        if one.forecast.full_outage is not None
    )
    return "a new objective: at a full outage it " + " and ".join(said)


def _kind(objective: Objective) -> str:
    words = {"QueueLimit": "dead letters", "Selectors": "counters", "Clock": "orders"}
    name = type(objective).__name__
    return words.get(name, name.lower())


# --- budgets -------------------------------------------------------------------------------


def _budget(old: BudgetObjective, new: BudgetObjective) -> Iterator[str]:
    if old.target != new.target:
        yield f"{slo.percent(new.target)} has to be good instead of {slo.percent(old.target)}"
    if old.window != new.window:
        yield f"its budget is for {_period(new)} instead of {_period(old)}"
    yield from _policy(old.policy, new.policy)
    if old.by != new.by:
        yield f"has a budget for {_each(new.by)} instead of {_each(old.by)}"
    for gone in (one for one in old.exclude if one not in new.exclude):
        yield f"no longer leaves out {gone.start:%Y-%m-%d %H:%M} ({gone.reason})"
    for one in (one for one in new.exclude if one not in old.exclude):
        yield (
            f"leaves out {one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M %Z} ({one.reason})"
        )
    yield from calendar("counts only while open", old.during, new.during)


def _period(objective: BudgetObjective) -> str:
    window = objective.window
    return f"a {window.calendar}" if window.calendar else slo.promql_duration(window.length)


def _each(labels: tuple[str, ...]) -> str:
    return f"each {', '.join(labels)}" if labels else "all events together"


def _policy(old: AlertPolicy, new: AlertPolicy) -> Iterator[str]:
    pairs = ((names.SEVERITY_PAGE, old.page, new.page),
             (names.SEVERITY_TICKET, old.ticket, new.ticket))  # fmt: skip
    for severity, before, after in pairs:
        if set(before) == set(after):
            continue
        if not after:
            yield f"no longer {_VERBS[severity]} on a burn"
        elif not before:
            yield f"also {_VERBS[severity]} on a burn of {_shares(after)}"
        else:
            yield f"{_VERBS[severity]} on a burn of {_shares(after)} instead of {_shares(before)}"
    if old.min_bad_events != new.min_bad_events:
        yield f"takes {new.min_bad_events} bad events to alert instead of {old.min_bad_events}"


def _shares(shares: tuple[BudgetShare, ...]) -> str:
    return " or ".join(
        f"{slo.percent(one.share)} in {slo.promql_duration(one.within)}" for one in shares
    )


def _minutes(old: Objective, new: Objective, page_as: str) -> Iterator[str]:
    before, after = _forecasts(old, page_as), _forecasts(new, page_as)
    for severity in (s for s in before if s in after):
        for at, was in before[severity].items():
            now = after[severity].get(at, was)
            if now != was:
                yield _changed(severity, at, was, now)


def _changed(severity: str, at: str, was: int | None, now: int | None) -> str:
    verb = _VERBS[severity]
    if now is None:
        return f"never {verb} {at}, before after {slo.spoken(was)}"
    if was is None:
        return f"{verb} after {slo.spoken(now)} {at}, before never"
    return f"{verb} after {slo.spoken(now)} instead of {slo.spoken(was)} {at}"


def _forecasts(objective: Objective, page_as: str) -> dict[str, dict[str, int | None]]:
    found = {}
    for one in slo.expected(objective, slo.ASSUMED_EVENTS, page_as):
        if one.alert in _FORECAST:
            at = {"at a full outage": one.forecast.full_outage}
            at |= {f"at a burn of {b}": minute for b, minute in one.forecast.at_burn.items()}
            found[one.severity] = at
    return found


# --- what is measured ----------------------------------------------------------------------


def _service(old: Availability | Latency, new: Availability | Latency) -> Iterator[str]:
    said = [_series(one.service) for one in (new, old)]
    if said[0] != said[1]:
        yield f"measures {said[0]} instead of {said[1]}"


def _series(service: Service) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in service.match.items())
    metric = f"{service.http.duration} by {service.http.status}" if service.foreign else "requests"
    return f"{metric} of {labels}"


def _latency(old: Latency, new: Latency) -> Iterator[str]:
    if old.below != new.below:
        yield f"answers may take {_seconds(new.below)} instead of {_seconds(old.below)}"


def _seconds(seconds: Decimal) -> str:
    return f"{slo.plain(seconds * 1000)}ms" if seconds < 1 else f"{slo.plain(seconds)}s"


def _selectors(old: Selectors, new: Selectors) -> Iterator[str]:
    for kind in ("good", "bad", "total"):
        was, now = getattr(old, kind), getattr(new, kind)
        if was != now:
            yield f"counts {now or 'nothing'} as {kind} instead of {was or 'nothing'}"


def _query(old: Query, new: Query) -> Iterator[str]:
    if old.query != new.query:
        yield f"measures {new.query} instead of {old.query}"


# --- orders and letters --------------------------------------------------------------------


def _clock(old: Clock, new: Clock) -> Iterator[str]:
    yield from allowances(old, new)
    yield from calendar("its clock runs only while open", old.calendar, new.calendar)
    if old.at_risk != new.at_risk:
        yield f"orders are at risk {risk.since(new)} instead of {risk.since(old)}"
    yield from _overdue(old.overdue, new.overdue)
    yield from _statuses(old, new)


def _overdue(old: Mapping[str, NewBreaches], new: Mapping[str, NewBreaches]) -> Iterator[str]:
    for severity, verb in _VERBS.items():
        was, now = old.get(severity), new.get(severity)
        if was != now:
            yield f"{verb} on {_breaches(now)} instead of {_breaches(was)}"


def _breaches(threshold: NewBreaches | None) -> str:
    if threshold is None:
        return "no number of overdue orders"
    return f"{threshold.count} newly overdue in {slo.promql_duration(threshold.within)}"


def _statuses(old: Clock, new: Clock) -> Iterator[str]:
    if old.process.name != new.process.name:
        yield f"watches the process {new.process.name} instead of {old.process.name}"
    for kind in ("stages", "optional", "done", "cancelled", "paused", "tiers"):
        was, now = getattr(old.process, kind), getattr(new.process, kind)
        if was != now:
            said = [", ".join(sorted(v) if kind == "optional" else v) or "none" for v in (now, was)]
            yield f"{new.process.name} has as {kind} {said[0]} instead of {said[1]}"


def _letters(old: QueueLimit, new: QueueLimit) -> Iterator[str]:
    if old.queue.name != new.queue.name:
        yield f"watches {new.queue.name} instead of {old.queue.name}"
    if old.max_messages != new.max_messages:
        yield f"opens a ticket on {_more(new.max_messages)} instead of {_more(old.max_messages)}"
    if old.max_age != new.max_age:
        yield f"pages on {_older(new.max_age)} instead of {_older(old.max_age)}"


def _more(messages: int | None) -> str:
    return "no number of letters" if messages is None else f"more than {messages} letters"


def _older(age: timedelta | None) -> str:
    return "no letter" if age is None else f"a letter older than {slo.promql_duration(age)}"


_LOOKS: Final[tuple[tuple[Any, Callable[[Any, Any], Iterator[str]]], ...]] = (
    ((Availability, Latency), _service),
    (Latency, _latency),
    (Selectors, _selectors),
    (Query, _query),
    (Clock, _clock),
    (BudgetObjective, _budget),
    (QueueLimit, _letters),
)
_IN_WORDS: Final = frozenset({
    "name", "owner", "target", "window", "policy", "by", "exclude", "during", "service", "below",
    "good", "bad", "total", "query", "process", "starts", "stops", "calendar", "within",
    "at_risk", "overdue", "queue", "max_messages", "max_age",
})  # fmt: skip
"""Fields that the functions above look at, or others do."""
