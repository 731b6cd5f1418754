"""What `generate --stack` writes, as the programs see it that have to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from otelkit import names, spec
from otelkit.generate import files
from otelkit.generate.stack import UNROUTED
from otelkit.model import Environment, Sla
from queries import rule_texts, rules
from shop.prometheus import Alertmanager
from shop.waiting import until

from .conftest import SLA_FILES, Program
from .scenario import checkout

Labels = dict[str, str]
Told = set[tuple[str, str, str]]
"""Alerts by name, objective and severity."""
Hidden = Callable[[Iterable[Labels], Told], Told]
PAGE, TICKET = names.SEVERITY_PAGE, names.SEVERITY_TICKET


def test_prometheus_takes_the_rules_and_the_configuration(
    promtool: Program, stack: tuple[Path, Path]
) -> None:
    sla, folder = stack
    made = sorted((folder / files.RULES).iterdir())
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, made))
    assert done.returncode == 0, done.stderr
    done = promtool("check", "config", str(folder / files.DEPLOY / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(made)} rule files found" in done.stdout
    system = spec.load(sla).system
    done = promtool("check", "config", str(folder / files.DEPLOY / f"{system}.scrape.yml"))
    assert done.returncode == 0, done.stderr


def test_alertmanager_takes_the_configuration(amtool: Program, stack: tuple[Path, Path]) -> None:
    done = amtool("check-config", str(stack[1] / files.DEPLOY / "alertmanager.yml"))
    assert done.returncode == 0, done.stderr


def test_every_alert_reaches_the_receiver_of_its_owner_and_other_alerts_nobody_here(
    amtool: Program, stack: tuple[Path, Path]
) -> None:
    path, folder = stack
    sla = spec.load(path)
    config = str(folder / files.DEPLOY / "alertmanager.yml")

    def receiver(labels: Labels) -> str:
        given = [f"{name}={value}" for name, value in labels.items()]
        return amtool("config", "routes", "test", f"--config.file={config}", *given).stdout.strip()

    for owner in sla.owners.values():
        own = {"alertname": "Any", "system": sla.system, "owner": owner.name}
        assert receiver(own | {"severity": PAGE}) == owner.page
        assert receiver(own | {"severity": TICKET}) == owner.ticket
        assert receiver(own | {"severity": PAGE, "system": "other"}) == UNROUTED
    assert receiver({"alertname": "NodeDown", "severity": PAGE}) == UNROUTED
    wanted = {labels["owner"] for labels in alerts(path)}
    assert wanted <= set(sla.owners)


# --- a real Alertmanager -------------------------------------------------------------------


def alerts(path: Path) -> list[Labels]:
    """The labels of every alert in the rules of an SLA file."""
    return [
        rule["labels"] | {"alertname": rule["alert"]}
        for text in rule_texts(spec.load(path)).values()
        for rule in rules(text)
        if "alert" in rule
    ]


def told(labels: Labels) -> tuple[str, str, str]:
    return labels["alertname"], labels.get("objective", ""), labels["severity"]


@pytest.fixture
def hidden(start_alertmanager: Callable[[str], Alertmanager]) -> Hidden:
    """Posts alerts to an Alertmanager with the shop's configuration; answers those it hides."""
    return hidden_by(start_alertmanager, spec.load(SLA_FILES["shop"]))


def hidden_by(start_alertmanager: Callable[[str], Alertmanager], sla: Sla) -> Hidden:
    """It hides them a moment after it has taken them, so this waits for what is expected."""
    made = files.files(sla, "sla.yaml", whole_stack=True)
    server = start_alertmanager(made[f"{files.DEPLOY}/alertmanager.yml"])

    def post(firing: Iterable[Labels], expected: Told) -> Told:
        now = datetime.now(UTC).isoformat()
        sent = [{"labels": labels, "startsAt": now} for labels in firing]
        httpx.post(f"{server.url}/api/v2/alerts", json=sent).raise_for_status()
        until(lambda: shown(server) == (len(sent), expected), 10)
        count, found = shown(server)
        assert count == len(sent)
        return found

    return post


def shown(server: Alertmanager) -> tuple[int, Told]:
    """How many alerts there are, and which of them are hidden by another."""
    found = httpx.get(f"{server.url}/api/v2/alerts").json()
    return len(found), {told(one["labels"]) for one in found if one["status"]["inhibitedBy"]}


