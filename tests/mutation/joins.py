"""Labels that an expression asks for twice: of such matchers one may go, and nothing changes.

Operators match series by all their labels. So where two selectors are joined and both ask for
``system="shop"``, the result has that label even if one of the two no longer asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mutation.syntax import Node, Token

_SERIES_BY_SERIES: Final = (
    "clamp_min", "increase", "sum_over_time", "count_over_time", "last_over_time",
)  # fmt: skip


def fixes(node: Node, label: str) -> bool:
    """Whether all series that an expression yields bear the one value of a label it asks for."""
    match node.kind:
        case "selector":
            return any(
                name.text == label and sign.text == "="
                for listed in node.listed
                for name, sign, _ in listed.items
            )
        case "call" if node.signs[0].text in ("absent", "absent_over_time"):
            return fixes(node.children[0], label)  # what it yields bears the labels asked for
        case "binary":
            left, right = (fixes(side, label) for side in node.children)
            return _joined(node, label, left, right)
        case _:
            return _keeps(node, label) and any(fixes(child, label) for child in node.children)


def _joined(node: Node, label: str, left: bool, right: bool) -> bool:
    """Whether a join fixes a label, given which of its sides do."""
    match node.signs[0].text:
        case "or":
            return left and right
        case "unless":
            return left
        case "and":
            return left or (right and _is_matched(node, label))
        case _:
            return (left or right) and _is_matched(node, label)


def is_doubled(path: Sequence[Node], label: str) -> bool:
    """Whether the selector at the end of a path is joined with something that fixes a label."""
    for above, node in zip(path[-2::-1], path[::-1], strict=False):
        if above.kind != "binary":
            if not _keeps(above, label):
                return False
            continue
        if not _is_matched(above, label):
            return False
        left, right = above.children
        other = left if node is right else right
        sign = above.signs[0].text
        joins = sign not in ("or", "unless") or (sign == "unless" and node is right)
        if joins and fixes(other, label):
            return True
    return False


def _is_matched(node: Node, label: str) -> bool:
    """Whether an operator matches the series of its two sides by a label, too."""
    return all(_groups(listed.head, listed.items, label) for listed in node.listed)


def _keeps(node: Node, label: str) -> bool:
    """Whether a node yields each series that it is given with the label that it had."""
    match node.kind:
        case "paren" | "range" | "offset":
            return True
        case "call":
            name = node.signs[0].text
            return (
                name.endswith("_over_time") and "absent" not in name
            ) or name in _SERIES_BY_SERIES
        case "aggregation":
            return any(_groups(listed.head, listed.items, label) for listed in node.listed)
    return False


def _groups(head: Token | None, items: Sequence[Sequence[Token]], label: str) -> bool:
    named = any(item[0].text == label for item in items)
    return head is not None and named == (head.text in ("by", "on"))
