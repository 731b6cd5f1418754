"""What rules cost a Prometheus: series they write, samples they read in one evaluation.

Computed from the PromQL of the generated rules alone. How many series a service exposes nobody
knows before it runs, so that is assumed; what the rules record themselves is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from otelkit import names
from otelkit.generate.files import rule_files
from otelkit.generate.rule import Recording
from otelkit.generate.scope import environment_of
from otelkit.model import Sla

if TYPE_CHECKING:
    from promql_parser import VectorSelector

EVALUATION: Final = timedelta(minutes=1)
"""The interval of rule groups, and so of recorded series."""
_RECORDED: Final = "otelkit:"


class Holdings(Protocol):
    """What a Prometheus holds."""

    def series(self, selector: VectorSelector) -> int:
        """How many series a selector matches."""

    def interval(self, selector: VectorSelector) -> timedelta:
        """How far apart their samples are."""

    def groups(self, labels: int) -> int:
        """How many combinations of values so many labels have."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is assumed of a Prometheus: scraped metrics have so many ``series`` a selector.

    Each label in ``by`` has so many ``values``; ``recorded`` series are those of one name.
    """

    series_each: int = 20
    values: int = 5
    scrape: timedelta = timedelta(seconds=30)
    recorded: int = 1

    def series(self, selector: VectorSelector) -> int:
        return self.recorded if _is_recorded(selector) else self.series_each

    def interval(self, selector: VectorSelector) -> timedelta:
        return EVALUATION if _is_recorded(selector) else self.scrape

    def groups(self, labels: int) -> int:
        return int(self.values**labels)

    def __str__(self) -> str:
        return (
            f"assuming {self.series_each} series a selector, scraped every "
            f"{self.scrape.total_seconds():.0f} s"
        )


ASSUMED: Final = Assumed()


def _is_recorded(selector: VectorSelector) -> bool:
    return (selector.name or "").startswith(_RECORDED)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one objective costs in one environment; None are the rules that watch all others."""

    environment: str
    objective: str | None
    series: int
    samples: int

    @property
    def name(self) -> str:
        """What people call it: the environment only where the file names it."""
        name = self.objective or "(all)"
        known = self.environment == names.DEFAULT_ENVIRONMENT
        return name if known else f"{self.environment}.{name}"


def costs(sla: Sla, assumed: Assumed = ASSUMED) -> tuple[Cost, ...]:
    """The cost of each objective in each environment, in the order of the file."""
    return tuple(cost for one in sla.in_environments() for cost in _in_environment(one, assumed))


def _in_environment(sla: Sla, assumed: Assumed) -> Iterator[Cost]:
    rules = [rule for file in rule_files(sla) for rule in file.group.rules]
    groups = {o.name: assumed.groups(len(o.by)) for o in sla.budgets}
    for name in (*(objective.name for objective in sla.objectives), None):
        own = [rule for rule in rules if rule.labels.get("objective") == name]
        recorded = groups.get(name or "", 1)
        here = replace(assumed, recorded=recorded)
        yield Cost(
            environment_of(sla),
            name,
            sum(recorded for rule in own if isinstance(rule, Recording)),
            sum(samples(rule.expr, here) for rule in own),
        )


def samples(promql: str, holds: Holdings) -> int:
    """Samples that Prometheus reads to evaluate an expression once, as its statistics count."""
    import promql_parser

    return _read(promql_parser.parse(promql), holds)


def _read(node: Any, holds: Holdings) -> int:
    import promql_parser as p

    if isinstance(node, p.VectorSelector):
        return holds.series(node)
    if isinstance(node, p.MatrixSelector):
        selector = node.vector_selector
        return holds.series(selector) * _points(node.range, holds.interval(selector))
    if isinstance(node, p.SubqueryExpr):
        # Prometheus counts the points that a subquery yields, not those that it reads for them.
        return _yielded(node.expr, holds) * _points(node.range, node.step or EVALUATION)
    return sum(_read(part, holds) for part in _parts(node))


def _points(window: timedelta | None, step: timedelta) -> int:
    return -(-(window or step) // step)


def _yielded(node: Any, holds: Holdings) -> int:
    """Series in the answer of an expression."""
    import promql_parser as p

    if isinstance(node, p.VectorSelector):
        return holds.series(node)
    if isinstance(node, p.MatrixSelector):
        return holds.series(node.vector_selector)
    if isinstance(node, p.AggregateExpr):
        return _grouped(node, holds)
    return max((_yielded(part, holds) for part in _parts(node)), default=1)


def _grouped(node: Any, holds: Holdings) -> int:
    import promql_parser as p

    if node.modifier is None:
        return 1
    if node.modifier.type == p.AggModifierType.By:
        return holds.groups(len(node.modifier.labels))
    return _yielded(node.expr, holds)


def _parts(node: Any) -> list[Any]:
    import promql_parser as p

    if isinstance(node, p.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, p.Call):
        return list(node.args)
    if isinstance(node, p.AggregateExpr):
        return [node.expr] if node.param is None else [node.expr, node.param]
    if isinstance(node, (p.ParenExpr, p.UnaryExpr, p.SubqueryExpr)):
        return [node.expr]
    return []
