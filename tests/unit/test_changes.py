"""What a change of an SLA file means for those on call, sentence by sentence."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from otelkit import model, spec
from otelkit.generate.changes import Change, changes
from otelkit.generate.differences import _IN_WORDS

SHOP = (Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml").read_text()
CASES = Path(__file__).parent / "data" / "changes.yaml"
BLACKOUT = model.Exclusion(
    datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 4, tzinfo=UTC), "migration"
)


def said(old: model.Sla, new: model.Sla) -> list[str]:
    return [f"{c.objective or '-'} ({c.owner}): {c.text}" for c in changes(old, new)]


@pytest.mark.parametrize("case", yaml.safe_load(CASES.read_text()), ids=lambda case: case["by"])
def test_a_change_is_told_in_the_words_of_those_on_call(case: dict[str, Any]) -> None:
    assert case["replace"] in SHOP
    changed = SHOP.replace(case["replace"], case["by"])
    assert said(spec.loads(SHOP, "old"), spec.loads(changed, "new")) == case["means"]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({"by": ("region",)}, ["has a budget for each region instead of all events together"]),
        (
            {"exclude": (BLACKOUT,)},
            ["leaves out 2026-03-01 00:00 to 2026-03-01 04:00 UTC (migration)"],
        ),
        (
            {"window": model.Window(timedelta(days=30), "month")},
            ["its budget is for a month instead of 30d"],
        ),
        (
            {"policy": replace(model.DEFAULT_POLICY, page=(), min_bad_events=5)},
            ["no longer pages on a burn", "takes 5 bad events to alert instead of 2"],
        ),
        (
            {"policy": replace(model.DEFAULT_POLICY, page=model.DEFAULT_POLICY.page[:1])},
            [
                "pages on a burn of 2% in 1h instead of 2% in 1h or 5% in 6h",
                "never pages at a burn of 10, before after 3h39m",
            ],
        ),
    ],
)
def test_a_change_of_alerting_is_told(change: dict[str, object], sentences: list[str]) -> None:
    old = spec.loads(SHOP, "old")
    first = replace(old.budgets[0], **change)  # type: ignore[arg-type]
    found = changes(old, replace(old, objectives=(first, *old.objectives[1:])))
    assert [one.text for one in found] == sentences


def test_environments_are_compared_one_by_one() -> None:
    sla = spec.loads(SHOP, "old")
    prod = model.Environment("prod", {"env": "prod"}, "page", sla.objectives)
    staging = replace(prod, name="staging", page_as="ticket", objectives=sla.objectives[:1])
    stricter = (replace(sla.budgets[0], target=Decimal("0.9999")),)
    old = replace(sla, environments=(prod, staging))
    new = replace(sla, environments=(prod, replace(staging, page_as="page", objectives=stricter)))
    first, second, *_ = changes(old, new)
    assert first == Change(
        "staging", "everyone", None, "pages of staging are now pages, before tickets"
    )
    assert second.text == "99.99% has to be good instead of 99.9%"
    lower = replace(staging, objectives=(replace(sla.budgets[0], target=Decimal("0.99")),))
    assert [one.text for one in changes(old, replace(sla, environments=(prod, lower)))] == [
        "99% has to be good instead of 99.9%",
        "opens a ticket after 11m instead of 1m at a full outage",
    ]
    gone = changes(old, replace(sla, environments=(prod,)))
    assert [one.text for one in gone] == [
        "environment staging: is gone, and all its alerts",
        "is gone, and its alerts with it",
    ]


def test_every_field_of_an_objective_has_words_or_is_named_itself() -> None:
    kinds = (model.Availability, model.Latency, model.Selectors, model.Query, model.Clock)
    known = {field.name for kind in (*kinds, model.QueueLimit) for field in fields(kind)}
    assert known - _IN_WORDS == {"native"}
    old = spec.loads(SHOP, "old")
    latency = replace(old.objectives[1], native=True)  # type: ignore[call-arg]
    new = replace(old, objectives=(old.objectives[0], latency, *old.objectives[2:]))
    assert said(old, new) == ["api-latency (web): has native True instead of False"]
