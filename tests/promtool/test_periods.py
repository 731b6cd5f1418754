"""Budgets over their period: whole months in a few seconds, since hours are given as recorded."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import yaml

from otelkit import names
from otelkit.generate import period
from otelkit.model import AlertPolicy, BudgetShare, Window
from otelkit.slo import HOUR

from .conftest import Program
from .scenario import Expected, Scenario, checkout, given

__all__ = ["given"]

OWN = '{environment="default", objective="checkout", system="shop"}'
LABELS = '{system="shop",environment="default",objective="checkout"}'
LEFT, BUDGET = names.ERROR_BUDGET_REMAINING, names.BUDGET_EVENTS
DAY = timedelta(days=1)


def recorded(given: Scenario, step: str) -> Scenario:
    """Only the budget itself, over increases that the scenario writes itself."""
    written = {f"{prefix}{step}" for prefix in (names.BAD, names.TOTAL, names.GOOD)}
    written |= {f"{names.HISTORY_HOURS}{step}"}

    def kept(name: str) -> bool:
        budget = name in (LEFT, BUDGET) or "period" in name
        return budget and name not in written

    return replace(given, kept=kept)


def hours(bad: str, total: str, step: str = "1h", history: str = "1x9000") -> dict[str, str]:
    return {
        f"{names.BAD}{step}{LABELS}": bad,
        f"{names.TOTAL}{step}{LABELS}": total,
        f"{names.HISTORY_HOURS}{step}{LABELS}": history,
    }


def test_nights_that_fail_half_of_few_requests_spend_a_quarter_of_the_budget(
    given: Scenario,
) -> None:
    """Fault 1 of shipped generators, a budget as a mean of ratios: it says -16,399 % here.

    Days of 10,000 in five minutes, nights of 10 that fail half: a day and a night hold
    8 * 120 + 16 * 120,000 = 1,920,960 events, and 8 * 60 = 480 of them fail: a quarter of the
    1,920.96 that 99.9 % allow.
    """
    day = "120000 " * 16 + "120 " * 8
    fails = "0 " * 16 + "60 " * 8
    recorded(given, "1h")(
        checkout(target=Decimal("0.999")),
        hours("0 " + fails * 30, "120000 " + day * 30),
        Expected("720h", BUDGET, {OWN: 57628.8}),
        Expected("720h", LEFT, {OWN: 0.75}),
        step="1h",
    )


def test_a_month_begins_with_a_whole_budget_and_ends_with_its_own_events_alone(
    given: Scenario,
) -> None:
    """January 1970 has 744 hours of 100 events, 1 of them bad at first; February 672 hours of 50.

    On 10 January 10 bad events an hour come for a day, on 3 February 5 for a day.
    """
    month = Window(timedelta(days=30), "month")
    january = "0 " + "0 " * 216 + "10 " * 24 + "0 " * (744 - 240)
    february = "0 " * 48 + "5 " * 24 + "0 " * (672 - 72)
    whole = 0.01 * 744 * 100  # 744 bad events are allowed in January
    march = 0.01 * 672 * 50  # 336 in February
    recorded(given, "1h")(
        checkout(window=month),
        hours(january + february + "0 " * 100, "100 " * 745 + "50 " * 773),
        Expected("216h", LEFT, {OWN: 1}),
        Expected("240h", BUDGET, {OWN: whole}),
        Expected("240h", LEFT, {OWN: round(1 - 240 / whole, 3)}),
        Expected("744h", BUDGET, {OWN: whole}),
        Expected("744h", LEFT, {OWN: round(1 - 240 / whole, 3)}),  # the last moment of January
        Expected("745h", LEFT, {OWN: 1}),
        Expected("1416h", BUDGET, {OWN: march}),
        Expected("1416h", LEFT, {OWN: round(1 - 120 / march, 3)}),
        Expected("1417h", LEFT, {OWN: 1}),
        step="1h",
    )


def test_in_the_first_hour_of_a_week_the_whole_budget_is_left(given: Scenario) -> None:
    """The first Monday of 1970 is its fifth day; each second half hour repeats the hour before."""
    recorded(given, "1h")(
        checkout(window=Window(timedelta(days=7), "week")),
        hours("1x200", "100x200"),
        Expected("96h", LEFT, {OWN: 0}),  # 1 % of all was bad, as much as is allowed
        Expected("5790m", LEFT, {OWN: 1}),
        step="30m",
    )


def test_each_region_has_its_own_month(given: Scenario) -> None:
    labels = f"{LABELS[:-1]},region="
    series = {}
    for region, bad in (("eu", "0x799"), ("us", "0x399 2x399")):
        own = f'{labels}"{region}"}}'
        series[f"{names.BAD}1h{own}"] = bad
        series[f"{names.TOTAL}1h{own}"] = "100x799"
        series[f"{names.HISTORY_HOURS}1h{own}"] = "1x799"
    # In January us loses 344 hours * 2 of 744; two hours into February it has lost 4 of 672.
    by_region = f"sum by (region) ({LEFT})"
    recorded(given, "1h")(
        checkout(window=Window(timedelta(days=30), "month"), by=("region",)),
        series,
        Expected("743h", by_region, {'{region="eu"}': 1, '{region="us"}': round(1 - 688 / 744, 3)}),
        Expected("746h", by_region, {'{region="eu"}': 1, '{region="us"}': round(1 - 4 / 672, 3)}),
        step="1h",
    )


def test_half_a_year_is_summed_from_quarters_of_days(given: Scenario) -> None:
    """Of 100 days at 600 events in six hours, a day in which half of them fail spends half."""
    sla = checkout(window=Window(100 * DAY))
    recorded(given, "6h")(
        sla,
        hours("0x3 300x3 0x800", "600x900", "6h", "6x900"),
        Expected("1200h", BUDGET, {OWN: 0.01 * 600 * 400}),
        Expected("1200h", LEFT, {OWN: 0.5}),
        Expected("2436h", LEFT, {OWN: 0.875}),  # three of the four have left the period
        Expected("2448h", LEFT, {OWN: 1}),
        step="6h",
    )


# --- windows and policies ------------------------------------------------------------------


def test_a_day_is_a_window_of_whole_hours(given: Scenario) -> None:
    """60 of 600 events of the hour before fail; the first minute of it has left the last hour."""
    policy = AlertPolicy(page=(), ticket=(BudgetShare(checkout().budgets[0].target, DAY),))
    series = {
        f"{names.BAD}5m{LABELS}": "0x1439 5x59 0x200",
        f"{names.TOTAL}5m{LABELS}": "50x1700",
        f"{names.GOOD}5m{LABELS}": "50x1700",
    }
    replace(given, kept=lambda name: not name.endswith("increase5m"))(
        checkout(policy=policy),
        series,
        Expected("1500m", f"{names.BAD}2h", {OWN: 60}),
        Expected("1500m", f"{names.BAD}1d", {OWN: 60}),
        Expected("1500m", f"{names.TOTAL}1d", {OWN: 24 * 600}),
        Expected("1500m", f"sum by (window) ({names.BURN_RATE})",
                 {f'{{window="{window}"}}': value for window, value in
                  (("5m", 0), ("1h", 9.833), ("2h", 5), ("6h", 1.667), ("1d", 0.417))}),
    )  # fmt: skip


def test_a_policy_that_is_off_alerts_nobody(given: Scenario) -> None:
    off = AlertPolicy(page=(), ticket=())
    series = {'all_total{job="a",instance="1"}': "0+100x200"}
    firing = "sum by (severity) (ALERTS{alertname='ErrorBudgetBurn'})"
    burning = Expected("180m", firing, {'{severity="page"}': 1, '{severity="ticket"}': 1})
    given(checkout(), series, burning)
    given(checkout(policy=off), series, Expected("180m", firing, {}))


def test_fewer_bad_events_than_the_policy_asks_for_alert_nobody(given: Scenario) -> None:
    """One event a minute, 100 may be bad in a week: six within an hour are worth three pages."""
    policy = checkout().budgets[0].policy
    series = {
        'ok_total{job="a",instance="1"}': "0+1x120 120x5 121+1x20",
        'all_total{job="a",instance="1"}': "0+1x160",
    }
    firing = "sum by (severity) (ALERTS{alertname='ErrorBudgetBurn',severity='page'})"
    seven = replace(policy, min_bad_events=7)
    after = "127m"
    week = Window(7 * DAY)
    given(checkout(window=week), series, Expected(after, firing, {'{severity="page"}': 1}))
    given(checkout(window=week, policy=seven), series, Expected(after, firing, {}))


# --- periods of the calendar ---------------------------------------------------------------

MOMENTS = (
    "1970-01-01T00:00:01", "1970-01-04T23:59:00", "1970-01-05T00:00:00", "1970-01-05T00:00:01",
    "1970-03-31T23:30:00", "1970-04-01T00:00:00", "1970-04-01T01:00:00", "1972-02-29T12:00:00",
    "1972-03-01T00:00:00", "1972-03-31T07:59:59", "1972-06-30T12:00:00", "1972-07-01T00:00:01",
    "1973-02-28T22:00:00", "1973-09-30T23:59:59", "1973-10-01T00:00:01", "1973-12-31T23:59:59",
    "1974-01-01T00:00:00", "1974-01-01T00:00:01",
)  # fmt: skip


def bounds(kind: str, moment: datetime) -> tuple[datetime, datetime]:
    """The period that a moment ends in: an hour that ends at midnight is of the day before."""
    day = (moment - timedelta(seconds=1)).replace(hour=0, minute=0, second=0)
    if kind == "week":
        start = day - day.weekday() * DAY
        return start, start + 7 * DAY
    months = 1 if kind == "month" else 3
    start = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    length = sum(monthrange(start.year, start.month + n)[1] for n in range(months))
    return start, start + length * DAY


@pytest.mark.parametrize("kind", ["week", "month", "quarter"])
def test_a_period_begins_and_ends_when_the_calendar_says(
    promtool: Program, given: Scenario, kind: str
) -> None:
    current, left = (rule.expr for rule in period.recordings(kind, {}))
    expected = []
    for moment in MOMENTS:
        now = datetime.fromisoformat(f"{moment}+00:00")
        start, end = bounds(kind, now)
        hours_left = -((now - end) // HOUR)
        labels = f'{{period="{int(start.timestamp())}"}}'
        for expr, samples in ((current, {labels: 1}), (left, {"{}": hours_left})):
            expected.append(
                {
                    "eval_time": f"{int(now.timestamp())}s",
                    "expr": expr,
                    "exp_samples": [{"labels": k, "value": v} for k, v in samples.items()],
                }
            )
    _holds(promtool, given, expected)


def _holds(promtool: Program, given: Scenario, expected: Sequence[object]) -> None:
    document = {
        "evaluation_interval": "30d",
        "tests": [{"interval": "30d", "promql_expr_test": list(expected)}],
    }
    (given.folder / "period.yml").write_text(yaml.safe_dump(document))
    done = promtool("test", "rules", "period.yml", folder=given.folder)
    assert done.returncode == 0, done.stdout + done.stderr
