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
"""In which the events of an objective were last counted; rules are evaluated each minute."""

_CLOSED: Final = "4d"
"""The same where events count in business hours only: a long weekend is no failure."""


class Verdict(StrEnum):
    """What is said of one objective, and of all of them."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Queries(Protocol):
    """As much of a Prometheus as a gate needs."""

    def query(self, expr: str) -> list[Sample]:
        """An expression, now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One budget: ``left`` is the share that remains, below 0 when it is overspent.

    ``labels`` are the objective's ``by`` labels; ``left`` is None where nothing is on record.
    """

    objective: str
    environment: str
    labels: tuple[tuple[str, str], ...]
    left: float | None
    verdict: Verdict


def findings(
    sla: Sla, prometheus: Queries, freeze_below: Decimal, chosen: Iterable[BudgetObjective]
) -> list[Finding]:
    """The budgets of the chosen objectives of an SLA that was narrowed to one environment."""
    environment = sla.environment.name if sla.environment else names.DEFAULT_ENVIRONMENT
    own = f'system="{sla.system}",environment="{environment}"'
    samples = prometheus.query(f"{names.ERROR_BUDGET_REMAINING}{{{own}}}")
    return [
        finding if _counted(objective, own, prometheus) else _doubted(finding)
        for objective in chosen
        for finding in _of(objective, environment, samples, freeze_below)
    ]


def _counted(objective: BudgetObjective, own: str, prometheus: Queries) -> bool:
    """Whether events still come in: a budget stays on record for a month after the last one.

    Asked of the objective as a whole, since a value of its ``by`` labels may be gone for good.
    """
    events = f'{names.TOTAL}5m{{{own},objective="{objective.name}"}}'
    within = _CLOSED if objective.during else _FRESH
    return bool(prometheus.query(f"count_over_time({events}[{within}])"))


def _doubted(finding: Finding) -> Finding:
    """What was spent stays spent, but what was left may be gone since."""
    if finding.verdict is Verdict.YES:
        return replace(finding, verdict=Verdict.UNKNOWN)
    return finding


def _of(
    objective: BudgetObjective, environment: str, samples: Sequence[Sample], freeze_below: Decimal
) -> Iterator[Finding]:
    found = [s for s in samples if s.labels.get("objective") == objective.name]
    if not found:
        yield Finding(objective.name, environment, (), None, Verdict.UNKNOWN)
    for sample in found:
        labels = tuple((label, sample.labels.get(label, "")) for label in objective.by)
        if sample.value != sample.value:  # NaN: Prometheus had nothing to divide
            yield Finding(objective.name, environment, labels, None, Verdict.UNKNOWN)
            continue
        verdict = Verdict.NO if sample.value < freeze_below else Verdict.YES
        yield Finding(objective.name, environment, labels, sample.value, verdict)


def overall(found: Sequence[Finding]) -> Verdict:
    """No if any objective says no; yes only if all say yes, and there is one."""
    verdicts = {finding.verdict for finding in found}
    if Verdict.NO in verdicts:
        return Verdict.NO
    return Verdict.YES if verdicts == {Verdict.YES} else Verdict.UNKNOWN
