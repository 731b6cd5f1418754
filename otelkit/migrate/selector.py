"""PromQL selectors as values: equal when they select the same, and written in one way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = "__name__"


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and its label matchers ``(label, operator, value)``, in the order of the source."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        inside = ",".join(
            f"{label}{operator}{json.dumps(value, ensure_ascii=False)}"
            for label, operator, value in self.matchers
        )
        return f"{self.metric}{{{inside}}}" if inside else self.metric

    def same_as(self, other: Selector) -> bool:
        return self.metric == other.metric and set(self.matchers) == set(other.matchers)

    def without(self, label: str) -> Selector:
        """The same selector without its matchers of a label."""
        return Selector(self.metric, tuple(m for m in self.matchers if m[0] != label))


def selector(parsed: Any) -> Selector | None:
    """What ``promql_parser`` read as a selector; None where an SLA file cannot say the same."""
    if parsed.offset is not None or parsed.at is not None or parsed.matchers.or_matchers:
        return None
    matchers = [(m.name, _operator(m.op), m.value) for m in parsed.matchers.matchers]
    named = [value for label, operator, value in matchers if (label, operator) == (_NAME, "=")]
    metric = parsed.name or "".join(named[:1])
    matchers = [m for m in matchers if m != (_NAME, "=", metric)]
    if not metric or any(label == _NAME for label, _, _ in matchers):
        return None
    return Selector(metric, tuple(matchers))


def _operator(op: Any) -> str:
    import promql_parser

    operators = promql_parser.MatchOp
    if op == operators.Equal:
        return "="
    if op == operators.NotEqual:
        return "!="
    return "=~" if op == operators.Re else "!~"
