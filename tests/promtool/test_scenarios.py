"""The scenario table: what rules.md promises, what a simulator that knows no PromQL says, and
what docs/scenarios.md shows are the same.

All rows run here, the longest three days of minutes; the whole takes about a minute on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pytest

import simulator
from measuring import CLASSIC, OTELKIT, Measured, Scenario, measure
from otelkit.verify import promtool as verify
from scenarios import PAGE_FILE, row, scenarios
from simulator import PAGE, TICKET

from .conftest import Program

Seen = dict[tuple[str, str], Measured]

PROMISED: Final = {
    "full outage of 30 min": 1,
    "20 x burn": 45,
    "10 x burn": 218,
    "10 requests an hour, sustained, new series": 10,
    "full outage at 99 %, a day old": 11,
    "full outage at 95 %, a day old": 17,
    "full outage at 90 %, a day old": 17,
    "full outage at night, 1 h": 27,
    "full outage by day after a night": 1,
    "fails 5 min, then no traffic": 1,
    "latency 99 %, full outage": 11,
    "orders 95 %, full outage": 17,
    "gauge 99 %, full outage": 11,
}
"""The latest minute of the first page. In every other row nobody is woken."""
TICKETS: Final = {
    "full outage of 30 min",
    "10 requests an hour, sustained, new series",
    "full outage at 99 %, a day old",
    "full outage by day after a night",
    "fails 5 min, then no traffic",
    "latency 99 %, full outage",
    "gauge 99 %, full outage",
    "4 x burn for a day, 2 days old",
}
"""The rows in which a tenth of the budget is gone."""


@pytest.fixture(scope="module")
def seen(promtool: Program) -> Iterator[dict[str, Future[Seen]]]:  # noqa: ARG001 - it is there
    found = verify.find()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # The long rows first, so that no core waits for the last of them.
        rows = sorted(scenarios(), key=lambda scenario: -scenario.length)
        yield {scenario.name: pool.submit(measure, scenario, found) for scenario in rows}


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_the_rules_do_what_the_scenario_table_says(
    scenario: Scenario, seen: dict[str, Future[Seen]]
) -> None:
    found = seen[scenario.name].result()
    page, ticket = found[OTELKIT, PAGE], found[OTELKIT, TICKET]
    onset = len(scenario.before)
    promised = PROMISED.get(scenario.name)
    assert (page.first is not None) == (promised is not None)
    if page.first is not None and promised is not None:
        assert onset < page.first <= onset + promised
    assert (ticket.first is not None) == (scenario.name in TICKETS)
    assert page.times <= 1, "one incident pages once"
    assert ticket.times <= 1
    assert row(scenario, found) in PAGE_FILE.read_text(), "run make scenarios"


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_prometheus_fires_in_the_minutes_of_the_simulator(
    scenario: Scenario, seen: dict[str, Future[Seen]]
) -> None:
    found = seen[scenario.name].result()
    promise = simulator.Promise(float(scenario.target.rstrip("%")) / 100)
    for severity, expected in simulator.firing(promise, scenario.minutes).items():
        measured = found[OTELKIT, severity]
        assert (measured.first, measured.last, measured.times) == (
            expected.first,
            expected.last,
            expected.times,
        ), severity


def test_the_classic_has_the_faults_and_the_wins_that_the_page_names(
    seen: dict[str, Future[Seen]],
) -> None:
    def classic(name: str, severity: str = PAGE) -> Measured:
        return seen[name].result()[CLASSIC, severity]

    assert classic("10 requests an hour, one failure").first, "pages for one failure"
    assert not classic("the same, the failure creates its series").first, "misses it"
    assert classic("5 x burn for 8 h, 3 h old", TICKET).first, "a false ticket"
    assert classic("two nights of 10 per 5 min failing half").first, "a false page"
    assert classic("three errors at night").first, "a false page"
    night = "full outage at night, 1 h"
    first, ours = classic(night).first, seen[night].result()[OTELKIT, PAGE].first
    assert first is not None
    assert ours is not None
    assert first < ours, "its win"
