"""The arithmetic of error budgets: when an alert fires, and whether it can. No PromQL.

Numbers are exact decimals. :mod:`.tiers` says which windows an alert looks at and how much of a
budget it takes to fire, :mod:`.feasibility` what of a policy does not suit its budget,
:mod:`.forecast` after how many minutes an alert fires and is over, :mod:`.silence` the same of
alerts on what is not measured.
"""

from otelkit.slo.expected import ASSUMED_EVENTS, Expected, events_a_minute, expected
from otelkit.slo.feasibility import reservations
from otelkit.slo.forecast import (
    BURNS,
    Fires,
    Forecast,
    breaches_alert,
    burn_alert,
    failures_allowed,
    forecast,
)
from otelkit.slo.numbers import HOUR, MINUTE, percent, plain, promql_duration, rounded, spoken
from otelkit.slo.silence import (
    STALE,
    STALE_HOLD,
    UNMEASURED,
    UNMEASURED_HOLD,
    no_data,
    watching,
)
from otelkit.slo.tiers import (
    LONG_WINDOWS,
    LOWEST_TARGET,
    MIN_BAD_EVENTS,
    OUTAGE_BAD_EVENTS,
    OUTAGE_SHARE,
    Tier,
    of_severity,
    tiers,
)

__all__ = [
    "ASSUMED_EVENTS",
    "BURNS",
    "HOUR",
    "LONG_WINDOWS",
    "LOWEST_TARGET",
    "MINUTE",
    "MIN_BAD_EVENTS",
    "OUTAGE_BAD_EVENTS",
    "OUTAGE_SHARE",
    "STALE",
    "STALE_HOLD",
    "UNMEASURED",
    "UNMEASURED_HOLD",
    "Expected",
    "Fires",
    "Forecast",
    "Tier",
    "breaches_alert",
    "burn_alert",
    "events_a_minute",
    "expected",
    "failures_allowed",
    "forecast",
    "no_data",
    "of_severity",
    "percent",
    "plain",
    "promql_duration",
    "reservations",
    "rounded",
    "spoken",
    "tiers",
    "watching",
]
