"""Foreign queries: from a ratio over a window to the counters, or the share, of an SLA file.

Where both sides of a ratio are sums of counters, the counters are all that an SLA file needs:
otelkit divides events by events itself. Any other ratio stays a query over five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from otelkit.migrate import promql
from otelkit.migrate.selector import Selector, selector

MINUTES: Final = "each minute counts as one event, for no two counters say the same"

_COUNTING: Final = ("rate", "increase")


@dataclass(frozen=True, slots=True)
class Count:
    """Events: a counter summed to the labels ``by``. ``changed`` says what was left out of it."""

    counter: Selector
    by: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def same_as(self, other: Count) -> bool:
        return set(self.by) == set(other.by) and self.counter.same_as(other.counter)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two of ``good``, ``bad`` and ``total``; the third is None and follows."""

    good: Selector | None
    bad: Selector | None
    total: Selector | None
    by: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """An expression that yields the share of good, one series for each combination of ``by``.

    Each minute is one event: a share tells nothing of how many there were.
    """

    query: str
    by: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def events(part: str, total: str, *, bad: bool, counters: bool = False) -> Ratio | Share:
    """The ratio of two queries, the first of which yields the bad events or the good ones.

    ``counters`` says that a selector without rate() is one of a counter. Raises ``ValueError``
    with a sentence where no SLA file can say the same.
    """
    parsed, whole = promql.parse(part), promql.parse(total)
    found = _ratio(parsed, whole, bad=bad, counters=counters)
    if found is not None:
        return found
    if counters and not (promql.has_window(parsed) and promql.has_window(whole)):
        raise ValueError(
            "this adds up counters in a way that `good`, `bad` and `total` cannot say, and has "
            "no range that a query could look at; write it as a `query:` of your own"
        )
    return _divided(promql.fixed(part), promql.fixed(total), bad=bad)


def good_minutes(of: Share, operator: str, value: str) -> Share:
    """A minute is good where a share stands in this relation to ``value``."""
    return Share(f"{promql.enclosed(of.query)} {operator} bool {value}", of.by, of.changed)


def as_share(found: Ratio | Share) -> Share:
    """Counters as the share of good that they come to."""
    if isinstance(found, Share):
        return found
    good, bad, total = (_summed(each, found.by) for each in (found.good, found.bad, found.total))
    if not total:
        return Share(f"{good} / ({good} + {bad})", found.by, found.changed)
    if good:
        return Share(f"{good} / {total}", found.by, found.changed)
    none = f"0 * {total}" if found.by else "vector(0)"
    return Share(f"1 - ({bad} or {none}) / {total}", found.by, found.changed)


def _summed(counter: Selector | None, by: tuple[str, ...]) -> str:
    if counter is None:
        return ""
    labels = f" by ({', '.join(by)}) " if by else ""
    return f"sum{labels}(increase({counter}[{promql.WINDOW}]))"


def share(query: str, *, bad: bool) -> Ratio | Share:
    """A ratio that one query yields, of the bad events or the good ones.

    Raises ``ValueError`` with a sentence where no SLA file can say the same.
    """
    text, expression = promql.fixed(query), promql.bare(promql.parse(query))
    inner = promql.one_minus(expression)
    part, is_bad = (expression, bad) if inner is None else (inner, not bad)
    if promql.operator(part) == "/" and part.modifier is None:
        found = _ratio(part.lhs, part.rhs, bad=is_bad, counters=False)
        if found is not None:
            return found
    by, changed = _one_series(expression)
    good = text if not bad else promql.after_one_minus(text) or f"1 - {promql.enclosed(text)}"
    return Share(good, by, (MINUTES, *changed))


def judged(query: str, operator: str, value: str) -> Share:
    """A minute is good where the query's value stands in this relation to ``value``."""
    by, changed = _one_series(promql.bare(promql.parse(query)))
    return good_minutes(Share(promql.fixed(query), by, changed), operator, value)


# --- counters ------------------------------------------------------------------------------


def _ratio(part: Any, whole: Any, *, bad: bool, counters: bool) -> Ratio | None:
    """Two counters that say the same as ``part / whole``; None where there are no such."""
    total = _count(whole, counters, guards=(0, 1))
    sums = [_count(side, counters) for side in promql.sides(whole, "+")]
    one = _count(part, counters)
    if one is not None and total is not None:
        return _pair(one, total, bad=bad)
    terms = [_count(side, counters) for side in promql.sides(part, "-")]
    if total is not None and len(terms) == 2 and terms[0] and terms[1]:
        # Bad are all that are not good, as histograms have it: count - bucket.
        return _pair(terms[1], total, bad=not bad) if terms[0].same_as(total) else None
    if one is not None and len(sums) == 2 and sums[0] and sums[1]:
        rest = [side for side in sums if side is not None and not side.same_as(one)]
        return _complement(one, rest[0], bad=bad) if len(rest) == 1 else None
    return None


