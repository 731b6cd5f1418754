"""Objectives about any metrics: two counters, or a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from otelkit.model import Objective, Query, Selectors
from otelkit.spec.draft import Draft, fixed_by
from otelkit.spec.matchers import beyond, equalities, matchers, meaning, overlap, selectors_in

COUNTERS: Final = ("good", "bad", "total")
_SAME: Final = {
    ("good", "total"): "nothing could ever be bad",
    ("bad", "total"): "nothing could ever be good",
    ("good", "bad"): "nothing tells them apart",
}
_VECTOR: Final = "vector"
_NUMBER: Final = "number"
_NO_COUNTER: Final = {
    "_bucket": "these are buckets, each of which counts those below it as well",
    "_sum": "this is a sum of what was measured, not a count of events",
    "_created": "this is a timestamp",
}


def selectors(draft: Draft) -> Selectors | None:
    """Two of the counters; the third follows."""
    given = [name for name in COUNTERS if name in draft.fields]
    if len(given) != 2:
        draft.at.problem("write two of `good:`, `bad:` and `total:`; the third follows")
    found = {name: draft.fields[name].parse(_selector) for name in given}
    budget = draft.budget(draft.fields.get("target"))
    owner = _owner(draft)
    if len(given) != 2 or None in found.values() or budget is None or owner is None:
        return None
    first, second = given
    if len({meaning(_parsed(text)) for text in found.values() if text is not None}) == 1:
        draft.fields[first].problem(f"{first} and {second} select the same; {_SAME[first, second]}")
        return None
    target, window, more = budget
    objective = Selectors(
        draft.name, owner, target, window, *(found.get(name) for name in COUNTERS), **more
    )
    _doubt(draft, objective)
    return objective


def query(draft: Draft) -> Query | None:
    """A share of good, minute by minute."""
    text = draft.fields["query"].parse(_ratio)
    budget = draft.budget(draft.fields.get("target"))
    owner = _owner(draft)
    if text is None or budget is None or owner is None:
        return None
    target, window, more = budget
    return Query(draft.name, owner, target, window, text, **more)


def _owner(draft: Draft) -> str | None:
    owners = draft.parts.owners.declared
    owner = draft.owner(owners[0] if len(owners) == 1 else None)
    if owner is None and "owner" not in draft.fields and owners:
        draft.at.problem(f"nobody owns this; add `owner:` with one of {', '.join(owners)}")
    return owner


# --- PromQL --------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    import promql_parser

    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise ValueError(f"this is not PromQL: {str(error).splitlines()[0]}") from None


def _selector(text: str) -> str:
    import promql_parser

    parsed = _parsed(text)
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.offset is not None:
        raise ValueError(
            'write a plain selector of a counter such as checkout_total{outcome="ok"}; '
            "otelkit adds increase()"
        )
    if parsed.at is not None or not parsed.name or parsed.matchers.or_matchers:
        raise ValueError("write a selector with a metric name, without @ and without `or`")
    # Not the text itself: a comment at its end would swallow the increase() around it.
    return str(parsed.prettify())


def _ratio(text: str) -> str:
    found = _yields(_parsed(text))
    if found != _VECTOR:
        raise ValueError(
            f"this yields a {found} and no series; write an expression that yields the share of "
            "good, such as avg(probe_success)"
        )
    if any(selector.matchers.or_matchers for selector in selectors_in(_parsed(text))):
        raise ValueError('Prometheus has no `or` within braces; write such as a=~"b|c"')
    # As it was written: the parser does not print every subquery as it read it. A comment at the
    # end must not swallow what rules put around it.
    return f"{text}\n" if "#" in text else text


def _yields(parsed: Any) -> str:
    """What an expression yields. Rules put an aggregation around it, which needs a vector."""
    import promql_parser as promql

    if isinstance(parsed, (promql.ParenExpr, promql.UnaryExpr)):
        return _yields(parsed.expr)
    if isinstance(parsed, promql.BinaryExpr):
        sides = {_yields(parsed.lhs), _yields(parsed.rhs)}
        return _NUMBER if sides == {_NUMBER} else _VECTOR
    if isinstance(parsed, promql.Call):
        return _NUMBER if parsed.func.return_type == promql.ValueType.Scalar else _VECTOR
    if isinstance(parsed, (promql.MatrixSelector, promql.SubqueryExpr)):
        return "range"
    if isinstance(parsed, promql.StringLiteral):
        return "text"
    return _NUMBER if isinstance(parsed, promql.NumberLiteral) else _VECTOR


# --- doubts --------------------------------------------------------------------------------


def _doubt(draft: Draft, objective: Selectors) -> None:
    """Warn of counters that hardly count what they are meant to."""
    parsed = _counters(objective)
    for name, selector in parsed.items():
        for doubt in _about(selector):
            draft.fields[name].warn(doubt)
    part = "good" if "good" in parsed else "bad"
    if "total" not in parsed:
        if overlap(parsed["good"], parsed["bad"]):
            draft.fields["bad"].warn(
                "good selects some of these series too, so that their events count as both; tell "
                "the two apart by a label"
            )
    else:
        for one in beyond(parsed[part], parsed["total"]):
            draft.fields[part].warn(
                f"the total has {one} and this may select others, so that it may count more than "
                "all; add the matcher"
            )
    fixed_by(objective, fixed_labels(objective), draft.fields.get("by"))


def _counters(objective: Selectors) -> dict[str, Any]:
    texts = {name: getattr(objective, name) for name in COUNTERS}
    return {name: _parsed(text) for name, text in texts.items() if text is not None}


def fixed_labels(objective: Selectors) -> dict[str, str]:
    """Labels of which both counters select the same one value only."""
    one, other = map(equalities, _counters(objective).values())
    return {label: value for label, value in one.items() if other.get(label) == value}


def _about(selector: Any) -> Iterator[str]:
    for ending, why in _NO_COUNTER.items():
        if selector.name.endswith(ending) and not (
            ending == "_bucket" and any(one.label == "le" for one in matchers(selector))
        ):
            yield f"{selector.name}: {why}; select a counter such as one that ends in _total"
            return
    if not selector.name.endswith(("_total", "_count", "_bucket")):
        yield (
            f"{selector.name} has not the name of a counter (_total, _count); "
            "increase() of anything else is no number of events"
        )


def totals_of_failures(objectives: Iterable[Objective]) -> Iterator[tuple[str, str]]:
    """Names of objectives whose total is what another counts as bad, with the other's."""
    found = [(one.name, _counters(one)) for one in objectives if isinstance(one, Selectors)]
    bad = {meaning(parsed["bad"]): name for name, parsed in found if "bad" in parsed}
    for name, parsed in found:
        if "total" in parsed and meaning(parsed["total"]) in bad:
            yield name, bad[meaning(parsed["total"])]