def test_a_page_hides_its_own_ticket_and_no_other(hidden: Hidden) -> None:
    calm = ("api-latency", "checkout")
    firing = [
        labels
        for labels in alerts(SLA_FILES["shop"])
        if labels["alertname"] in (names.ALERT_ERROR_BUDGET_BURN, names.ALERT_DEAD_LETTERS)
        if labels["severity"] == TICKET or labels["objective"] not in calm
    ]
    expected = {
        ("ErrorBudgetBurn", "api-availability", TICKET),
        ("ErrorBudgetBurn", "manufacturing-on-time", TICKET),
        ("ErrorBudgetBurn", "delivered-on-time", TICKET),
        ("DeadLetters", "no-dead-letters", TICKET),
    }
    assert hidden(firing, expected) == expected


def test_a_stale_collector_hides_what_it_says_of_orders_and_dead_letters(hidden: Hidden) -> None:
    firing = [
        labels
        for labels in alerts(SLA_FILES["shop"])
        if (labels["alertname"], labels["severity"]) != (names.ALERT_ERROR_BUDGET_BURN, TICKET)
    ]
    expected = {
        ("ErrorBudgetBurn", "manufacturing-on-time", PAGE),
        ("ErrorBudgetBurn", "delivered-on-time", PAGE),
        ("OrdersOverdue", "manufacturing-on-time", PAGE),
        ("OrdersOverdue", "manufacturing-on-time", TICKET),
        ("OrdersOverdue", "delivered-on-time", TICKET),
        ("OrdersAtRisk", "manufacturing-on-time", TICKET),
        ("DeadLetters", "no-dead-letters", PAGE),
        ("DeadLetters", "no-dead-letters", TICKET),
        ("ObjectiveNoData", "manufacturing-on-time", TICKET),
        ("ObjectiveNoData", "delivered-on-time", TICKET),
        ("ObjectiveNoData", "no-dead-letters", TICKET),
    }
    assert hidden(firing, expected) == expected
    assert {told(labels) for labels in firing} - expected == {
        ("CollectorStale", "", PAGE),
        ("RulesNotEvaluating", "", PAGE),
        ("ErrorBudgetBurn", "api-availability", PAGE),
        ("ErrorBudgetBurn", "api-latency", PAGE),
        ("ErrorBudgetBurn", "checkout", PAGE),
        ("ObjectiveNoData", "api-availability", TICKET),
        ("ObjectiveNoData", "api-latency", TICKET),
        ("ObjectiveNoData", "checkout", TICKET),
    }


def test_pages_of_another_system_hide_nothing_here(hidden: Hidden) -> None:
    every = alerts(SLA_FILES["shop"])
    tickets = [one for one in every if one["severity"] == TICKET]
    pages = [one for one in every if one["severity"] == PAGE]
    own = next(one for one in pages if one["alertname"] == names.ALERT_ERROR_BUDGET_BURN)
    elsewhere = [one | {"system": "other"} for one in pages]
    expected = {("ErrorBudgetBurn", "api-availability", TICKET)}
    assert hidden([*tickets, *elsewhere, own], expected) == expected


def test_a_page_of_one_region_or_environment_hides_no_ticket_of_another(
    start_alertmanager: Callable[[str], Alertmanager],
) -> None:
    sla = checkout(by=("region",))
    environments = (
        Environment("prod", {"env": "p"}, PAGE, sla.objectives),
        Environment("staging", {"env": "s"}, PAGE, sla.objectives),
    )
    hidden = hidden_by(start_alertmanager, replace(sla, environments=environments))

    def burning(objective: str, environment: str, region: str, severity: str) -> Labels:
        own = {"alertname": names.ALERT_ERROR_BUDGET_BURN, "system": "shop", "region": region}
        return own | {"environment": environment, "objective": objective, "severity": severity}

    firing = [
        burning("checkout", "prod", "eu", PAGE),
        burning("checkout", "prod", "us", TICKET),
        burning("checkout", "staging", "eu", TICKET),
        burning("other", "prod", "eu", PAGE),
        burning("other", "prod", "eu", TICKET),
    ]
    expected = {("ErrorBudgetBurn", "other", TICKET)}
    assert hidden(firing, expected) == expected
