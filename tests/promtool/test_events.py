"""Events: what raw series count as, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from otelkit import names
from otelkit.model import BudgetObjective, Environment, Exclusion, Latency, Query, Sla

from .scenario import Expected, Scenario, checkout, given

__all__ = ["given"]

GOOD, BAD, TOTAL = (f"{prefix}5m" for prefix in (names.GOOD, names.BAD, names.TOTAL))
OWN = '{environment="default", objective="checkout", system="shop"}'
FIRING = 'sum by (alertname, region, severity) (ALERTS{alertstate="firing"})'


def at(after: str, expr: str, *samples: tuple[str, float]) -> Expected:
    return Expected(after, expr, dict(samples))


def events(after: str, good: float, bad: float) -> tuple[Expected, ...]:
    """So many events stand in the recordings, and nothing else does."""
    return tuple(
        at(after, name, (OWN, value))
        for name, value in ((GOOD, good), (BAD, bad), (TOTAL, good + bad))
    )


# --- which counters ------------------------------------------------------------------------


def test_of_bad_and_total_the_good_follow(given: Scenario) -> None:
    sla = checkout(good=None, bad="failed_total", total="all_total")
    series = {
        'all_total{job="a",instance="1"}': "0+10x30",
        'failed_total{job="a",instance="1"}': "_x11 1x4 1+2x20",
    }
    # 50 in five minutes; the first failure, at minute 11, creates its series.
    given(sla, series, *events("10m", 50, 0), *events("12m", 49, 1), *events("25m", 40, 10))


def test_of_good_and_bad_the_total_is_the_sum(given: Scenario) -> None:
    """Fault 2 of shipped generators: the failure that creates its series is missed."""
    sla = checkout(good="ok_total", bad="failed_total", total=None)
    series = {
        'ok_total{job="a",instance="1"}': "0+10x30",
        'failed_total{job="a",instance="1"}': "_x11 1x4 1+2x20",  # told apart by the name alone
    }
    given(sla, series, *events("10m", 50, 0), *events("12m", 50, 1), *events("25m", 50, 10))


def test_what_was_never_bad_or_never_good_is_zero_not_absent(given: Scenario) -> None:
    lone = {'all_total{job="a",instance="1"}': "0+10x30"}
    given(checkout(good=None, bad="failed_total"), lone, *events("20m", 50, 0))
    given(checkout(), lone, *events("20m", 0, 50))


def test_a_query_counts_each_minute_that_has_an_answer(given: Scenario) -> None:
    """Three quarters of each minute are good; at night nothing is divided by nothing."""
    sla = checkout(kind=Query, query="ok_total / asked_total")
    series = {
        'ok_total{job="a",instance="1"}': "3x10 0x9 8x9 3x20",
        'asked_total{job="a",instance="1"}': "4x10 0x9 4x9 4x20",
    }
    given(
        sla,
        series,
        *events("9m", 3.75, 1.25),
        at("19m", TOTAL),  # 0/0 is no share, so these minutes are no events
        *events("27m", 5, 0),  # a share above one is one
        *events("45m", 3.75, 1.25),
        at("45m", f"{names.TOTAL}1h", (OWN, 34)),  # 36, and half of the last four lag
    )  # fmt: skip


# --- labels --------------------------------------------------------------------------------


def test_each_region_has_a_budget_and_a_page_of_its_own(given: Scenario) -> None:
    """Fault 4 of shipped generators: joined labels differ, and nothing ever fires."""
    sla = checkout(good='all_total{outcome="ok"}', total="all_total", by=("region",))

    def series(region: str, outcome: str) -> str:
        return f'all_total{{job="a",instance="1",region="{region}",outcome="{outcome}"}}'

    given(
        sla,
        {
            series("eu", "ok"): "0+100x240",
            series("us", "ok"): "0+100x120 12000x120",
            series("us", "failed"): "0x120 100+100x119",
            series("br", "failed"): "0+1x240",  # never good, too few for any other page
        },
        *(
            at("200m", f"sum by (region) ({name})", ('{region="eu"}', eu), ('{region="us"}', us),
               ('{region="br"}', br))
            for name, eu, us, br in ((GOOD, 500, 0, 0), (BAD, 0, 500, 5), (TOTAL, 500, 500, 5))
        ),
        at("200m", names.TARGET, *(
            (f'{{environment="default", objective="checkout", region="{r}", system="shop"}}', 0.99)
            for r in ("eu", "us", "br")
        )),
        at("200m", f"sum by (region, severity) (ALERTS{{alertname='{names.ALERT_ERROR_BUDGET_BURN}'"
           ",severity='page'})",
           ('{region="us", severity="page"}', 1), ('{region="br", severity="page"}', 1)),
        at("200m", f"count by (region) ({names.ERROR_BUDGET_REMAINING})",
           ('{region="eu"}', 1), ('{region="us"}', 1), ('{region="br"}', 1)),
        at("200m", f"sum by (region) ({names.BURN_RATE}{{window='5m'}})",
           ('{region="eu"}', 0), ('{region="us"}', 100), ('{region="br"}', 100)),
    )  # fmt: skip


def test_the_page_of_a_region_says_which_and_how_that_one_stands(given: Scenario) -> None:
    sla = checkout(by=("region",))
    series = {
        f'{name}{{job="a",instance="1",region="{region}"}}': "0+100x200"
        for name, region in (("ok_total", "eu"), ("all_total", "eu"), ("all_total", 'u\\"s'))
    }
    told = {
        "exp_labels": {
            "system": "shop", "environment": "default", "objective": "checkout",
            "region": 'u"s', "severity": "page", "owner": "web",
        },
        "exp_annotations": {
            "summary": 'checkout region u"s is burning its error budget',
            "description": "99% over 30d has to be good. Burn rate over 1h: 100. "
            "Budget left: 58.33%.",  # three of the 7.2 hours that may fail
        },
    }  # fmt: skip
    page = {"eval_time": "200m", "alertname": names.ALERT_ERROR_BUDGET_BURN, "exp_alerts": [told]}
    given(replace(sla, objectives=(without_tickets(sla),)), series, alerts=[page])


def without_tickets(sla: Sla) -> BudgetObjective:
    (objective,) = sla.budgets
    return replace(objective, policy=replace(objective.policy, ticket=()))


def test_a_region_that_falls_silent_is_missed_for_a_day(given: Scenario) -> None:
    sla = checkout(by=("region",))
    series = {
        f'{name}{{job="a",instance="1",region="{region}"}}': values
        for name in ("ok_total", "all_total")
        for region, values in (("eu", "0+5x400"), ("us", "0+5x30 stale"))
    }
    missing = f"sum by (region) (ALERTS{{alertname='{names.ALERT_OBJECTIVE_NO_DATA}'}})"
    given(sla, series, at("30m", missing), at("60m", missing, ('{region="us"}', 1)))


def test_the_failure_that_makes_a_region_known_is_counted_there(given: Scenario) -> None:
    sla = checkout(good='all_total{outcome="ok"}', total="all_total", by=("region",))
    series = {
        'all_total{job="a",instance="1",region="eu",outcome="ok"}': "0+10x40",
        'all_total{job="a",instance="1",region="us",outcome="failed"}': "_x21 1x20",
    }
    bad = f"sum by (region) ({BAD})"
    given(
        sla,
        series,
        at("20m", bad, ('{region="eu"}', 0)),
        at("21m", bad, ('{region="eu"}', 0), ('{region="us"}', 1)),
        at("25m", bad, ('{region="eu"}', 0), ('{region="us"}', 1)),
        at("26m", bad, ('{region="eu"}', 0), ('{region="us"}', 0)),
    )


# --- time that does not count --------------------------------------------------------------


def test_excluded_time_counts_neither_good_nor_bad(given: Scenario) -> None:
    """Everything fails from minute 60 to 90, and nobody minds; after it, failures count again."""
    away = Exclusion(
        datetime(1970, 1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 1, 30, tzinfo=UTC), "migration"
    )
    series = {
        'ok_total{job="a",instance="1"}': "0+10x60 600x29 610+10x90",
        'all_total{job="a",instance="1"}': "0+10x180",
    }
    given(
        checkout(exclude=(away,)),
        series,
        *events("59m", 50, 0),
        *events("60m", 0, 0),
        *events("94m", 0, 0),  # the last failure is still among the five minutes
        *events("95m", 50, 0),
        at("180m", f"sum_over_time({names.BAD}1h[3h:30m])", (OWN, 0)),
        at("120m", f"{names.HISTORY_HOURS}1h", (OWN, 1)),  # no gap: time without events
        at("92m", FIRING),
    )


def test_only_open_hours_count(given: Scenario) -> None:
    """Closed until minute 20 and from minute 40; before it opens and after it closes, all fails."""
    sla = checkout()
    sla = replace(sla, objectives=(replace(sla.budgets[0], during=sla.calendars["office"]),))
    series = {
        'ok_total{job="a",instance="1"}': "0x20 10+10x19 200x40",
        'all_total{job="a",instance="1"}': "0+10x80",
        'otelkit_calendar_open{system="shop",calendar="office"}': "0x19 1x19 0x9 _x40",
    }
    given(
        sla,
        series,
        *events("19m", 0, 0),
        *events("24m", 0, 0),  # minutes from before the opening are among the five
        *events("25m", 50, 0),
        *events("39m", 50, 0),
        *events("40m", 0, 0),
        at("60m", TOTAL),  # whether it is open is not known, so nothing is
    )


# --- environments --------------------------------------------------------------------------


def two_environments() -> Sla:
    sla = checkout(good='all_total{outcome="ok"}', total="all_total")
    return replace(
        sla,
        environments=(
            Environment("prod", {"env": "p"}, "page", sla.objectives),
            Environment("staging", {"env": "s"}, "ticket", sla.objectives),
        ),
    )


def test_each_environment_counts_its_own_series_and_a_page_may_be_a_ticket(given: Scenario) -> None:
    def series(env: str, outcome: str) -> str:
        return f'all_total{{job="a",instance="{env}",env="{env}",outcome="{outcome}"}}'

    burning = (
        f"sum by (environment, severity) (ALERTS{{alertname='{names.ALERT_ERROR_BUDGET_BURN}'}})"
    )
    silent = (
        f"sum by (environment, severity) (ALERTS{{alertname='{names.ALERT_OBJECTIVE_NO_DATA}'}})"
    )
    given(
        two_environments(),
        {
            series("p", "ok"): "0+100x120 stale",
            series("s", "failed"): "0+100x150",
        },
        *(
            at("100m", f"sum by (environment) ({name})",
               ('{environment="prod"}', prod), ('{environment="staging"}', staging))
            for name, prod, staging in ((GOOD, 500, 0), (BAD, 0, 500))
        ),
        at("100m", burning, ('{environment="staging", severity="ticket"}', 1)),
        at("150m", silent, ('{environment="prod", severity="ticket"}', 1)),
        at("150m", "count by (rule_group) (otelkit:rules_evaluated:timestamp_seconds)", *(
            (f'{{rule_group="otelkit.shop.{environment}.{part}"}}', 1)
            for environment in ("prod", "staging") for part in ("sli", "checkout")
        )),
    )  # fmt: skip


# --- what promtool cannot feed -------------------------------------------------------------


def test_a_native_histogram_is_promql_at_least(given: Scenario) -> None:
    """promtool 2.42 has no notation for its samples, so no event can be counted here."""
    base = checkout()
    service = next(iter(_service().services.values()))
    latency = Latency(
        "fast", "web", Decimal("0.99"), base.budgets[0].window,
        service=service, below=Decimal("0.3"), native=True, by=("http_route",),
    )  # fmt: skip
    given(replace(base, objectives=(latency,)), {}, at("10m", TOTAL))


def _service() -> Sla:
    from otelkit import spec

    text = "version: 1\nsystem: s\nservices: {api: {}}\nobjectives:\n"
    return spec.loads(text + "  - {name: a, service: api, availability: 99%}\n", "s.yaml")
