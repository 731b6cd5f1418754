"""``otelkit explain`` and ``generate --max-samples``, as people and scripts run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_commands import SHOP, otelkit


def test_explain_says_when_alerts_fire_and_what_they_cost() -> None:
    done = otelkit("explain", SHOP)
    assert done.code == 0
    lines = [" ".join(line.replace("│", " ").split()) for line in done.out.splitlines()]
    at = lines.index("api-availability")
    assert lines[at + 1 : at + 4] == [
        "page ErrorBudgetBurn 1m 3h39m never 33m",
        "ticket ErrorBudgetBurn 1h6m 8h14m 1d13h 6h2m",
        "ticket ObjectiveNoData 20m - - 1m",
    ]
    assert "page RulesNotEvaluating 16m - - 0m" in lines
    assert "page DeadLetters 6m - - 0m" in lines
    assert any(line.startswith("api-availability 2,592 ") for line in lines)
    assert "delivered-on-time: 2% in 1h takes a full outage 43.2m (2% of 5% of 30d)" in done.out
    assert "20 series a selector, scraped every 30 s; 60 events a minute." in done.err


def test_explain_as_json_holds_minutes_and_leaves_out_burns_that_cannot_be(tmp_path: Path) -> None:
    sla = tmp_path / "sla.yaml"
    sla.write_text(
        "version: 1\nsystem: s\nservices: {api: {owner: web}}\n"
        "owners: {web: {page: p, ticket: t}}\n"
        "objectives: [{name: low, service: api, availability: 80%}]\n"
    )
    (one,) = otelkit("explain", sla, "--events-per-minute", "0.5", "--json").json["objectives"]
    assert (one["objective"], one["failures_allowed"]) == ("low", 4320)
    page, ticket, silence = one["alerts"]
    assert page == {
        "alert": "ErrorBudgetBurn",
        "severity": "page",
        "full_outage": 17,
        "at_burn": {"2": 40},
        "reset": 24,
    }
    assert (ticket["severity"], silence["alert"]) == ("ticket", "ObjectiveNoData")
    assert [said[:9] for said in one["reservations"]] == ["2% in 1h ", "5% in 6h "]


def test_explain_of_one_objective_leaves_out_the_others() -> None:
    done = otelkit("explain", SHOP, "--objective", "api-latency", "--json")
    assert [one["objective"] for one in done.json["objectives"]] == ["api-latency"]
    done = otelkit("explain", SHOP, "--objective", "api")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        "otelkit: there is no objective 'api'; there are api-availability, api-latency, "
    )


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "many", ""])
def test_explain_takes_only_numbers_of_events_above_zero(number: str) -> None:
    done = otelkit("explain", SHOP, "--events-per-minute", number)
    assert (done.code, done.out) == (1, "")
    assert f"{number!r} is no number above 0; write one such as 0.5 or 1200" in done.err


def test_generate_refuses_rules_that_read_too_much_and_names_the_dearest(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    samples = otelkit("explain", SHOP, "--json").json["samples"]
    done = otelkit("generate", SHOP, "-o", folder, "--max-samples", str(samples - 1))
    assert (done.code, done.out, folder.exists()) == (1, "", False)
    assert done.err.startswith(
        f"otelkit: the rules read {samples:,} samples in one evaluation, and --max-samples allows "
        f"{samples - 1:,}; the dearest are manufacturing-on-time "
    )
    assert "no-dead-letters" not in done.err
    done = otelkit("generate", SHOP, "-o", folder, "--max-samples", str(samples))
    assert done.code == 0
    assert f"{samples:,} samples in one evaluation, assuming 20 series a selector" in done.err
