"""Budgets and burn rates: events divided by events, long windows built from short recordings.

Windows up to six hours are means over the overlapping five-minute recordings, longer ones sums
of hourly recordings. No rule here reads a raw counter, so a month of history costs some hundred
samples an evaluation.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from otelkit import names, slo
from otelkit.generate.rule import Recording, matchers
from otelkit.generate.sli import identity
from otelkit.model import BudgetObjective, Objective, Sla

# Ranges are closed on both sides in Prometheus 2: an hour at one point a minute holds 61 points
# unless it is a second short.
_FROM_5M: Final = {"30m": "29m59s", "1h": "59m59s", "6h": "5h59m59s"}
_FROM_1H: Final = {"3d": "2d23h59m59s"}
BURN_WINDOWS: Final = ("5m", *_FROM_5M, *_FROM_1H)
"""Windows for which the burn rate is recorded."""


def increase_over(selector_5m: str, window: timedelta) -> str:
    """Events of a window of at most six hours, from a five-minute recording.

    Each event stands in five successive minutes of the recording, hence the division.
    """
    seconds = int(window.total_seconds()) - 1
    return f"sum_over_time({selector_5m}[{seconds}s:1m]) / 5"


def recordings(sla: Sla, objective: Objective) -> tuple[Recording, ...]:
    """The target, windows, budget and burn rates of an objective; none where it has no budget."""
    if not isinstance(objective, BudgetObjective):
        return ()
    labels = identity(sla, objective.name)
    own = matchers(labels)
    return (
        Recording(
            names.TARGET,
            f"vector({slo.plain(objective.target)})",
            labels,
            f"{objective.name}: the share of events that has to be good.",
        ),
        *_increases(labels, own),
        *_budget(objective, labels, own),
        *_burn_rates(objective, labels, own),
    )


def _increases(labels: dict[str, str], own: str) -> list[Recording]:
    kinds = {names.GOOD: "good", names.TOTAL: "all", names.BAD: "bad"}
    rules = [
        Recording(
            f"{prefix}{window}",
            f"sum_over_time({prefix}5m{own}[{inside}:1m]) / 5",
            labels,
            f"{word.capitalize()} events of the last {window}; each stands in five minutes of the "
            "5m series.",
        )
        for window, inside in _FROM_5M.items()
        for prefix, word in kinds.items()
        if prefix != names.GOOD or window == "1h"
    ]
    rules += [
        Recording(
            f"{prefix}{window}",
            f"sum_over_time({prefix}1h{own}[{inside}:1h])",
            labels,
            f"{kinds[prefix].capitalize()} events of the last {window}, in whole hours.",
        )
        for window, inside in _FROM_1H.items()
        for prefix in (names.TOTAL, names.BAD)
    ]
    return rules


def _budget(objective: BudgetObjective, labels: dict[str, str], own: str) -> tuple[Recording, ...]:
    hours = int(objective.window.length / slo.HOUR)
    inside = f"{hours * 3600 - 1}s:1h"
    total, bad = f"{names.TOTAL}1h{own}", f"{names.BAD}1h{own}"
    history = f"{names.HISTORY_HOURS}1h"
    error = slo.plain(1 - objective.target)
    period = slo.promql_duration(objective.window.length)
    events, remaining = f"{names.BUDGET_EVENTS}{own}", names.ERROR_BUDGET_REMAINING
    return (
        Recording(
            history,
            f"count_over_time({names.TOTAL}5m{own}[59m59s:1m]) / 60",
            labels,
            "How much of the last hour is on record, in hours.",
        ),
        Recording(
            names.BUDGET_EVENTS,
            f"{error} * {hours} * (\n"
            f"  sum_over_time({total}[{inside}])\n"
            f"  / (sum_over_time({history}{own}[{inside}]) > 0)\n"
            f"  or {total} / ({history}{own} > 0)\n"
            ")",
            labels,
            f"Bad events that {period} may hold: the pace of the hours on record, projected.",
        ),
        Recording(
            remaining,
            f"1 - (sum_over_time({bad}[{inside}]) or {bad}) / ({events} > 0)",
            labels,
            "Share of that budget still unspent; counts whole hours, so it lags by up to one.\n"
            "No alert reads it.",
        ),
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
        for window in BURN_WINDOWS
    )
