"""What ``otelkit check --prometheus`` asks, and how it says what it heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otelkit.cli.output import note, plural, progress

if TYPE_CHECKING:
    from otelkit.model import BudgetObjective, Sla
    from otelkit.verify.live import Finding, Reading
    from otelkit.verify.promql import Read

_COUNTED: Final = {"increase", "rate", "irate"}
"""Functions that take their argument for a counter."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a Prometheus has of what the rules read: so many selectors, and what is wrong."""

    address: str
    selectors: int
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> bool:
        """Whether rules cannot work there."""
        from otelkit.verify.live import Level

        return any(one.level is Level.MISSING for one in self.findings)

    def answer(self) -> dict[str, Any]:
        """For programs."""
        return {
            "address": self.address,
            "selectors": self.selectors,
            "findings": [
                {
                    "level": str(one.level),
                    "environment": one.reading.environment,
                    "objective": one.reading.objective or None,
                    "selector": one.reading.selector.text,
                    "found": one.found,
                    "next": one.advice,
                }
                for one in self.findings
            ],
        }

    def say(self) -> None:
        """For people."""
        for one in self.findings:
            where = f"{_name(one.reading)}: {one.reading.selector.text}"
            print(f"{one.level}: {where}: {one.found}; {one.advice}")
        wrong = plural(len(self.findings), "finding") if self.findings else "nothing missing"
        note(f"{self.address}: {plural(self.selectors, 'selector')} asked for, {wrong}")


def _name(reading: Reading) -> str:
    from otelkit import names

    name = reading.objective or "collector"
    known = reading.environment == names.DEFAULT_ENVIRONMENT
    return name if known else f"{reading.environment}.{name}"


def ask(sla: Sla, address: str, token: str | None, *, quiet: bool) -> Asked:
    """Ask for everything that the rules of the SLA file read."""
    from otelkit.verify.live import findings
    from otelkit.verify.prometheus import Prometheus

    readings = list(_readings(sla))
    found: list[Finding] = []
    with (
        Prometheus(address, token) as server,
        progress("asking", len(readings) + 1, quiet=quiet) as done,
    ):
        for some in findings(server, readings):
            found += some
            done()
        return Asked(server.address, len(readings), tuple(found))


def _readings(sla: Sla) -> Iterator[Reading]:
    """Each raw selector of each objective once."""
    from otelkit import names
    from otelkit.generate.files import rule_files
    from otelkit.generate.rule import Recording
    from otelkit.generate.scope import narrowed
    from otelkit.verify import promql

    for one in narrowed(sla):
        rules = [rule for file in rule_files(one) for rule in file.group.rules]
        recorded = {rule.record: rule for rule in rules if isinstance(rule, Recording)}
        reads: dict[tuple[str, str], list[promql.Read]] = {}
        totals = set()
        for rule in rules:
            for read in promql.reads(rule.expr):
                key = rule.labels.get("objective", ""), read.text
                # The age of the oldest message is absent where there is no message.
                if read.selector.name not in {*recorded, names.DLQ_OLDEST_MESSAGE.name}:
                    reads.setdefault(key, []).append(read)
                if isinstance(rule, Recording) and rule.record == f"{names.TOTAL}5m":
                    totals.add(key)
        budgets = {objective.name: objective for objective in one.budgets}
        for key, found in reads.items():
            yield _reading(one, budgets.get(key[0]), key, found, total=key in totals)


def _reading(
    sla: Sla,
    budget: BudgetObjective | None,
    key: tuple[str, str],
    reads: Sequence[Read],
    *,
    total: bool,
) -> Reading:
    from otelkit.generate.scope import environment_of
    from otelkit.generate.sli import counters
    from otelkit.model import Selectors
    from otelkit.verify import promql
    from otelkit.verify.live import Reading

    objective, text = key
    counter = any(read.function in _COUNTED for read in reads)
    bad = counters(sla, budget).bad if isinstance(budget, Selectors) else None
    return Reading(
        environment_of(sla),
        objective,
        next((read for read in reads if read.function in _COUNTED), reads[0]),
        counter=counter,
        total=total and counter,
        bad=bad is not None and text == promql.reads(bad)[0].text,
        by=budget.by if budget and counter else (),
    )
