"""Budgets and burn rates: events divided by events, long windows built from short recordings.

Windows up to six hours are means over the overlapping five-minute recordings, longer ones sums
of hourly recordings. No rule here reads a raw counter, so a month of history costs some hundred
samples an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from otelkit import names, slo
from otelkit.generate import period, text
from otelkit.generate.rule import Recording, keeping, matchers
from otelkit.generate.scope import identity
from otelkit.model import BudgetObjective, Objective, Sla

# Ranges are closed on both sides in Prometheus 2: an hour at one point a minute holds 61 points
# unless it is a second short.
_FROM_5M: Final = {"30m": "29m59s", "1h": "59m59s", "2h": "1h59m59s", "6h": "5h59m59s"}
_FROM_1H: Final = {"1d": "23h59m59s", "3d": "2d23h59m59s"}
_WINDOWS: Final = ("5m", *_FROM_5M, *_FROM_1H)
OUTAGE_WINDOW: Final = "30m"
_MANY: Final = timedelta(days=92)
"""The longest period that is summed hour by hour; a year of them would be 8,784 samples."""


def increase_over(selector_5m: str, window: timedelta) -> str:
    """Events of a window of at most six hours, from a five-minute recording.

    Each event stands in five successive minutes of the recording, hence the division.
    """
    seconds = int(window.total_seconds()) - 1
    return f"sum_over_time({selector_5m}[{seconds}s:1m]) / 5"


def tiers_of(objective: BudgetObjective) -> tuple[slo.Tier, ...]:
    """The alert tiers of an objective, by its policy."""
    return slo.tiers(objective.target, objective.window.length, objective.policy)


def windows_of(objective: BudgetObjective) -> tuple[str, ...]:
    """The windows that are recorded for an objective: those that an alert or the budget reads."""
    tiers = tiers_of(objective)
    used = {"5m", "1h", _step(objective)}
    used |= {window for tier in tiers for window in (tier.long, tier.short, tier.inner)}
    if slo.of_severity(tiers, names.SEVERITY_PAGE):
        used.add(OUTAGE_WINDOW)
    return tuple(window for window in _WINDOWS if window in used)


def _step(objective: BudgetObjective) -> str:
    """The recording of which the period is summed."""
    return "1h" if objective.window.length <= _MANY else "6h"


def recordings(sla: Sla, objective: Objective) -> tuple[Recording, ...]:
    """The target, windows, budget and burn rates of an objective; none where it has no budget."""
    if not isinstance(objective, BudgetObjective):
        return ()
    labels = identity(sla, objective.name)
    own = matchers(labels)
    return (
        _target(objective, labels, own),
        *_increases(objective, labels, own),
        *_budget(objective, labels, own),
        *_burn_rates(objective, labels, own),
    )


def _target(objective: BudgetObjective, labels: dict[str, str], own: str) -> Recording:
    target = slo.plain(objective.target)
    each = f"{target} * {keeping('group', objective.by)}({names.TOTAL}5m{own})"
    return Recording(
        names.TARGET,
        each if objective.by else f"vector({target})",
        labels,
        f"{objective.name}: the share of events that has to be good.",
    )


def _increases(objective: BudgetObjective, labels: dict[str, str], own: str) -> Iterator[Recording]:
    kinds = {names.GOOD: "Good", names.TOTAL: "All", names.BAD: "Bad"}
    for window in windows_of(objective):
        for prefix, word in kinds.items():
            if prefix == names.GOOD and window != "1h":
                continue
            if window in _FROM_5M:
                yield Recording(
                    f"{prefix}{window}",
                    f"sum_over_time({prefix}5m{own}[{_FROM_5M[window]}:1m]) / 5",
                    labels,
                    f"{word} events of the last {window}; each stands in five minutes of the "
                    "5m series.",
                )
            if window in _FROM_1H:
                yield Recording(
                    f"{prefix}{window}",
                    f"sum_over_time({prefix}1h{own}[{_FROM_1H[window]}:1h])",
                    labels,
                    f"{word} events of the last {window}, in whole hours.",
                )


def _budget(objective: BudgetObjective, labels: dict[str, str], own: str) -> Iterator[Recording]:
    step = _step(objective)
    yield Recording(
        f"{names.HISTORY_HOURS}{step}",
        f"count_over_time({names.TOTAL}5m{own}[{_FROM_5M[step]}:1m]) / 60",
        labels,
        f"How much of the last {'hour' if step == '1h' else step} is on record, in hours.",
    )
    if objective.window.calendar is None:
        yield from _rolling(objective, labels, own)
    else:
        yield from period.recordings(objective.window.calendar, labels)
        for prefix in (names.TOTAL, names.BAD):
            yield period.labelled(f"{prefix}1h", labels)
        yield from _by_calendar(objective, objective.window.calendar, labels, own)


def _pace(objective: BudgetObjective, own: str) -> str:
    """Events in an hour: the mean of what is on record. There is no hour on record of no length."""
    step = _step(objective)
    inside = f"{_hours(objective) * 3600 - 1}s:{step}"
    total, history = f"{names.TOTAL}{step}{own}", f"{names.HISTORY_HOURS}{step}{own}"
    return (
        f"  sum_over_time({total}[{inside}])\n"
        f"  / sum_over_time({history}[{inside}])\n"
        f"  or {total} / {history}\n"
    )


def _hours(objective: BudgetObjective) -> int:
    return int(objective.window.length / slo.HOUR)


def _rolling(objective: BudgetObjective, labels: dict[str, str], own: str) -> Iterator[Recording]:
    step, hours = _step(objective), _hours(objective)
    inside = f"{hours * 3600 - 1}s:{step}"
    bad, events = f"{names.BAD}{step}{own}", f"{names.BUDGET_EVENTS}{own}"
    length = slo.promql_duration(objective.window.length)
    lag = "counts whole hours, so it lags by up to one" if step == "1h" else f"lags by up to {step}"
    yield Recording(
        names.BUDGET_EVENTS,
        f"{slo.plain(1 - objective.target)} * {hours} * (\n{_pace(objective, own)})",
        labels,
        f"Bad events that {length} may hold: the pace of the hours on record, projected.",
    )
    yield Recording(
        names.ERROR_BUDGET_REMAINING,
        f"1 - (sum_over_time({bad}[{inside}]) or {bad}) / ({events} > 0)",
        labels,
        f"Share of that budget still unspent; {lag}.\nNo alert reads it.",
    )


def _by_calendar(
    objective: BudgetObjective, calendar: str, labels: dict[str, str], own: str
) -> Iterator[Recording]:
    left, events = f"{names.PERIOD_HOURS_LEFT}{own}", f"{names.BUDGET_EVENTS}{own}"
    total = text.indented(period.so_far(f"{names.TOTAL}1h", calendar, labels), 4)
    bad = text.indented(period.so_far(f"{names.BAD}1h", calendar, labels))
    pace = text.indented(_pace(objective, own).rstrip())
    yield Recording(
        names.BUDGET_EVENTS,
        f"{slo.plain(1 - objective.target)} * (\n"
        f"  (\n    {total}\n  )\n"
        f"  + (\n  {pace}\n  ) * on () group_left () {left}\n)",
        labels,
        f"Bad events that this {calendar} may hold: of what it has had so far, and of what is left "
        "of it\nat the pace of the hours on record.",
    )
    yield Recording(
        names.ERROR_BUDGET_REMAINING,
        f"1 - (\n  {bad}\n) / ({events} > 0)",
        labels,
        f"Share of that budget still unspent in this {calendar}; counts whole hours, so it lags by "
        "up to one.\nNo alert reads it.",
    )


def _burn_rates(
    objective: BudgetObjective, labels: dict[str, str], own: str
) -> tuple[Recording, ...]:
    error = slo.plain(1 - objective.target)
    return tuple(
        Recording(
            names.BURN_RATE,
            f"{names.BAD}{window}{own} / ({names.TOTAL}{window}{own} > 0) / {error}",
            {**labels, "window": window},
            f"Burn rate over {window}: at 1 the budget lasts exactly its period.",
        )
        for window in windows_of(objective)
    )
