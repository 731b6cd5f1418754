"""Alert tiers: which windows an alert looks at, and how much budget it takes to fire.

The shares are a policy's, the windows follow table 5-8 of the Google SRE Workbook, chapter
"Alerting on SLOs". Where a full outage would spend a low objective's budget too slowly to reach
the policy's share in time, the share is scaled down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit import names
from otelkit.model import DEFAULT_POLICY, AlertPolicy, BudgetShare
from otelkit.slo.numbers import HOUR, percent, plain, promql_duration, rounded

MIN_BAD_EVENTS: Final = DEFAULT_POLICY.min_bad_events
"""Fewer bad events than this never alert on a burn: one failure at 10 requests an hour is noise."""

OUTAGE_BAD_EVENTS: Final = 10
OUTAGE_SHARE: Final = Decimal("0.8")
"""A quiet hour's full outage spends little budget; so many bad events that make up more than this
share of half an hour's traffic page all the same."""

FULL_OUTAGE_SHARE_OF_WINDOW: Final = Decimal("0.25")
"""A full outage has to page within this share of the long window, however low the objective."""

LOWEST_TARGET: Final = 1 - FULL_OUTAGE_SHARE_OF_WINDOW
"""At this target or below even a full outage burns too slowly for a page to fire in time."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows. Fires when ``share`` of the period's budget is gone within ``long``.

    ``short`` tells whether it still burns, ``inner`` catches a steep burn before ``long`` has it on
    record; it is ``long`` itself where none is earlier. ``factor`` is the burn rate at which
    ``share`` is spent in exactly ``long``. Windows are PromQL durations.
    """

    severity: str
    long: str
    short: str
    inner: str
    share: Decimal
    factor: Decimal


# A short window is a twelfth of its long one. The inner one has no lag of its own: of windows
# longer than six hours only whole hours are on record.
_SHORT_AND_INNER: Final = {
    "1h": ("5m", "5m"),
    "6h": ("30m", "6h"),
    "1d": ("2h", "6h"),
    "3d": ("6h", "6h"),
}
LONG_WINDOWS: Final = tuple(_SHORT_AND_INNER)
"""The windows within which a policy may count a share, as PromQL durations."""


def tiers(
    target: Decimal, period: timedelta, policy: AlertPolicy = DEFAULT_POLICY
) -> tuple[Tier, ...]:
    """The alert tiers of an objective, pages first.

    Raises ``ValueError``, with the arithmetic, where the policy pages and ``target`` is
    :data:`LOWEST_TARGET` or less.
    """
    if policy.page and target <= LOWEST_TARGET:
        raise ValueError(_too_low(target))
    severities = ((names.SEVERITY_PAGE, policy.page), (names.SEVERITY_TICKET, policy.ticket))
    return tuple(
        _tier(severity, wanted, 1 - target, period)
        for severity, shares in severities
        for wanted in shares
    )


def _too_low(target: Decimal) -> str:
    burn = 1 / (1 - target)
    paging = FULL_OUTAGE_SHARE_OF_WINDOW * burn
    return (
        f"a target of {percent(target)} leaves a budget that a full outage cannot spend in time "
        f"to page: all bad is a burn rate of {plain(rounded(burn))}, to page within a quarter of "
        f"the window {plain(rounded(paging))} would have to page, and 1 is the budget's own pace; "
        f"write more than {percent(LOWEST_TARGET)}, or switch its pages off"
    )


def _tier(severity: str, wanted: BudgetShare, error: Decimal, period: timedelta) -> Tier:
    long = promql_duration(wanted.within)
    short, inner = _SHORT_AND_INNER[long]
    share = min(wanted.share, reachable(wanted.within, error, period))
    # In a short period the policy's share is less than the window's own part of the budget:
    # then the pace of the budget itself is the line.
    factor = max(share / pace(wanted.within, period), Decimal(1))
    # Six digits: people read thresholds, and a scaled share is no exact fact.
    return Tier(severity, long, short, inner, rounded(share, 6), rounded(factor, 6))


def reachable(window: timedelta, error: Decimal, period: timedelta) -> Decimal:
    """The share of the budget that a full outage spends in the part of a window it may take."""
    return FULL_OUTAGE_SHARE_OF_WINDOW * pace(window, period) / error


def pace(window: timedelta, period: timedelta) -> Decimal:
    """The share of the budget that an even pace spends within a window."""
    return Decimal(window // HOUR) / Decimal(period // HOUR)


def of_severity(all_tiers: Sequence[Tier], severity: str) -> tuple[Tier, ...]:
    """The tiers that lead to a page, or to a ticket."""
    return tuple(tier for tier in all_tiers if tier.severity == severity)
