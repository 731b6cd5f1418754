"""When an alert fires, and when it is over: minutes, from the definition of the alert alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit import names
from otelkit.model import BudgetObjective, NewBreaches
from otelkit.slo.incident import Incident
from otelkit.slo.numbers import HOUR, MINUTE
from otelkit.slo.tiers import OUTAGE_BAD_EVENTS, OUTAGE_SHARE, Tier, of_severity, tiers

BURNS: Final = (Decimal(10), Decimal(2))
"""The burn rates that are forecast beside a full outage."""

_HALF: Final = Decimal("0.5")
"""Gates on counts stand half an event lower, as in the rules."""
_HORIZON: Final = 4 * 24 * 60
"""Minutes; by then the longest window has filled."""
_HALF_HOUR: Final = timedelta(minutes=30)
_WINDOWS: Final = {
    "5m": timedelta(minutes=5),
    "30m": _HALF_HOUR,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "6h": 6 * HOUR,
    "1d": 24 * HOUR,
    "3d": 72 * HOUR,
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Minutes from the first bad event to the alert; None where it never comes.

    ``at_burn`` holds the burn rates that there can be: at a target of 90 % no traffic burns its
    budget more than ten times too fast. ``reset`` is the last minute after recovery in which the
    alert still fires, however long the outage was.
    """

    full_outage: int | None
    at_burn: Mapping[Decimal, int | None]
    reset: int | None


Fires = Callable[[Incident, int], bool]
"""Whether an alert fires in a minute of an incident."""


def burn_alert(objective: BudgetObjective, severity: str) -> Fires:
    """The alert of a severity on the burn of an objective's budget."""
    period, policy = objective.window.length, objective.policy
    chosen = of_severity(tiers(objective.target, period, policy), severity)
    error = 1 - objective.target

    def fires(incident: Incident, minute: int) -> bool:
        budget = error * (period // MINUTE) * incident.total
        if any(
            _burns(incident, minute, tier, error, budget, policy.min_bad_events) for tier in chosen
        ):
            return True
        return (
            severity == names.SEVERITY_PAGE
            and bool(chosen)
            and _is_out(incident, minute, policy.min_bad_events)
        )

    return fires


def _burns(
    incident: Incident, minute: int, tier: Tier, error: Decimal, budget: Decimal, least: int
) -> bool:
    short, long = _WINDOWS[tier.short], _WINDOWS[tier.long]
    recent, spent = incident.bad_within(short, minute), incident.bad_within(long, minute)
    most = max(spent, incident.bad_within(_WINDOWS[tier.inner], minute))
    return (
        most > tier.share * budget
        and most > least - _HALF
        and spent > error * incident.total_within(long)
        and (
            recent > tier.share / 12 * budget
            or recent > tier.factor * error * incident.total_within(short)
        )
    )


def _is_out(incident: Incident, minute: int, least: int) -> bool:
    bad = incident.bad_within(_HALF_HOUR, minute)
    return bad > max(
        OUTAGE_BAD_EVENTS, least
    ) - _HALF and bad > OUTAGE_SHARE * incident.total_within(_HALF_HOUR)


def breaches_alert(threshold: NewBreaches) -> Fires:
    """The alert on so many new breaches within so long."""
    least = threshold.count - _HALF

    def fires(incident: Incident, minute: int) -> bool:
        recent = incident.bad_within(_WINDOWS["5m"], minute)
        return max(recent, incident.bad_within(threshold.within, minute)) > least

    return fires


def either(first: Forecast, second: Forecast) -> Forecast:
    """The forecast of an alert that fires when one of two does."""
    burns = {*first.at_burn, *second.at_burn}
    resets = [one.reset for one in (first, second) if one.reset is not None]
    return Forecast(
        _sooner(first.full_outage, second.full_outage),
        {b: _sooner(first.at_burn.get(b), second.at_burn.get(b)) for b in BURNS if b in burns},
        max(resets, default=None),
    )


def _sooner(*minutes: int | None) -> int | None:
    return min((minute for minute in minutes if minute is not None), default=None)


def forecast(
    fires: Fires, target: Decimal, per_minute: Decimal, hour: int | None = None
) -> Forecast:
    """What an alert does at ``per_minute`` events; ``hour`` as in :class:`.incident.Incident`."""

    def incident(share: Decimal, lasts: int | None = None) -> Incident:
        return Incident(share * per_minute, per_minute, lasts, hour)

    error = 1 - target
    all_bad = Decimal(1)
    full_outage = _first_minute(fires, incident(all_bad))
    return Forecast(
        full_outage,
        {
            burn: _first_minute(fires, incident(burn * error))
            for burn in BURNS
            if burn * error <= all_bad
        },
        None if full_outage is None else _last_minute(fires, incident(all_bad, _HORIZON), _HORIZON),
    )


def _first_minute(fires: Fires, incident: Incident) -> int | None:
    """Once an alert fires it fires as long as the incident goes on, so the minute is bisected."""
    found = bisect_left(range(_HORIZON), True, key=lambda minute: fires(incident, minute))
    return found if found < _HORIZON else None


def _last_minute(fires: Fires, incident: Incident, recovered: int) -> int:
    after = range(_HORIZON)
    return bisect_left(after, True, key=lambda more: not fires(incident, recovered + more)) - 1


def failures_allowed(target: Decimal, period: timedelta, per_minute: Decimal) -> int:
    """Bad events that a period may hold."""
    return int((1 - target) * (period // MINUTE) * per_minute)
