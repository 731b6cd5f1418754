"""The status of objectives: one word for each, from what the rules have recorded.

A word answers what a person has to do, which a number alone does not: a budget of 3 % left may
be calm since yesterday, one of 60 % may be burning down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otelkit import names
from otelkit.generate.dashboards.promql import any_of, labelled, select
from otelkit.model import Objective, QueueLimit, Sla

CRITICAL: Final = 3
RECOVERING: Final = 2
AT_RISK: Final = 1
HEALTHY: Final = 0
UNKNOWN: Final = -1

WORDS: Final = {
    CRITICAL: ("Critical", "red"),
    RECOVERING: ("Recovering", "blue"),
    AT_RISK: ("At risk", "orange"),
    HEALTHY: ("Healthy", "green"),
    UNKNOWN: ("No data", "text"),
}
MEANING: Final = (
    "Critical: it pages, or its budget is spent and still burning. "
    "Recovering: the budget is spent but no longer burning, or it paged within the last 6 hours. "
    "At risk: it has a ticket, or less than a quarter of its budget is left. "
    "No data: nothing is being measured, which says nothing good."
)
_LITTLE: Final = "0.25"
_ALERTS: Final = (
    names.ALERT_ERROR_BUDGET_BURN,
    names.ALERT_ORDERS_OVERDUE,
    names.ALERT_ORDERS_AT_RISK,
    names.ALERT_DEAD_LETTERS,
)


def status(sla: Sla, objectives: Sequence[Objective]) -> str:
    """PromQL: the status number of each objective, labelled ``objective``.

    The first line that knows an objective decides. The last knows them all, so that an objective
    without a single series is still shown, and shown as unknown.
    """
    ours = any_of("objective", (objective.name for objective in objectives))
    pages = _alerts(sla, ours, names.SEVERITY_PAGE)
    tickets = _alerts(sla, ours, names.SEVERITY_TICKET)
    left = select(sla, names.ERROR_BUDGET_REMAINING, ours)
    burning = _each(select(sla, names.BURN_RATE, ours, 'window="1h"') + " > 1")
    measured = _measured(sla, objectives, ours)
    paged = f"{_each(f'last_over_time({pages}[6h])')} or {_each(f'{left} <= 0')}"
    warned = f"{_each(tickets)} or {_each(f'{left} < {_LITTLE}')}"
    lines = (
        f"{_each(pages)} * {CRITICAL}",
        f"({_each(f'{left} <= 0')} and {burning}) * 0 + {CRITICAL}",
        f"(({paged}) and {measured}) * 0 + {RECOVERING}",
        f"(({warned}) and {measured}) * 0 + {AT_RISK}",
        f"{measured} * {HEALTHY}",
        *(labelled(f"vector({UNKNOWN})", "objective", o.name) for o in objectives),
    )
    return "\nor ".join(lines)


def _alerts(sla: Sla, ours: str, severity: str) -> str:
    return select(
        sla, "ALERTS", ours, any_of("alertname", _ALERTS), 'alertstate="firing"',
        f'severity="{severity}"',
    )  # fmt: skip


def _each(expr: str) -> str:
    return f"max by (objective) ({expr})"


def _measured(sla: Sla, objectives: Sequence[Objective], ours: str) -> str:
    """The objectives of which something is known now: its events, or the depth of its queue."""
    events = _each(select(sla, f"{names.TOTAL}5m", ours))
    budget = _each(select(sla, names.ERROR_BUDGET_REMAINING, ours))
    queues = [
        labelled(f"max({select(sla, names.DLQ_MESSAGES.name, any_of('queue', [o.queue.name]))})",
                 "objective", o.name)
        for o in objectives
        if isinstance(o, QueueLimit)
    ]  # fmt: skip
    return "(" + " or ".join((f"({events} and {budget})", *queues)) + ")"
