"""When silence is told: of an objective, of the collector, and of the rules themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from otelkit import names
from otelkit.model import Objective, Query, QueueLimit
from otelkit.slo.expected import Expected
from otelkit.slo.forecast import Forecast
from otelkit.slo.numbers import MINUTE

UNMEASURED: Final = timedelta(minutes=10)
"""Twice the five minutes for which Prometheus itself takes an old sample for a present one."""
UNMEASURED_HOLD: Final = timedelta(minutes=5)
"""``for:`` of the alerts on that."""
STALE: Final = timedelta(minutes=2)
"""Twenty-four default ticks of the collector. Younger than that is a pause, not a stop."""
STALE_HOLD: Final = timedelta(minutes=1)


def no_data(objective: Objective) -> Expected:
    """ObjectiveNoData. Minutes count from the last sample of what the objective measures."""
    on_record, reset = _on_record(objective)
    minute = on_record + _unmeasured()
    return _told(names.ALERT_OBJECTIVE_NO_DATA, names.SEVERITY_TICKET, minute, reset)


def _on_record(objective: Objective) -> tuple[int, int]:
    """Minutes for which there are recordings after the last sample, and until there are again."""
    if isinstance(objective, QueueLimit):
        return 0, 0
    if isinstance(objective, Query):  # it has an answer for five minutes, which counts for four
        return 9, 0
    return 4, 1  # so long two samples of a counter are among five minutes


def watching(*, collector: bool, page_as: str = names.SEVERITY_PAGE) -> Iterator[Expected]:
    """Alerts on those who watch. Minutes count from the collector's last tick at worst."""
    if collector:
        stale = (STALE + MINUTE + STALE_HOLD) // MINUTE
        yield _told(names.ALERT_COLLECTOR_STALE, page_as, stale)
    yield _told(names.ALERT_RULES_NOT_EVALUATING, page_as, _unmeasured())


def _unmeasured() -> int:
    return (UNMEASURED + MINUTE + UNMEASURED_HOLD) // MINUTE


def _told(alert: str, severity: str, minute: int, reset: int = 0) -> Expected:
    return Expected(alert, severity, Forecast(minute, {}, reset))
