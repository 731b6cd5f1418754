"""When an order is at risk, in words."""

from __future__ import annotations

from decimal import Decimal

from otelkit import slo
from otelkit.model import Clock, Learned


def of_orders(clock: Clock) -> str:
    """What orders at risk do."""
    rule = clock.at_risk
    if isinstance(rule, Learned):
        return f"have taken longer than {slo.percent(rule.slower_than)} of those before"
    return f"have less than {slo.percent(rule or Decimal(0))} of their time left"


def of_an_order(clock: Clock) -> str:
    """What an order at risk does."""
    rule = clock.at_risk
    if isinstance(rule, Learned):
        return f"has taken longer than {slo.percent(rule.slower_than)} of those before"
    return f"has less than {slo.percent(rule or Decimal(0))} of its allowance left"


def since(clock: Clock) -> str:
    """From when on orders are at risk."""
    rule = clock.at_risk
    if rule is None:
        return "at no time"
    if not isinstance(rule, Learned):
        return f"with {slo.percent(rule)} of their time left"
    told = f"once slower than {slo.percent(rule.slower_than)} of {rule.samples} or more before"
    if rule.until_then is None:
        return told
    return f"{told} (until then with {slo.percent(rule.until_then)} left)"