def _pair(part: Count, total: Count, *, bad: bool) -> Ratio | None:
    if part.same_as(total):
        raise ValueError("both queries count the same events; nothing could ever be bad, or good")
    if set(part.by) != set(total.by):
        return None
    good, wrong = (None, part.counter) if bad else (part.counter, None)
    return Ratio(good, wrong, total.counter, total.by, _united(part, total))


def _complement(part: Count, rest: Count, *, bad: bool) -> Ratio | None:
    if set(part.by) != set(rest.by):
        return None
    good, wrong = (rest, part) if bad else (part, rest)
    return Ratio(good.counter, wrong.counter, None, part.by, _united(part, rest))


def _united(*counts: Count) -> tuple[str, ...]:
    return tuple(dict.fromkeys(change for count in counts for change in count.changed))


def _count(expression: Any, counters: bool, guards: tuple[int, ...] = (0,)) -> Count | None:
    """A counter and what it is summed to; None where the expression is anything else.

    ``guards`` are the numbers that may stand for no series without saying anything of events.
    """
    import promql_parser

    inner, guard = _unguarded(promql.bare(expression), guards)
    changed = (f"{guard} is left out: otelkit knows what no events are",) if guard else ()
    if isinstance(inner, promql_parser.AggregateExpr):
        by = promql.grouping(inner)
        counter = _counter(promql.bare(inner.expr), counters)
        if str(inner.op) != "sum" or by is None or counter is None:
            return None
        return Count(counter, by, changed)
    counter = _counter(inner, counters)
    if counter is None:
        return None
    return Count(counter, (), (*changed, "all series of the selector are counted together"))


def _counter(expression: Any, counters: bool) -> Selector | None:
    import promql_parser

    if counters and isinstance(expression, promql_parser.VectorSelector):
        return selector(expression)
    if not isinstance(expression, promql_parser.Call) or expression.func.name not in _COUNTING:
        return None
    (ranged,) = expression.args
    is_plain = isinstance(ranged, promql_parser.MatrixSelector)
    return selector(ranged.vector_selector) if is_plain else None


def _unguarded(expression: Any, guards: tuple[int, ...] = (0,)) -> tuple[Any, str]:
    """An expression without what keeps it from being empty or zero, and that guard's text."""
    import promql_parser

    operator = promql.operator(expression)
    if operator == "or":
        other = promql.bare(expression.rhs)
        if str(other) in [f"vector({number})" for number in guards]:
            return _unguarded(promql.bare(expression.lhs), guards)[0], f"`or {other}`"
    if operator == ">" and not expression.modifier:
        other = promql.bare(expression.rhs)
        if isinstance(other, promql_parser.NumberLiteral) and other.val == 0:
            return _unguarded(promql.bare(expression.lhs), guards)[0], "`> 0`"
    return expression, ""


# --- shares --------------------------------------------------------------------------------


def _divided(part: str, total: str, *, bad: bool) -> Share:
    divided = (
        f"{_guarded(part, total) if bad else promql.enclosed(part)} / {promql.enclosed(total)}"
    )
    by, changed = _one_series(promql.parse(divided))
    return Share(f"1 - {divided}" if bad else divided, by, (MINUTES, *changed))


def _guarded(part: str, total: str) -> str:
    """No bad events are none, not unknown, while there are any events at all."""
    expression = promql.bare(promql.parse(part))
    if _unguarded(expression)[1]:
        return promql.enclosed(part)
    none = "vector(0)" if promql.labels_of(expression) == () else f"0 * {promql.enclosed(total)}"
    return f"({promql.enclosed(part)} or {none})"


def _one_series(expression: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of a share and what has to be said of them."""
    import promql_parser

    if promql.kind_of(expression) not in ("vector", "scalar"):
        raise ValueError("this yields no numbers to judge; write a query that yields a share")
    labels = promql.labels_of(expression)
    if labels is not None:
        return labels, ()
    if any(isinstance(node, promql_parser.AggregateExpr) for node in promql.nodes(expression)):
        raise ValueError(
            "the labels of what this yields cannot be told; sum both sides by the same labels"
        )
    return (), ("it has to yield one series; where it yields more, aggregate them",)
