"""PromQL expressions: what they are made of, and which labels their series have."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

WINDOW: Final = "5m"
"""The window of a query that no counters could be read from."""

_SHORT: Final = 60
_TEMPLATE: Final = re.compile(r"\{\{-?\s*\.?window\s*-?\}\}")
_ONE_MINUS: Final = re.compile(r"1\s*-")


def parse(query: str) -> Any:
    """The expression of a query. Raises ``ValueError`` with a sentence."""
    import promql_parser

    text = fixed(query)
    if "{{" in text:
        raise ValueError("the query holds a template; write it out, with {{.window}} at most")
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        said = str(error).strip().splitlines() or ["it cannot be read"]
        raise ValueError(f"this is not PromQL: {said[0]}") from None
    except BaseException as error:  # the parser is Rust: its panics are no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ValueError("this is not PromQL") from None


def fixed(query: str) -> str:
    return textwrap.dedent(_TEMPLATE.sub(WINDOW, query)).strip()


def grouping(aggregate: Any) -> tuple[str, ...] | None:
    """The labels that are left; None where the query does not name them."""
    import promql_parser

    if aggregate.modifier is None:
        return ()
    if aggregate.modifier.type != promql_parser.AggModifierType.By:
        return None
    return tuple(dict.fromkeys(aggregate.modifier.labels))


def labels_of(expression: Any) -> tuple[str, ...] | None:
    """The labels of the series that an expression yields; None where they cannot be told."""
    import promql_parser

    inner = bare(expression)
    found: tuple[str, ...] | None = None
    if isinstance(inner, promql_parser.NumberLiteral):
        found = ()
    elif isinstance(inner, promql_parser.AggregateExpr):
        picks = str(inner.op) in ("topk", "bottomk", "count_values")
        found = None if picks else grouping(inner)
    elif isinstance(inner, promql_parser.Call):
        found = _labels_of_call(inner)
    elif isinstance(inner, promql_parser.SubqueryExpr | promql_parser.UnaryExpr):
        found = labels_of(inner.expr)
    elif isinstance(inner, promql_parser.BinaryExpr):
        found = _labels_of_both(inner)
    return found


def _labels_of_both(binary: Any) -> tuple[str, ...] | None:
    import promql_parser

    left, right = labels_of(binary.lhs), labels_of(binary.rhs)
    if is_number(binary.rhs) or str(binary.op) in ("or", "and", "unless"):
        return left
    if is_number(binary.lhs):
        return right
    if left is None or right is None or set(left) != set(right):
        return None
    matching = binary.modifier.matching if binary.modifier is not None else None
    if not left or matching is None:
        return left
    on = matching.type == promql_parser.LabelModifierType.Include
    return left if on and set(matching.labels) == set(left) else None


def _labels_of_call(call: Any) -> tuple[str, ...] | None:
    if call.func.name in ("vector", "scalar", "time", "absent", "absent_over_time", "pi"):
        return ()
    if call.func.name in ("label_replace", "label_join"):
        return None
    vectors = [argument for argument in call.args if kind_of(argument) in ("vector", "matrix")]
    return labels_of(vectors[0]) if len(vectors) == 1 else None


def bare(expression: Any) -> Any:
    """An expression without the brackets around it."""
    import promql_parser

    while isinstance(expression, promql_parser.ParenExpr):
        expression = expression.expr
    return expression


def operator(expression: Any) -> str:
    """The operator of a binary operation, else nothing."""
    import promql_parser

    return str(expression.op) if isinstance(expression, promql_parser.BinaryExpr) else ""


def sides(expression: Any, sign: str) -> tuple[Any, ...]:
    """Both sides of a plain operation; none where the expression is anything else."""
    inner = bare(expression)
    if operator(inner) != sign or inner.modifier is not None:
        return ()
    return inner.lhs, inner.rhs


def one_minus(expression: Any) -> Any | None:
    """``X`` of ``1 - X``."""
    pair = sides(expression, "-")
    if pair and is_number(pair[0]) and bare(pair[0]).val == 1:
        return bare(pair[1])
    return None


def after_one_minus(text: str) -> str | None:
    """The text of ``X`` in ``1 - X``; nothing binds weaker there, or it would be no ``1 - X``."""
    import promql_parser

    begin = _ONE_MINUS.match(text)
    if begin is None or one_minus(parse(text)) is None:
        return None
    rest = text[begin.end() :].strip()
    if isinstance(parse(rest), promql_parser.ParenExpr) and "#" not in rest:
        rest = textwrap.dedent(rest[1:-1].strip("\n")).strip()
    return rest


def is_number(expression: Any) -> bool:
    import promql_parser

    return isinstance(bare(expression), promql_parser.NumberLiteral)


def kind_of(expression: Any) -> str:
    """``vector``, ``matrix``, ``scalar`` or ``string``."""
    import promql_parser

    inner = bare(expression)
    if isinstance(inner, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
        return "matrix"
    if isinstance(inner, promql_parser.StringLiteral):
        return "string"
    return "scalar" if is_number(inner) else "vector"


def nodes(expression: Any) -> Iterator[Any]:
    import promql_parser

    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return iter(found)


def has_window(expression: Any) -> bool:
    import promql_parser

    ranged = promql_parser.MatrixSelector | promql_parser.SubqueryExpr
    return any(isinstance(node, ranged) for node in nodes(expression))


def enclosed(text: str) -> str:
    """An expression in brackets: a long one on lines of its own, where a comment of it ends."""
    if len(text) <= _SHORT and "\n" not in text and "#" not in text:
        return f"({text})"
    inside = text if "`" in text else textwrap.indent(text, "  ")
    return f"(\n{inside}\n)"
