"""OpenSLO's indicators: which counters, or which share, an objective is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otelkit import slo
from otelkit.migrate import ratio
from otelkit.migrate.draft import number, yes_or_no
from otelkit.migrate.foreign import Book, Fields, asked
from otelkit.migrate.objects import Objects
from otelkit.migrate.ratio import Ratio, Share
from otelkit.spec.reader import Reader

_OPERATORS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_METHODS: Final = ("Occurrences", "Timeslices", "RatioTimeslices")
_QUERIES: Final = ("query", "promql")


@dataclass(frozen=True, slots=True)
class Judgement:
    """How an objective counts: by events or by minutes, and which of these are good."""

    method: str
    operator: str | None
    value: str | None
    slice_target: str | None


def judgement(method: str, fields: Fields) -> Judgement | None:
    """The keys of an objective that say what is good; None where they say nothing of use."""
    operator, value = fields.take("op"), fields.take("value")
    slice_target, slice_window = fields.take("timeSliceTarget"), fields.take("timeSliceWindow")
    if slice_window is not None and slice_window.text() not in (None, "1", "1m"):
        fields.book.note(slice_window, "a slice is one minute in an SLA file; changed to that")
    sign = operator.parse(_operator) if operator else None
    limit = value.parse(_number) if value else None
    share = slice_target.parse(_number) if slice_target else None
    if (operator and sign is None) or (value and limit is None) or (slice_target and share is None):
        return None
    if method != "Timeslices" and slice_target is not None:
        fields.book.note(slice_target, f"the method {method} has no slices to judge; left out")
    return Judgement(method, sign, limit, share if method == "Timeslices" else None)


def method(at: Reader | None) -> str:
    """The budgeting method; Occurrences where an SLO names none."""
    return (at.choice(_METHODS, "budgeting method") if at else None) or _METHODS[0]


def indicator(fields: Fields, how: Judgement, objects: Objects) -> Ratio | Share | None:
    """The SLI of an indicator's spec."""
    book = objects.book
    fields.drop("description", "a comment at most; left out")
    threshold, parts = fields.take("thresholdMetric"), fields.take("ratioMetric")
    fields.close()
    if (threshold is None) == (parts is None):
        fields.at.problem("write one of ratioMetric and thresholdMetric")
        return None
    if threshold is not None:
        return _threshold(_query(threshold, objects), threshold, how, book)
    return None if parts is None else _ratio(Fields(parts, book), how, objects)


def alpha_ratio(at: Reader, how: Judgement, objects: Objects) -> Ratio | Share | None:
    """The ``ratioMetrics`` of v1alpha, which stand in the objective itself."""
    return _ratio(Fields(at, objects.book), how, objects)


# --- kinds ---------------------------------------------------------------------------------


def _ratio(fields: Fields, how: Judgement, objects: Objects) -> Ratio | Share | None:
    counter = fields.take("counter") or fields.take("incremental")
    counters = bool(counter and counter.parse(yes_or_no))
    raw, raw_type = fields.take("raw"), fields.take("rawType")
    parts = {key: fields.take(key) for key in ("good", "bad", "total")}
    fields.close()
    if raw is not None:
        kind = raw_type.choice(("success", "failure"), "raw type") if raw_type else "success"
        queries = [_query(raw, objects)]
        return _counted(queries, how, objects.book, lambda q: ratio.share(q, bad=kind != "success"))
    part = parts["good"] or parts["bad"]
    total = parts["total"]
    if part is None or total is None:
        fields.at.problem("a ratio needs `total` and one of `good` and `bad`, or `raw`")
        return None
    if parts["good"] is not None and parts["bad"] is not None:
        objects.book.note(parts["bad"], "good and total say it all; left out")
    bad = parts["good"] is None
    return _counted(
        [_query(part, objects), _query(total, objects)], how, objects.book,
        lambda some, all_: ratio.events(some, all_, bad=bad, counters=counters),
    )  # fmt: skip


def _counted(
    queries: list[Reader | None], how: Judgement, book: Book, make: Callable[..., Ratio | Share]
) -> Ratio | Share | None:
    """A ratio by the budgeting method: events as they are, or minutes."""

    def found(*texts: str) -> Ratio | Share:
        counted = make(*texts)
        if how.method == "Occurrences":
            return counted
        share = ratio.as_share(counted)
        if how.method == "RatioTimeslices":
            return share
        if how.slice_target is None:
            raise ValueError("Timeslices need a timeSliceTarget; add it")
        return ratio.good_minutes(share, ">=", how.slice_target)

    return asked(queries, book, found)


def _threshold(
    query: Reader | None, at: Reader, how: Judgement, book: Book
) -> Ratio | Share | None:
    if query is None:
        return None
    operator, value = how.operator, how.value
    if operator is None or value is None:
        at.problem("a thresholdMetric needs `op` and `value` in the objective; add them")
        return None
    if how.slice_target is not None:
        book.note(at, "a minute is good or bad as a whole; timeSliceTarget is left out")
    return asked([query], book, lambda text: ratio.judged(text, operator, value))


# --- metrics -------------------------------------------------------------------------------


def _query(at: Reader, objects: Objects) -> Reader | None:
    """The PromQL of a metric; None where it is none, which is noted."""
    fields = Fields(at, objects.book)
    source = fields.take("metricSource")
    if source is None:  # v1alpha
        kind = fields.text("source")
        fields.ignore("queryType")
        fields.drop("metadata", "for the data source only; left out")
        query = fields.need("query")
        fields.close()
        return query if _is_prometheus(kind, at, objects.book) else None
    fields.close()
    inner = Fields(source, objects.book)
    kind = _type(inner, objects)
    spec = inner.fields("spec")
    inner.close()
    if not _is_prometheus(kind, at, objects.book):
        spec.rest()
        return None
    found = [query for query in map(spec.take, _QUERIES) if query is not None]
    spec.close()
    if not found:
        spec.at.problem("the key 'query' is missing; add the PromQL that is asked")
    return found[0] if found else None


def _type(source: Fields, objects: Objects) -> str | None:
    """The type of a metric source, its own or its data source's."""
    named = source.take("metricSourceRef")
    own = source.text("type")
    name = named.text() if named else None
    if name is None:
        return own
    found = objects.optional("DataSource", name)
    if found is None:
        return own
    spec = found.spec
    kind = spec.text("type")
    spec.drop("connectionDetails", "an SLA file holds no connections; left out")
    spec.drop("description", "a data source has no place in an SLA file; left out")
    spec.close()
    found.metadata.close()
    return own or kind


def _is_prometheus(kind: str | None, at: Reader, book: Book) -> bool:
    if kind is None or kind.lower() in ("prometheus", "sloth"):
        return True
    book.note(at, f"the SLO is left out: otelkit reads Prometheus only, not {kind}")
    return False


def _operator(text: str) -> str:
    if text not in _OPERATORS:
        raise ValueError(f"{text!r} is no comparison; write one of {', '.join(_OPERATORS)}")
    return _OPERATORS[text]


def _number(text: str) -> str:
    return slo.plain(number(text))
