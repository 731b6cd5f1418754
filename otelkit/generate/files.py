"""Every file that is generated from an SLA file, by its path below the output folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from otelkit import slo
from otelkit.generate import alerts, budget, health, operator, proofs, raw, silence, sli, stack
from otelkit.generate.course import Terms
from otelkit.generate.dashboards import dashboards
from otelkit.generate.form import Form
from otelkit.generate.proof import Test, proof_file
from otelkit.generate.rule import Group, Rule, rule_file
from otelkit.generate.scope import group_name, narrowed
from otelkit.model import BudgetObjective, Objective, Sla

RULES = "alert_rules"
PROOFS = "proofs"
DASHBOARDS = "dashboards"
DEPLOY = "collectors"
IN_FULL = 2
"""So many objectives of the same target, window and policy have proofs in full.

Their rules differ in nothing but selectors, so one would do; the second shows that it is so.
"""
SHORT = "In short"
"""How a proof says that it leaves something out."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The tests of a rule file, made when they are asked for: they take longer than the rules.

    ``short`` ones leave out what is proven in full of other objectives on the same terms.
    """

    tests: Callable[[], Iterable[Test]]
    short: bool = False


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One group of rules in a file of its own, and the tests that prove it.

    A file for each objective keeps a change small to review, and lets a proof load the rules of
    its objective alone and put series in the place of the events that they read.
    """

    group: Group
    purpose: str
    proof: Proof


def files(
    sla: Sla, source: str, *, whole_stack: bool = False, form: Form = Form.PROMETHEUS
) -> dict[str, str]:
    """Path to text, in a fixed order. ``source`` is the SLA file's name, for the headers.

    ``whole_stack`` adds a prometheus.yml and an alertmanager.yml of their own, for those who have
    none to merge the fragments into. As resources for the operator rules have no proofs, because
    promtool cannot read them: the same rules are proven in the other form.
    """
    source = source if source.isprintable() else ascii(source)  # it stands in comments
    as_resources = form is Form.OPERATOR
    found = {
        **(_resources(sla, source) if as_resources else _rules(sla, source)),
        **_dashboards(sla),
        f"{DEPLOY}/{sla.system}.scrape.yml": stack.scrape_jobs(sla, source),
    }
    if as_resources:
        path = f"{DEPLOY}/{sla.system}.alertmanagerconfig.yml"
        found[path] = operator.alertmanager_config(sla, source)
    else:
        found[f"{DEPLOY}/{sla.system}.routes.yml"] = stack.routes(sla, source)
    if whole_stack:
        found[f"{DEPLOY}/prometheus.yml"] = stack.prometheus(sla, source)
        found[f"{DEPLOY}/alertmanager.yml"] = stack.alertmanager(sla, source)
    return found


def rule_files(sla: Sla) -> tuple[RuleFile, ...]:
    """The rules of each environment: events first, then objectives, then what watches them all."""
    return tuple(file for one in narrowed(sla) if one.objectives for file in _of_environment(one))


def _of_environment(sla: Sla) -> Iterator[RuleFile]:
    measured = tuple(_measured(sla))
    yield from measured
    watched = tuple(file.group.name for file in measured)
    yield RuleFile(
        health.group(sla, watched),
        "Alerts about missing data, a stale collector and rules that stand still.",
        Proof(lambda: silence.tests(sla, watched)),
    )


def _measured(sla: Sla) -> Iterator[RuleFile]:
    events = sli.group(sla)
    if events.rules:
        yield RuleFile(
            health.with_heartbeat(sla, events),
            "The events of each objective: what the budgets count.",
            Proof(lambda: raw.tests(sla)),
        )
    alike: Counter[Terms] = Counter()
    for objective in sla.objectives:
        rules: tuple[Rule, ...] = (
            *budget.recordings(sla, objective),
            *alerts.alerts(sla, objective),
        )
        yield RuleFile(
            health.with_heartbeat(sla, Group(group_name(sla, objective.name), rules)),
            f"The budget and the alerts of {objective.name}.",
            _proof(sla, objective, alike),
        )


def _proof(sla: Sla, objective: Objective, alike: Counter[Terms]) -> Proof:
    """In full for the first objectives on the same terms: the rules of the others are the same."""
    short = False
    if isinstance(objective, BudgetObjective):
        terms = Terms.of(objective)
        alike[terms] += 1
        short = alike[terms] > IN_FULL
    return Proof(lambda: proofs.objective(sla, objective, short=short), short)


def _rules(sla: Sla, source: str) -> dict[str, str]:
    found = {}
    for file in rule_files(sla):
        stem = _stem(file)
        rules = f"{RULES}/{stem}.rules.yml"
        found[rules] = rule_file(file.group, source=source, purpose=file.purpose)
        for evaluated, tests in _by_interval(file.proof.tests()).items():
            found[f"{PROOFS}/{stem}{_ending(evaluated)}.test.yml"] = proof_file(
                tests,
                f"../{rules}",
                source=source,
                purpose=_purpose(rules, file.proof),
                evaluated=evaluated,
            )
    return found


def _by_interval(tests: Iterable[Test]) -> dict[int, list[Test]]:
    """promtool evaluates all tests of a file at one interval, so each has a file of its own."""
    found: dict[int, list[Test]] = {}
    for test in tests:
        found.setdefault(test.evaluated, []).append(test)
    return found


def _ending(evaluated: int) -> str:
    return "" if evaluated == 1 else f".{slo.promql_duration(timedelta(minutes=evaluated))}"


def _purpose(rules: str, proof: Proof) -> str:
    said = f"Proves {rules}; run it with: promtool test rules"
    if proof.short:
        said += f"\n# {SHORT}: {IN_FULL} objectives on the same terms are proven in full."
    return said


def _resources(sla: Sla, source: str) -> dict[str, str]:
    return {
        f"{RULES}/{_stem(file)}.prometheusrule.yml": operator.prometheus_rule(
            sla, file.group, source=source, purpose=file.purpose
        )
        for file in rule_files(sla)
    }


def _stem(file: RuleFile) -> str:
    return file.group.name.removeprefix("otelkit.")


def _dashboards(sla: Sla) -> dict[str, str]:
    return {
        f"{DASHBOARDS}/{name}": json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
        for one in narrowed(sla)
        if one.objectives
        for name, dashboard in dashboards(one).items()
    }
