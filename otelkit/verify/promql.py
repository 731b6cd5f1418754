"""Which series a PromQL expression reads, and how far back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from promql_parser import VectorSelector

_CHILDREN: Final = ("lhs", "rhs", "args", "expr", "param", "vector_selector")
LOOKBACK: Final = timedelta(minutes=5)
"""A sample counts as present for so long, and a subquery without a step is as fine as that."""


@dataclass(frozen=True, slots=True)
class Read:
    """A selector, and how long before the evaluation the oldest sample is that it may read.

    ``function`` is the one that it is the direct argument of, such as ``increase``, else empty.
    """

    selector: VectorSelector
    reach: timedelta
    function: str = ""

    @property
    def text(self) -> str:
        """The bare selector, without range and offset."""
        name, matchers = self.selector.name or "", self.matchers()
        return name + (f"{{{','.join(matchers)}}}" if matchers else "")

    def matchers(self, without: int | None = None) -> list[str]:
        """Its matchers as PromQL, all but one of them if that is asked for."""
        known = enumerate(self.selector.matchers.matchers)
        return [written(m.name, m.op, m.value) for at, m in known if at != without]


def written(label: str, operator: Any, value: str) -> str:
    """One matcher as PromQL."""
    import json

    import promql_parser as p

    signs = ((p.MatchOp.Equal, "="), (p.MatchOp.NotEqual, "!="), (p.MatchOp.Re, "=~"))
    sign = next((sign for one, sign in signs if one == operator), "!~")
    return f"{label}{sign}{json.dumps(value, ensure_ascii=False)}"


def reads(promql: str) -> list[Read]:
    """Every selector of an expression, in its order."""
    import promql_parser

    return list(_reads(promql_parser.parse(promql), LOOKBACK, ""))


def _reads(node: Any, reach: timedelta, function: str) -> Iterator[Read]:
    import promql_parser as p

    none = timedelta(0)
    if isinstance(node, p.VectorSelector):
        yield Read(node, reach + (node.offset or none), function)
        return
    if isinstance(node, p.MatrixSelector):
        reach += node.range or none
    elif isinstance(node, p.SubqueryExpr):
        reach += (node.range or none) + (node.offset or none) + (node.step or LOOKBACK)
    name = function if isinstance(node, p.MatrixSelector) else ""
    name = node.func.name if isinstance(node, p.Call) else name
    for child in _children(node):
        yield from _reads(child, reach, name)


def _children(node: Any) -> Iterator[Any]:
    for attribute in _CHILDREN:
        child = getattr(node, attribute, None)
        if isinstance(child, list):
            yield from child
        elif child is not None:
            yield child
