"""What of a policy does not suit its budget, with the arithmetic that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from otelkit.model import DEFAULT_POLICY, AlertPolicy, BudgetShare
from otelkit.slo.numbers import HOUR, percent, plain, promql_duration, rounded
from otelkit.slo.tiers import FULL_OUTAGE_SHARE_OF_WINDOW, pace, reachable


def reservations(
    target: Decimal, period: timedelta, policy: AlertPolicy = DEFAULT_POLICY
) -> tuple[str, ...]:
    """A sentence for each share that is scaled, or that alerts on less than it says.

    None of them stops anything; what cannot work at all is refused by :func:`.tiers.tiers`.
    """
    shares = (*policy.page, *policy.ticket)
    scaled = (_scaled(wanted, 1 - target, period) for wanted in shares)
    eager = (_eager(wanted, period) for wanted in policy.page)
    long = (_long(wanted, period) for wanted in shares)
    found: Iterator[str | None] = (said for kind in (scaled, eager, long) for said in kind)
    return tuple(dict.fromkeys(said for said in found if said is not None))


def _scaled(wanted: BudgetShare, error: Decimal, period: timedelta) -> str | None:
    within = reachable(wanted.within, error, period)
    if wanted.share <= within:
        return None
    hours = wanted.share * error * (period // HOUR)
    in_time = FULL_OUTAGE_SHARE_OF_WINDOW * (wanted.within // HOUR)
    return (
        f"{_named(wanted)} takes a full outage {_hours(hours)} ({percent(wanted.share)} of "
        f"{percent(error)} of {promql_duration(period)}), more than a quarter of the window; it "
        f"alerts at {percent(rounded(within))} instead, after {_hours(in_time)}"
    )


def _eager(wanted: BudgetShare, period: timedelta) -> str | None:
    even = pace(wanted.within, period)
    if wanted.share > even:
        return None
    return (
        f"{_named(wanted)} pages as soon as the budget burns faster than it lasts: an even pace "
        f"already spends {percent(rounded(even))} of {promql_duration(period)} in "
        f"{promql_duration(wanted.within)}; write a larger share, or make it a ticket"
    )


def _long(wanted: BudgetShare, period: timedelta) -> str | None:
    if wanted.within <= period:
        return None
    return (
        f"{_named(wanted)} looks at more than the budget's {promql_duration(period)}; "
        "write a shorter window"
    )


def _named(wanted: BudgetShare) -> str:
    return f"{percent(wanted.share)} in {promql_duration(wanted.within)}"


def _hours(hours: Decimal) -> str:
    minutes = hours * 60
    return f"{plain(rounded(hours))}h" if minutes >= 120 else f"{plain(rounded(minutes))}m"
