"""The cost of rules, where no Prometheus has to say it (:mod:`tests.servers.test_cost` does)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from otelkit import spec
from otelkit.generate.cost import Assumed, costs, samples
from otelkit.model import Environment

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml"


@pytest.mark.parametrize(
    ("promql", "read"),
    [
        ("vector(time())", 0),
        ("up unless up offset 5m", 40),
        ("sum(increase(requests_total[5m]))", 200),
        ("max_over_time((max(queue))[1h:1m])", 60),
        ("max_over_time((max by (a, b) (queue))[1h:1m])", 60 * 25),
        ("max_over_time((max without (a) (queue))[1h:1m])", 60 * 20),
        ("sum_over_time(otelkit:x{a='b'}[59m59s:1m]) / 5", 60),
        ("last_over_time(otelkit:x[59m59s]) > 1 or -otelkit:y", 61),
    ],
)
def test_an_expression_reads_what_its_selectors_match(promql: str, read: int) -> None:
    assert samples(promql, Assumed()) == read


def test_an_objective_with_labels_costs_a_budget_for_each_of_their_values() -> None:
    sla = spec.load(SHOP)
    narrow = replace(sla, objectives=(sla.budgets[0],))
    wide = replace(sla, objectives=(replace(sla.budgets[0], by=("region", "tier")),))
    assert costs(wide)[0].series == costs(narrow)[0].series * 25
    assert costs(wide)[0].samples > costs(narrow)[0].samples * 15


def test_each_environment_costs_as_much_as_it_would_alone() -> None:
    sla = spec.load(SHOP)
    prod = Environment("prod", {"env": "prod"}, "page", sla.objectives)
    staging = Environment("staging", {"env": "staging"}, "ticket", sla.objectives[:1])
    both = costs(replace(sla, environments=(prod, staging)))
    assert [cost.name for cost in both][-2:] == ["staging.api-availability", "staging.(all)"]
    alone = costs(replace(sla, environments=(prod,)))
    assert both[: len(alone)] == alone
    assert both[-2].samples == alone[0].samples
