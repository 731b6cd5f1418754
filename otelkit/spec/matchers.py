"""Label matchers of two PromQL selectors: what their values tell of the series they share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_SIGNS: Final = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_WORDS: Final = re.compile(r"[A-Za-z0-9_ -]*(\|[A-Za-z0-9_ -]*)*")
"""An expression that is a list of values."""
_NESTED: Final = re.compile(r"\)[*+{]")
"""Python may search through these for hours, where Prometheus does not."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher; ``str()`` is how PromQL writes it."""

    label: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f'{self.label}{self.sign}"{self.value}"'

    @property
    def values(self) -> frozenset[str] | None:
        """The only values that it allows; None where there may be any number."""
        if self.sign == "=":
            return frozenset({self.value})
        listed = self.sign == "=~" and _WORDS.fullmatch(self.value)
        return frozenset(self.value.split("|")) if listed else None

    def allows(self, value: str) -> bool:
        """Whether it allows a value. An expression that Python cannot judge does."""
        if self.sign in ("=", "!="):
            return (value == self.value) == (self.sign == "=")
        if _NESTED.search(self.value):
            return True
        try:
            return bool(re.fullmatch(self.value, value)) == (self.sign == "=~")
        except re.error:
            return True


def selectors_in(expression: Any) -> list[Any]:
    """Every selector of an expression that ``promql_parser`` read."""
    import promql_parser

    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return [node for node in found if isinstance(node, promql_parser.VectorSelector)]


def matchers(selector: Any) -> tuple[Matcher, ...]:
    """The matchers of a selector that ``promql_parser`` read."""
    return tuple(
        Matcher(one.name, _SIGNS[str(one.op).rpartition(".")[2]], one.value)
        for one in selector.matchers.matchers
    )


def meaning(selector: Any) -> tuple[str, frozenset[Matcher]]:
    """The same for selectors that say the same, in whatever order."""
    return str(selector.name), frozenset(matchers(selector))


def equalities(selector: Any) -> dict[str, str]:
    """The labels of which a selector leaves one value only."""
    return {one.label: one.value for one in matchers(selector) if one.sign == "="}


def family(selector: Any) -> str:
    """The metric; buckets of a histogram count the same events as its count."""
    return str(selector.name).removesuffix("_bucket").removesuffix("_count")


def beyond(part: Any, whole: Any) -> Iterator[Matcher]:
    """Matchers of the whole that the part does not keep to; none where two metrics differ."""
    if family(part) != family(whole):
        return
    own = matchers(part)
    for one in matchers(whole):
        values = [m.values for m in own if m.label == one.label and m.values is not None]
        kept = one in own or any(all(map(one.allows, known)) for known in values)
        if not kept and one.label != "le":
            yield one


def overlap(one: Any, other: Any) -> bool:
    """Whether two selectors certainly can select the same series."""
    if one.name != other.name:
        return False
    both = matchers(one), matchers(other)
    shared = {m.label for m in both[0]} & {m.label for m in both[1]}
    return all(_agree([m for m in (*both[0], *both[1]) if m.label == label]) for label in shared)


def _agree(found: list[Matcher]) -> bool:
    """Whether a value is known that all of these allow."""
    known = [value for one in found for value in one.values or ()]
    return len(set(found)) == 1 or any(all(m.allows(value) for m in found) for value in known)
