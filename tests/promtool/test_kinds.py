"""Objectives of every kind, in an environment whose pages are tickets: one set of rules each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from otelkit import names, spec
from otelkit.generate import files, writer
from otelkit.model import Environment, Query, Selectors, Sla
from otelkit.verify import promtool as verify

from .conftest import SLA_FILES
from .scenario import Expected, Scenario, checkout, given

__all__ = ["given"]


def staging(sla: Sla, page_as: str = "ticket") -> Sla:
    one = Environment("staging", {"env": "s", "zone": "b"}, page_as, sla.objectives)
    return replace(sla, environments=(one,))


def every_kind() -> Sla:
    """The file with most in it, and the kinds that it has not, each with labels of its own."""
    full = spec.load(SLA_FILES["full"])
    office = full.calendars["workshop"]
    counters = {
        "of-bad": {"good": None, "bad": 'x_total{a="b"}', "total": "x_total"},
        "of-bad-apart": {"good": None, "bad": "failed_total", "total": "x_total"},
        "of-both": {"good": "good_total", "bad": "bad_total", "total": None},
        "of-good": {"good": 'y_total{a="b",c="d"}', "bad": None, "total": 'y_total{c="d"}'},
    }
    (base,) = checkout().budgets
    assert isinstance(base, Selectors)
    selectors = tuple(
        replace(base, name=name, by=("region", "tier"), during=office, **three)  # type: ignore[arg-type]
        for name, three in counters.items()
    )
    query = Query("query", "web", base.target, base.window, query="up == 1")
    return replace(full, objectives=(*full.objectives, *selectors, query))


def test_events_of_every_kind_are_proven_but_those_of_a_query(tmp_path: Path) -> None:
    sla = staging(every_kind(), "page")
    made = files.files(sla, "sla.yaml")
    writer.write(made, tmp_path, sla.system)
    proof = f"{files.PROOFS}/shop.staging.sli.test.yml"
    unproven = {o.name for o in sla.budgets if f'objective=\\"{o.name}\\"' not in made[proof]}
    assert unproven == {"query"}
    (verdict,) = verify.prove(verify.find(), [tmp_path / proof])
    assert verdict.passed, verdict.output
    assert "No proof covers the query itself" in made["alert_rules/shop.staging.sli.rules.yml"]


def test_where_a_page_is_a_ticket_each_alert_is_there_once(given: Scenario) -> None:
    """A queue's two limits are one alert, and so are an objective's page and its ticket."""
    queue = '{system="shop",queue="orders.dlq",env="s",zone="b"}'
    series = {
        f"otelkit_dlq_messages{queue}": "0x5 3x30",
        f"otelkit_dlq_oldest_message_timestamp_seconds{queue}": "300x60",
        f'otelkit_collector_tick_timestamp_seconds{queue[:-1]},shard="0"}}': "0+60x60",
    }
    firing = "sum by (alertname, severity) (ALERTS{alertname='DeadLetters'})"
    ticket = {'{alertname="DeadLetters", severity="ticket"}': 1.0}
    given(
        staging(spec.load(SLA_FILES["full"])),
        series,
        Expected("4m", firing, {}),
        Expected("30m", firing, ticket),
    )
    severities = {
        rule["labels"]["severity"]
        for path in given.folder.glob("*.rules.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert severities == {names.SEVERITY_TICKET}
