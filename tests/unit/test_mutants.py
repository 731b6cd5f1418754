"""Each part of a rule that somebody could mistype has its mutants."""

from __future__ import annotations

import pytest

from mutation.mutants import RuleFile, mutants
from mutation.syntax import parse

EXPR = 'sum by (a) (increase(x{b="c",d=~"e|f"}[5m])) >= 0.5 unless y offset 1h'


def changed(expr: str) -> list[str]:
    """What becomes of an expression."""
    rule = {"alert": "A", "expr": expr, "labels": {}}
    found = [mutant.changed for mutant in mutants(RuleFile("file", "group", (rule,)))]
    return [one["expr"] for one in found if one is not None and one["expr"] != expr]


def test_every_part_of_an_expression_is_changed() -> None:
    left, right = EXPR.split(" unless ")
    assert set(changed(EXPR)) == {
        *(f"{left} {word} {right}" for word in ("and", "or")),
        *(left, right),
        *(EXPR.replace(">=", sign) for sign in ("==", "!=", "<", "<=", ">")),
        *(EXPR.replace("sum", name) for name in ("max", "min", "avg", "count")),
        *(EXPR.replace("increase", name) for name in ("delta", "rate")),
        EXPR.replace("(a)", "()"),
        EXPR.replace('b="c",', ""),
        EXPR.replace('b="c"', 'b!="c"'),
        EXPR.replace(',d=~"e|f"', ""),
        EXPR.replace("=~", "!~"),
        *(EXPR.replace("e|f", value) for value in ("e", "f")),
        *(EXPR.replace("0.5", number) for number in ("0.45", "0.55")),
        EXPR.replace("5m", "1h"),
        EXPR.replace("1h", "5m"),
        EXPR.replace(" offset 1h", ""),
    }


def test_the_rest_of_a_rule_is_changed() -> None:
    rule = {"alert": "A", "expr": "x", "for": "1m", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    assert [f"{m.site}: {m.what}" for m in mutants(RuleFile("file", "group", (rule,)))] == [
        "rule: rule: deleted",
        "labels a: label: deleted",
        "labels a: label: b to b-",
        "annotations c: annotation: deleted",
        "for: for: deleted",
        "for: for: doubled",
    ]


@pytest.mark.parametrize(
    ("expr", "doubled"),
    [
        ('x{a="b"} > y{a="b"}', True),
        ('x{a="b"} and sum without (c) (y{a="b"})', True),
        ('x{a="b"} and (y{a="b"} or z)', False),
        ('x{a="b"} or y{a="b"}', False),
        ('x{a="b"} and on () y{a="b"}', False),
        ('sum(x{a="b"}) / y{a="b"}', False),
    ],
)
def test_what_a_join_asks_for_as_well_is_no_mistake(expr: str, doubled: bool) -> None:
    alone = expr.replace('x{a="b"}', "x{}", 1)
    assert (alone not in changed(expr)) == doubled


def test_what_is_no_expression_is_refused() -> None:
    for text in ("x{", "sum(x", "x > > y", "x @ 5", ") x"):
        with pytest.raises(ValueError, match=r"expected|ends no|no PromQL"):
            parse(text)
