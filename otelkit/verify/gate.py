"""May we release? Not while an objective has less of its budget left than the SLA file asks for.

What is not measured is never a yes: an objective without a budget on record is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from otelkit import names
from otelkit.model import BudgetObjective, Sla
from otelkit.verify.prometheus import Sample

_FRESH: Final = "10m"
"""In which events were last counted, be it none: rules are evaluated each minute."""

_MISSED: Final = "1d"
"""So long a value of the labels ``by`` is missed, by ObjectiveNoData too; then it is gone."""

Labels = tuple[tuple[str, str], ...]
"""The labels ``by`` of one budget, with their values."""


class Verdict(StrEnum):
    """What is said of one objective, and of all of them."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    GONE = "gone"
    """Of one value among others of an objective: it has no say any more."""


class Queries(Protocol):
    """As much of a Prometheus as a gate needs."""

    def query(self, expr: str) -> list[Sample]:
        """An expression, now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One budget: ``left`` is the share that remains, below 0 when it is overspent.

    ``left`` is None where nothing is on record.
    """

    objective: str
    environment: str
    labels: Labels
    left: float | None
    verdict: Verdict


def findings(
    sla: Sla, prometheus: Queries, freeze_below: Decimal, chosen: Iterable[BudgetObjective]
) -> list[Finding]:
    """The budgets of the chosen objectives of an SLA that was narrowed to one environment."""
    environment = sla.environment.name if sla.environment else names.DEFAULT_ENVIRONMENT
    own = f'system="{sla.system}",environment="{environment}"'
    samples = prometheus.query(f"{names.ERROR_BUDGET_REMAINING}{{{own}}}")
    found: list[Finding] = []
    for objective in chosen:
        budgets = list(_of(objective, environment, samples, freeze_below))
        fresh = _counted(objective, own, prometheus, _FRESH)
        silent = [one for one in budgets if one.labels not in fresh]
        missed = _counted(objective, own, prometheus, _MISSED) if silent and fresh else None
        found += [_doubted(one, missed) if one in silent else one for one in budgets]
    return found


def _counted(
    objective: BudgetObjective, own: str, prometheus: Queries, within: str
) -> frozenset[Labels]:
    """Whose events were counted: a budget stays on record for a month after the last one."""
    events = f'{names.TOTAL}5m{{{own},objective="{objective.name}"}}'
    found = prometheus.query(f"present_over_time({events}[{within}])")
    return frozenset(_labels(objective, sample) for sample in found)


def _doubted(silent: Finding, missed: frozenset[Labels] | None) -> Finding:
    """A budget whose events are not counted; ``missed`` are those of which some lately were.

    None where nothing of the objective is counted. What was spent stays spent, but what was left
    may be gone since.
    """
    if missed is not None and silent.labels not in missed:
        return replace(silent, verdict=Verdict.GONE)
    return replace(silent, verdict=Verdict.UNKNOWN) if silent.verdict is Verdict.YES else silent


def _labels(objective: BudgetObjective, sample: Sample) -> Labels:
    return tuple((label, sample.labels.get(label, "")) for label in objective.by)


def _of(
    objective: BudgetObjective, environment: str, samples: Sequence[Sample], freeze_below: Decimal
) -> Iterator[Finding]:
    found = [s for s in samples if s.labels.get("objective") == objective.name]
    if not found:
        yield Finding(objective.name, environment, (), None, Verdict.UNKNOWN)
    for sample in found:
        labels = _labels(objective, sample)
        if sample.value != sample.value:  # NaN: Prometheus had nothing to divide
            yield Finding(objective.name, environment, labels, None, Verdict.UNKNOWN)
            continue
        verdict = Verdict.NO if sample.value < freeze_below else Verdict.YES
        yield Finding(objective.name, environment, labels, sample.value, verdict)


def overall(found: Sequence[Finding]) -> Verdict:
    """No if any objective says no; yes only if all say yes, and there is one."""
    verdicts = {finding.verdict for finding in found} - {Verdict.GONE}
    if Verdict.NO in verdicts:
        return Verdict.NO
    return Verdict.YES if verdicts == {Verdict.YES} else Verdict.UNKNOWN
