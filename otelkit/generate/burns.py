"""Proofs of budgets: which burn pages, which opens a ticket, and which alarms nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final

from otelkit import names
from otelkit.generate.alerts import labels_of
from otelkit.generate.proof import Series, Test, fires, silent
from otelkit.generate.scope import identity
from otelkit.model import BudgetObjective, Objective, Sla

_RATE: Final = 3000
"""Events in five minutes; enough that no gate on few events stands in the way."""
_HEALTHY: Final = 120
"""Minutes of good traffic before something happens: two whole hours on record."""
_PAGE_WITHIN: Final = 20
"""Minutes: a quarter of the first page's hour, and the five that a recording holds."""
_RESET_WITHIN: Final = 65
"""Minutes after recovery. The longest short window of a page is half an hour, and the last known
burn rate counts for one hour where no traffic follows."""
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)


def tests(sla: Sla, objective: BudgetObjective) -> Iterator[Test]:
    """The tests of one objective's burn alerts."""
    yield _outage_pages(sla, objective)
    yield _quiet_outage_pages(sla, objective)
    yield _share_pages(sla, objective)
    yield _long_outage_tickets(sla, objective)
    yield _one_failure_is_silent(sla, objective)


def _recorded(
    sla: Sla, objective: Objective, bad: str, total: str, good: str
) -> tuple[Series, ...]:
    labels = identity(sla, objective.name)
    return (
        Series(f"{names.BAD}5m", labels, bad),
        Series(f"{names.TOTAL}5m", labels, total),
        Series(f"{names.GOOD}5m", labels, good),
    )


def _outage(sla: Sla, objective: Objective, minutes: int, after: int) -> tuple[Series, ...]:
    """Healthy for two hours, then nothing but failures, then healthy again."""
    up, down, again = _HEALTHY, minutes - 1, after
    return _recorded(
        sla,
        objective,
        bad=f"0x{up} {_RATE}x{down} 0x{again}",
        total=f"{_RATE}x{up} {_RATE}x{down} {_RATE}x{again}",
        good=f"{_RATE}x{up} 0x{down} {_RATE}x{again}",
    )


def _outage_pages(sla: Sla, objective: BudgetObjective) -> Test:
    labels = labels_of(sla, objective, names.SEVERITY_PAGE)
    alert, lasts = names.ALERT_ERROR_BUDGET_BURN, 30
    return Test(
        f"{objective.name}: an outage of {lasts} minutes pages, and the page ends",
        _outage(sla, objective, lasts, _RESET_WITHIN + 5),
        (
            silent(alert, labels, _HEALTHY),
            fires(alert, labels, _HEALTHY + _PAGE_WITHIN),
            fires(alert, labels, _HEALTHY + lasts),
            silent(alert, labels, _HEALTHY + lasts + _RESET_WITHIN),
        ),
    )


def _quiet_outage_pages(sla: Sla, objective: BudgetObjective) -> Test:
    """At night nothing works; that few events are a small share of the budget hides it not."""
    labels, alert = labels_of(sla, objective, names.SEVERITY_PAGE), names.ALERT_ERROR_BUDGET_BURN
    day, night, after = _HEALTHY, _RATE // 300, 40  # half an hour of night, and a recording's five
    return Test(
        f"{objective.name}: an outage at a quiet hour pages",
        _recorded(
            sla,
            objective,
            bad=f"0x{day} {night}x{after}",
            total=f"{_RATE}x{day} {night}x{after}",
            good=f"{_RATE}x{day} 0x{after}",
        ),
        (silent(alert, labels, day), fires(alert, labels, day + after)),
    )


def _share_pages(sla: Sla, objective: BudgetObjective) -> Test:
    """A fiftieth of the budget within an hour pages, and a twentieth part less does not.

    A low objective pages on what a full outage of a quarter of an hour spends, if that is less.
    At most 60 % of the events are bad meanwhile, so no clause about outages has a part in it.
    """
    budget = (1 - objective.target) * Decimal(objective.window.length / _HOUR)
    spent = min(budget / 50, Decimal("0.25")) * 12
    rate = max(_RATE, int(100 / spent))  # a high objective's share has to be more than two events
    enough = spent * rate
    lasts = 5 * max(1, int((enough * 2 / rate).to_integral_value(ROUND_CEILING)))
    few, many = (f"{enough * 5 / lasts * part:.4f}" for part in (Decimal("0.95"), Decimal("1.05")))
    apart = 75  # the few have left the hour when the many come
    end_few = _HEALTHY + lasts
    end_many = end_few + apart + lasts
    bad = f"0x{_HEALTHY} {few}x{lasts - 1} 0x{apart - 1} {many}x{lasts - 1} 0x5"
    minutes = end_many + 5
    labels, alert = labels_of(sla, objective, names.SEVERITY_PAGE), names.ALERT_ERROR_BUDGET_BURN
    return Test(
        f"{objective.name}: a fiftieth of the budget within an hour pages, a little less does not",
        _recorded(sla, objective, bad, f"{rate}x{minutes}", f"{rate}x{minutes}"),
        (
            silent(alert, labels, end_few),
            silent(alert, labels, end_few + 5),
            fires(alert, labels, end_many),
        ),
    )


def _long_outage_tickets(sla: Sla, objective: BudgetObjective) -> Test:
    """A tenth of the budget opens a ticket; a young objective shows it in the next whole hour."""
    budget = (1 - objective.target) * Decimal(objective.window.length / _MINUTE)
    tenth = int((budget / 10).to_integral_value(ROUND_CEILING))
    lasts = min(tenth, 18 * 60) + 65
    labels = labels_of(sla, objective, names.SEVERITY_TICKET)
    alert = names.ALERT_ERROR_BUDGET_BURN
    return Test(
        f"{objective.name}: a tenth of the budget opens a ticket",
        _outage(sla, objective, lasts, 5),
        (silent(alert, labels, _HEALTHY), fires(alert, labels, _HEALTHY + lasts)),
    )


def _one_failure_is_silent(sla: Sla, objective: BudgetObjective) -> Test:
    """One failure among twelve requests an hour alarms nobody: at night that is all the traffic."""
    labels = identity(sla, objective.name)
    alert = names.ALERT_ERROR_BUDGET_BURN
    after = 60
    return Test(
        f"{objective.name}: a lone failure in quiet traffic alarms nobody",
        _recorded(
            sla,
            objective,
            bad=f"0x{_HEALTHY} 1x4 0x{after}",
            total=f"1x{_HEALTHY} 1x4 1x{after}",
            good=f"1x{_HEALTHY} 0x4 1x{after}",
        ),
        tuple(silent(alert, labels, _HEALTHY + minute) for minute in (1, 5, 30, 60)),
    )
