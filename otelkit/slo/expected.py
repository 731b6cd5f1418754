"""The alerts that an objective has, and when each of them fires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otelkit import names
from otelkit.model import BudgetObjective, Clock, Objective, Query, QueueLimit
from otelkit.slo.forecast import Forecast, breaches_alert, burn_alert, either, forecast
from otelkit.slo.numbers import MINUTE

ASSUMED_EVENTS: Final = Decimal(60)
"""A minute, of traffic that nobody has told."""

_NEXT_MINUTE: Final = 1
"""Rules are evaluated once a minute."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert, its severity, and its forecast.

    Where the alert is on a single order or letter, that is its full outage.
    """

    alert: str
    severity: str
    forecast: Forecast


def expected(
    objective: Objective, per_minute: Decimal, page_as: str = names.SEVERITY_PAGE
) -> tuple[Expected, ...]:
    """All alerts on what an objective measures; ``page_as`` is what its pages are.

    Where pages are tickets, both are one alert.
    """
    found: dict[tuple[str, str], Expected] = {}
    for one in _expected(objective, events_a_minute(objective, per_minute)):
        severity = page_as if one.severity == names.SEVERITY_PAGE else one.severity
        key = one.alert, severity
        same = either(found[key].forecast, one.forecast) if key in found else one.forecast
        found[key] = Expected(one.alert, severity, same)
    return tuple(found.values())


def events_a_minute(objective: Objective, per_minute: Decimal) -> Decimal:
    """The traffic of an objective, ``per_minute`` where it does not follow from its kind."""
    return Decimal(1) if isinstance(objective, Query) else per_minute


def _expected(objective: Objective, per_minute: Decimal) -> Iterator[Expected]:
    if isinstance(objective, BudgetObjective):
        yield from _burns(objective, per_minute)
    if isinstance(objective, Clock):
        yield from _late(objective, per_minute)
    if isinstance(objective, QueueLimit):
        yield from _dead_letters(objective)


def _burns(objective: BudgetObjective, per_minute: Decimal) -> Iterator[Expected]:
    policy = objective.policy
    severities = ((names.SEVERITY_PAGE, policy.page), (names.SEVERITY_TICKET, policy.ticket))
    for severity in (severity for severity, shares in severities if shares):
        found = forecast(burn_alert(objective, severity), objective.target, per_minute)
        yield Expected(names.ALERT_ERROR_BUDGET_BURN, severity, found)


def _late(clock: Clock, per_minute: Decimal) -> Iterator[Expected]:
    for severity, threshold in clock.overdue.items():
        found = forecast(breaches_alert(threshold), clock.target, per_minute)
        yield Expected(names.ALERT_ORDERS_OVERDUE, severity, found)
    if clock.at_risk is not None:
        yield Expected(names.ALERT_ORDERS_AT_RISK, names.SEVERITY_TICKET, _after(_NEXT_MINUTE))


def _dead_letters(limit: QueueLimit) -> Iterator[Expected]:
    if limit.max_age is not None:
        late = limit.max_age // MINUTE + _NEXT_MINUTE
        yield Expected(names.ALERT_DEAD_LETTERS, names.SEVERITY_PAGE, _after(late))
    if limit.max_messages is not None:
        yield Expected(names.ALERT_DEAD_LETTERS, names.SEVERITY_TICKET, _after(_NEXT_MINUTE))


def _after(minutes: int) -> Forecast:
    return Forecast(minutes, {}, 0)
