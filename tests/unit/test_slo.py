"""Error-budget arithmetic against the table of the Google SRE Workbook, and exact decimals."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from otelkit import slo

MONTH = timedelta(days=30)


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


def test_a_target_that_no_full_outage_can_spend_in_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a target of 75% leaves a budget .* more than 75%"):
        slo.tiers(Decimal("0.75"), MONTH)


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
