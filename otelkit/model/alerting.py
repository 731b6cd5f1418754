"""When somebody is alerted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class NewBreaches:
    """So many new breaches within so long."""

    count: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class BudgetShare:
    """So much of a budget spent within so long: ``share`` in (0, 1), ``within`` a long window."""

    share: Decimal
    within: timedelta


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When a budget alerts: any of the shares does. An empty tuple switches a severity off."""

    page: tuple[BudgetShare, ...]
    ticket: tuple[BudgetShare, ...]
    min_bad_events: int = 2


DEFAULT_POLICY = AlertPolicy(
    page=(
        BudgetShare(Decimal("0.02"), timedelta(hours=1)),
        BudgetShare(Decimal("0.05"), timedelta(hours=6)),
    ),
    ticket=(BudgetShare(Decimal("0.1"), timedelta(days=3)),),
)
"""Google SRE Workbook, chapter "Alerting on SLOs", table 5-8."""
