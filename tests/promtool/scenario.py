"""Raw series written by hand, and what the generated rules make of them, told by promtool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from otelkit import spec
from otelkit.model import BudgetObjective, Sla
from queries import rule_name, rule_texts

from .conftest import Program

CHECKOUT = """
version: 1
system: shop
owners: {web: {page: pager, ticket: desk}}
calendars: {office: {timezone: UTC, hours: {mon-fri: "09:00-18:00"}}}
objectives:
  - {name: checkout, owner: web, good: 'ok_total', total: 'all_total', target: 99%}
"""


def checkout(**changes: Any) -> Sla:
    """An SLA of one objective; ``changes`` are made to that objective, whatever the reader knows.

    A ``kind`` among them makes an objective of another kind of it.
    """
    sla = spec.loads(CHECKOUT, "sla.yaml")
    kind = changes.pop("kind", None)
    (objective,) = sla.budgets
    if kind is not None:
        common = {
            name: getattr(objective, name)
            for name in ("name", "owner", "target", "window", "policy", "by", "exclude", "during")
        }
        changed: BudgetObjective = kind(**common | changes)
    else:
        changed = replace(objective, **changes)
    return replace(sla, objectives=(changed,))


@dataclass(frozen=True, slots=True)
class Expected:
    """What an expression yields so long after the start: values by labels."""

    after: str
    expr: str
    samples: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs promtool on the rules of an SLA."""

    promtool: Program
    folder: Path
    kept: Callable[[str], bool] = lambda _: True
    """Which rules stay, by name; a scenario may write the series of the others itself."""

    def __call__(
        self,
        sla: Sla,
        series: Mapping[str, str],
        *expected: Expected,
        step: str = "1m",
        alerts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Everything expected holds. Values are compared to a thousandth.

        ``alerts`` are alert tests in promtool's own notation.
        """
        paths = self._write(sla)
        document = {
            "rule_files": paths,
            "evaluation_interval": step,
            "tests": [
                {
                    "interval": step,
                    "input_series": [{"series": s, "values": v} for s, v in series.items()],
                    "alert_rule_test": list(alerts),
                    "promql_expr_test": [
                        {
                            "eval_time": one.after,
                            "expr": f"round({one.expr}, 0.001)",
                            "exp_samples": [
                                {"labels": labels, "value": value}
                                for labels, value in one.samples.items()
                            ],
                        }
                        for one in expected
                    ],
                }
            ],
        }
        test = self.folder / "scenario.yml"
        test.write_text(yaml.safe_dump(document))
        done = self.promtool("test", "rules", test.name, folder=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def _write(self, sla: Sla) -> list[str]:
        paths = []
        for name, text in rule_texts(sla).items():
            group = yaml.safe_load(text)
            for one in group["groups"]:
                one["rules"] = [r for r in one["rules"] if self.kept(rule_name(r))]
            (self.folder / name).write_text(yaml.safe_dump(group))
            paths.append(name)
        checked = self.promtool("check", "rules", "--lint=all", "--lint-fatal", *paths,
                                folder=self.folder)  # fmt: skip
        assert checked.returncode == 0, checked.stderr
        return paths


@pytest.fixture
def given(promtool: Program, tmp_path: Path) -> Scenario:
    return Scenario(promtool, tmp_path)
