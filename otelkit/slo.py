"""Error-budget arithmetic: which windows an alert looks at, and how much budget it takes to fire.

Numbers are exact decimals; nothing here knows PromQL. The table of shares and windows is table
5-8 of the Google SRE Workbook, chapter "Alerting on SLOs". Where a full outage would spend a
low objective's budget too slowly to reach the table's share in time, the share is scaled down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit import names

HOUR: Final = timedelta(hours=1)

MIN_BAD_EVENTS: Final = 2
"""Fewer bad events than this never alert on a burn: one failure at 10 requests an hour is noise."""

OUTAGE_BAD_EVENTS: Final = 10
OUTAGE_SHARE: Final = Decimal("0.8")
"""A quiet hour's full outage spends little budget; so many bad events that make up more than this
share of half an hour's traffic page all the same."""

FULL_OUTAGE_SHARE_OF_WINDOW: Final = Decimal("0.25")
"""A full outage has to page within this share of the long window, however low the objective."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows. Fires when ``share`` of the period's budget is gone within ``long``.

    ``short`` tells whether it still burns, ``inner`` catches a steep burn before ``long`` has
    filled. ``factor`` is the burn rate at which ``share`` is spent in exactly ``long``.
    Windows are PromQL durations.
    """

    severity: str
    long: str
    short: str
    inner: str
    share: Decimal
    factor: Decimal


@dataclass(frozen=True, slots=True)
class _Row:
    severity: str
    long: str
    hours: int
    short: str
    inner: str
    share: Decimal


_TABLE: Final = (
    _Row(names.SEVERITY_PAGE, "1h", 1, "5m", "5m", Decimal("0.02")),
    _Row(names.SEVERITY_PAGE, "6h", 6, "30m", "1h", Decimal("0.05")),
    _Row(names.SEVERITY_TICKET, "3d", 72, "6h", "6h", Decimal("0.10")),
)

LOWEST_TARGET: Final = 1 - FULL_OUTAGE_SHARE_OF_WINDOW
"""At this target or below even a full outage burns too slowly for any tier to fire in time."""


def tiers(target: Decimal, period: timedelta) -> tuple[Tier, ...]:
    """The alert tiers of an objective, pages first.

    ``target`` is a share in (:data:`LOWEST_TARGET`, 1). Raises ``ValueError`` below that.
    """
    if target <= LOWEST_TARGET:
        raise ValueError(
            f"a target of {percent(target)} leaves a budget that a full outage cannot spend in "
            f"time to alert; write more than {percent(LOWEST_TARGET)}"
        )
    hours = Decimal(int(period / HOUR))
    return tuple(_tier(row, 1 - target, hours) for row in _TABLE)


def _tier(row: _Row, error: Decimal, period_hours: Decimal) -> Tier:
    reachable = FULL_OUTAGE_SHARE_OF_WINDOW * row.hours / (error * period_hours)
    share = min(row.share, reachable)
    # In a short period the table's share is less than the window's own part of the budget:
    # then the pace of the budget itself is the line.
    factor = max(share * period_hours / row.hours, Decimal(1))
    return Tier(row.severity, row.long, row.short, row.inner, _short(share), _short(factor))


def _short(value: Decimal) -> Decimal:
    """Six significant digits: people read thresholds, and a scaled share is no exact fact."""
    return Decimal(f"{value:.6g}")


def of_severity(all_tiers: Sequence[Tier], severity: str) -> tuple[Tier, ...]:
    """The tiers that lead to a page, or to a ticket."""
    return tuple(tier for tier in all_tiers if tier.severity == severity)


def percent(share: Decimal) -> str:
    """A share as people write it: ``Decimal("0.9990")`` is ``99.9%``."""
    return f"{plain(share * 100)}%"


def plain(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros, exact."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def promql_duration(duration: timedelta) -> str:
    """A duration in the largest PromQL unit that divides it: 90 minutes are ``90m``."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0 and seconds:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
