"""Error-budget arithmetic against the table of the Google SRE Workbook, and exact decimals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from otelkit import slo
from otelkit.model import DEFAULT_POLICY, AlertPolicy, BudgetShare, NewBreaches, Query, Window

MONTH = timedelta(days=30)


def share(part: str, hours: int) -> BudgetShare:
    return BudgetShare(Decimal(part), timedelta(hours=hours))


def rows(target: str, period: timedelta = MONTH) -> list[tuple[str, str, str, str, str]]:
    return [
        (t.severity, t.long, t.short, slo.plain(t.share), slo.plain(t.factor))
        for t in slo.tiers(Decimal(target), period)
    ]


@pytest.mark.parametrize("target", ["0.999", "0.9999", "0.99"])
def test_high_targets_alert_by_the_workbooks_table_5_8(target: str) -> None:
    assert rows(target) == [
        ("page", "1h", "5m", "0.02", "14.4"),
        ("page", "6h", "30m", "0.05", "6"),
        ("ticket", "3d", "6h", "0.1", "1"),
    ]


@pytest.mark.parametrize(
    ("target", "factors"),
    [
        ("0.95", ["5", "5", "1"]),
        ("0.9", ["2.5", "2.5", "1"]),
        ("0.76", ["1.04167", "1.04167", "1"]),
    ],
)
def test_low_targets_page_on_a_full_outage_within_a_quarter_of_the_window(
    target: str, factors: list[str]
) -> None:
    assert [row[4] for row in rows(target)] == factors
    for tier in slo.tiers(Decimal(target), MONTH)[:2]:
        long = {"1h": 1, "6h": 6}[tier.long]
        budget_hours = (1 - Decimal(target)) * 720
        assert tier.share * budget_hours <= Decimal("0.2501") * long


def test_a_target_that_no_full_outage_can_spend_in_time_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(ValueError, match="a target of 75% leaves a budget") as refused:
        slo.tiers(Decimal("0.75"), MONTH)
    assert str(refused.value) == (
        "a target of 75% leaves a budget that a full outage cannot spend in time to page: all bad "
        "is a burn rate of 4, to page within a quarter of the window 1 would have to page, and 1 "
        "is the budget's own pace; write more than 75%, or switch its pages off"
    )


def test_a_low_target_without_pages_opens_tickets() -> None:
    only_tickets = AlertPolicy((), (share("0.1", hours=72),))
    (tier,) = slo.tiers(Decimal("0.5"), MONTH, only_tickets)
    # All bad for a quarter of 72 h is 18 of the 360 h that may be bad.
    assert (tier.severity, tier.share, tier.factor) == ("ticket", Decimal("0.05"), Decimal(1))


def test_a_policy_of_its_own_keeps_its_shares_and_gets_the_windows_that_belong_to_them() -> None:
    policy = AlertPolicy((share("0.01", hours=1), share("0.05", hours=24)), ())
    first, second = slo.tiers(Decimal("0.999"), MONTH, policy)
    assert (first.long, first.short, first.inner) == ("1h", "5m", "5m")
    assert (first.share, first.factor) == (Decimal("0.01"), Decimal("7.2"))
    assert (second.long, second.short, second.inner) == ("1d", "2h", "6h")
    assert (second.share, second.factor) == (Decimal("0.05"), Decimal("1.5"))
    assert slo.tiers(Decimal("0.999"), MONTH, AlertPolicy((), ())) == ()


NINETY = """\
2% in 1h takes a full outage 86.4m (2% of 10% of 30d), more than a quarter of the window; \
it alerts at 0.347% instead, after 15m
5% in 6h takes a full outage 3.6h (5% of 10% of 30d), more than a quarter of the window; \
it alerts at 2.08% instead, after 90m"""
TWO_DAYS = """\
2% in 1h pages as soon as the budget burns faster than it lasts: an even pace already spends \
2.08% of 2d in 1h; write a larger share, or make it a ticket
5% in 6h pages as soon as the budget burns faster than it lasts: an even pace already spends \
12.5% of 2d in 6h; write a larger share, or make it a ticket
10% in 3d looks at more than the budget's 2d; write a shorter window"""


@pytest.mark.parametrize(
    ("target", "days", "said"),
    [("0.999", 30, ""), ("0.99", 7, ""), ("0.9", 30, NINETY), ("0.999", 2, TWO_DAYS)],
)
def test_what_does_not_suit_the_budget_is_said_with_the_arithmetic(
    target: str, days: int, said: str
) -> None:
    assert "\n".join(slo.reservations(Decimal(target), timedelta(days=days))) == said


def test_a_week_alerts_on_the_same_shares_at_lower_burn_rates() -> None:
    assert rows("0.999", timedelta(days=7)) == [
        ("page", "1h", "5m", "0.02", "3.36"),
        ("page", "6h", "30m", "0.05", "1.4"),
        ("ticket", "3d", "6h", "0.1", "1"),
    ]


def test_numbers_are_written_exact_and_short() -> None:
    assert slo.plain(1 - Decimal("0.9990")) == "0.001"
    assert slo.plain(1 - Decimal("0.999999999")) == "0.000000001"
    assert slo.plain(Decimal("1E+2")) == "100"
    assert slo.percent(Decimal("0.9995")) == "99.95%"
    assert [slo.promql_duration(timedelta(minutes=m)) for m in (30, 90, 60, 2880)] == [
        "30m", "90m", "1h", "2d",
    ]  # fmt: skip


def objective(target: str) -> Query:
    return Query("o", "web", Decimal(target), Window(MONTH), query="up")


@pytest.mark.parametrize(
    ("target", "severity", "per_minute", "full_outage", "tenfold", "twofold", "reset"),
    [
        # The prototype's scenario table: page 1 and reset 33, 45 at 20 x, 11 / 17 / 17.
        ("0.999", "page", "6000", 1, 219, None, 33),
        ("0.99", "page", "6000", 11, 219, None, 30),
        ("0.95", "page", "6000", 17, 32, None, 24),
        ("0.9", "page", "6000", 17, 17, None, 24),
        # 3 days are summed from whole hours, so tickets come up to an hour after their share.
        ("0.999", "ticket", "6000", 66, 494, 2222, 362),
        # 12 failures an hour: 1.5 of them stand in the mean of an hour after ten minutes.
        ("0.999", "page", "0.2", 10, None, None, 33),
    ],
)
def test_an_alert_is_forecast_by_the_minute(
    target: str,
    severity: str,
    per_minute: str,
    full_outage: int,
    tenfold: int,
    twofold: int | None,
    reset: int,
) -> None:
    fires = slo.burn_alert(objective(target), severity)
    found = slo.forecast(fires, Decimal(target), Decimal(per_minute))
    assert (found.full_outage, found.reset) == (full_outage, reset)
    assert found.at_burn == {Decimal(10): tenfold, Decimal(2): twofold}


def test_a_burn_that_no_outage_reaches_is_no_forecast() -> None:
    fires = slo.burn_alert(objective("0.8"), "page")
    found = slo.forecast(fires, Decimal("0.8"), Decimal(100))
    assert list(found.at_burn) == [Decimal(2)]


def test_new_breaches_are_forecast_from_the_orders_a_minute() -> None:
    """One order in five minutes, all breached: the mean of an hour lags by two minutes."""
    fires = slo.breaches_alert(NewBreaches(5, timedelta(hours=1)))
    found = slo.forecast(fires, Decimal("0.95"), Decimal("0.2"))
    assert (found.full_outage, found.reset) == (25, 39)
    one = slo.breaches_alert(NewBreaches(1, timedelta(hours=1)))
    assert slo.forecast(one, Decimal("0.95"), Decimal("0.2")).full_outage == 3


def test_a_period_allows_whole_failures() -> None:
    assert slo.failures_allowed(Decimal("0.999"), MONTH, Decimal(60)) == 2592
    assert slo.failures_allowed(Decimal("0.999"), timedelta(days=7), Decimal("0.1")) == 1


def test_where_pages_are_tickets_both_are_one_alert() -> None:
    page, ticket = slo.expected(objective("0.999"), Decimal(60))
    (both,) = slo.expected(objective("0.999"), Decimal(60), page_as="ticket")
    assert (both.alert, both.severity) == (ticket.alert, "ticket")
    assert both.forecast.full_outage == page.forecast.full_outage
    assert both.forecast.at_burn == {Decimal(10): 219, Decimal(2): 2222}
    assert both.forecast.reset == ticket.forecast.reset == 362


def test_no_clause_pages_before_the_bad_events_that_the_policy_asks_for() -> None:
    """At 1 event in two minutes 20 stand in the mean of an hour at minute 42."""
    many = replace(objective("0.999"), policy=replace(DEFAULT_POLICY, min_bad_events=20))
    fires = slo.burn_alert(many, "page")
    assert slo.forecast(fires, Decimal("0.999"), Decimal("0.5")).full_outage == 42
