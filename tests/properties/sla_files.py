"""Valid SLA files of all shapes, as hypothesis makes them up: every key that the reader knows.

What is valid is told here a second time, in the words of docs/sla-file.md, and not taken from
`otelkit.spec`. Values are text, as the reader takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from otelkit import names

Draw = Callable[[st.SearchStrategy[Any]], Any]
Table = dict[str, Any]

_NAMES: Final = st.from_regex("[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True) | st.just("n" * 63)
_LABELS: Final = st.from_regex("[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True).map(lambda s: f"x{s}")
_PRINTABLE: Final = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="`{") | st.just(" "),
    min_size=1,
    max_size=20,
).filter(lambda text: bool(text.strip()))
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WITHIN: Final = ("1h", "6h", "1d", "3d")
_QUERIES: Final = (
    "probe_success",
    'avg(probe_success{job="blackbox"})',
    "min by (xa) (up) # all of them",
    "1 - avg_over_time(errors:ratio[5m])",
    "sum(ok_total offset 5m) / (sum(all_total) > 0)",
    "max_over_time(probe_success[10m:1m])",
)


def _some(draw: Draw, of: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> list[Any]:
    return list(draw(st.lists(of, min_size=least, max_size=most, unique=True)))


def _one(draw: Draw, *of: Any) -> Any:
    return draw(st.sampled_from(of))


def _maybe(draw: Draw, key: str, value: Callable[[], Any]) -> Table:
    return {key: value()} if draw(st.booleans()) else {}


def _share(draw: Draw, least: str = "0.001", most: str = "99.999") -> str:
    return f"{draw(st.decimals(Decimal(least), Decimal(most), places=3))}%"


@dataclass(frozen=True, slots=True)
class Parts:
    """What objectives may name, and what draws them."""

    draw: Draw
    owners: Sequence[str]
    calendars: Sequence[str]
    policies: Sequence[str]
    services: Table
    processes: Table
    queues: Sequence[str]
    environments: Sequence[str]


@st.composite
def documents(draw: Draw) -> Table:
    """A valid SLA file, as the mapping that YAML writes down."""
    owners = _some(draw, _NAMES, 1)
    policies = _some(draw, _NAMES.filter(lambda name: name not in ("off", "default")))
    alerting = {name: _policy(draw) for name in policies} | _maybe(
        draw, "default", lambda: _policy(draw)
    )
    parts = Parts(
        draw,
        owners,
        _some(draw, _NAMES),
        policies,
        {name: _service(draw, owners) for name in _some(draw, _PRINTABLE)},
        {name: _process(draw, owners) for name in _some(draw, _NAMES)},
        _some(draw, _PRINTABLE),
        _some(draw, _NAMES),
    )
    objectives = _objectives(parts)
    match = st.dictionaries(st.sampled_from(("env", "zone", "Zone_2")), _PRINTABLE, min_size=1)
    more = {
        "links": {"grafana": "https://grafana.example/a/", "runbook": "http://wiki/{alert}?a=b"},
        "labels": {f"own_{name}": draw(_PRINTABLE) for name in _some(draw, _LABELS)},
        "release": {"freeze_below": _share(draw)},
        "environments": {
            name: {"match": draw(match)}
            | _maybe(draw, "page_as", lambda: _one(draw, "page", "ticket"))
            | _maybe(draw, "override", lambda: _overrides(parts, objectives))
            for name in parts.environments
        },
    }
    found = {
        "owners": {
            name: {"page": draw(_PRINTABLE)} | _maybe(draw, "ticket", lambda: draw(_PRINTABLE))
            for name in owners
        },
        "calendars": {name: _calendar(draw) for name in parts.calendars},
        "services": parts.services,
        "processes": parts.processes,
        "queues": {name: {"owner": _one(draw, *owners)} for name in parts.queues},
        "alerting": alerting,
    }
    found |= {key: value for key, value in more.items() if draw(st.booleans())}
    whole = {"version": "1", "system": draw(_NAMES), **found, "objectives": objectives}
    return {key: value for key, value in whole.items() if value}


# --- parts ---------------------------------------------------------------------------------


def _policy(draw: Draw) -> Table:
    return (
        _maybe(draw, "page", lambda: _shares(draw))
        | _maybe(draw, "ticket", lambda: _shares(draw))
        | _maybe(draw, "min_bad_events", lambda: str(draw(st.integers(1, 1000))))
    )


def _shares(draw: Draw) -> Any:
    within = _some(draw, st.sampled_from(_WITHIN), most=4)
    return [f"{_share(draw)} in {one}" for one in within] or "off"


def _calendar(draw: Draw) -> Table:
    days = _some(draw, st.sampled_from(_DAYS), 1)
    hours = _one(draw, "09:00-18:00", "00:00-24:00", "09:00-12:00, 13:00-18:00", "00:00-00:01")
    return (
        {"timezone": _one(draw, "UTC", "Europe/Moscow", "Asia/Kathmandu")}
        | {"hours": {",".join(days): hours}}
        | _maybe(draw, "holidays", lambda: _one(draw, "NO", "RU", "DE"))
        | _maybe(draw, "closed", lambda: ["2026-12-31"])
    )


def _service(draw: Draw, owners: Sequence[str]) -> Table:
    label = st.sampled_from(("job", "namespace", "cluster"))
    http = {"duration": "req:seconds", "status": "code", "route": "uri"}
    return (
        {"owner": _one(draw, *owners)}
        | _maybe(draw, "match", lambda: draw(st.dictionaries(label, _PRINTABLE, min_size=1)))
        | _maybe(draw, "http", lambda: {key: http[key] for key in http if draw(st.booleans())})
    )


def _process(draw: Draw, owners: Sequence[str]) -> Table:
    statuses = _some(draw, _NAMES, 4, 8)
    last = draw(st.integers(1, len(statuses) - 3))
    stages, (done, cancelled, *paused) = statuses[:last], statuses[last:]
    return (
        {"owner": _one(draw, *owners), "stages": stages, "done": [done]}
        | _maybe(draw, "cancelled", lambda: [cancelled])
        | _maybe(draw, "paused", lambda: paused)
        | _maybe(draw, "optional", lambda: stages[:1])
        | _maybe(draw, "tiers", lambda: _some(draw, _NAMES, 1))
    )


def _overrides(parts: Parts, objectives: Sequence[Table]) -> Table:
    """Some objectives are otherwise; the first is as it was, so that there always is one."""
    return {
        one["name"]: "off" if parts.draw(st.booleans()) else _override(parts, one)
        for one in objectives[1:]
        if parts.draw(st.booleans())
    }


def _override(parts: Parts, objective: Table) -> Any:
    if "queue" in objective:
        return "off"
    changed = {"target": _share(parts.draw, "75.001")}
    if "process" in objective:
        changed |= _maybe(parts.draw, "overdue", lambda: _overdue(parts.draw))
    return changed | _maybe(parts.draw, "alerting", lambda: _alerting(parts))


# --- objectives ----------------------------------------------------------------------------


def _objectives(parts: Parts) -> list[Table]:
    kinds = [
        _selectors,
        _query,
        *([_availability, _latency] if parts.services else []),
        *([_clock] if parts.processes else []),
        *([_queue] if parts.queues else []),
    ]
    named = _some(parts.draw, _NAMES.filter(lambda name: name not in ("sli", "health")), 1, 4)
    return [{"name": name} | _one(parts.draw, *kinds)(parts) for name in named]


def _availability(parts: Parts) -> Table:
    service = _one(parts.draw, *parts.services)
    budget, target = _budget(parts)
    return {"service": service, "availability": target} | budget | _during(parts)


def _latency(parts: Parts) -> Table:
    service = _one(parts.draw, *parts.services)
    budget, target = _budget(parts)
    bound = _one(parts.draw, *names.DURATION_BUCKETS)
    below = {"below": f"{Decimal(str(bound)) * 1000:f}ms", "target": target}
    native = _maybe(parts.draw, "native", lambda: "true")
    if native or "http" in parts.services[service]:
        below["below"] = _one(parts.draw, "37ms", "1.5s", "1m1s")
    return {"service": service, "latency": below | native} | budget | _during(parts)


def _selectors(parts: Parts) -> Table:
    budget, target = _budget(parts)
    metrics = parts.draw(st.permutations(("a_total", "b:count", "c_bucket")))
    found = dict(zip(("good", "bad", "total"), metrics, strict=True))
    del found[_one(parts.draw, *found)]
    for key, metric in found.items():
        found[key] = metric + _one(parts.draw, "", '{xa="b\\"c"}', '{xa=~"b|c",le="+Inf"} # of a')
    own = {"owner": _one(parts.draw, *parts.owners), "target": target}
    return found | own | budget | _during(parts)


def _query(parts: Parts) -> Table:
    budget, target = _budget(parts)
    own = {"owner": _one(parts.draw, *parts.owners), "target": target}
    return {"query": _one(parts.draw, *_QUERIES)} | own | budget | _during(parts)


def _clock(parts: Parts) -> Table:
    draw, name = parts.draw, _one(parts.draw, *parts.processes)
    process = parts.processes[name]
    calendar = _one(draw, *parts.calendars) if parts.calendars and draw(st.booleans()) else ""
    allowed = ("16h", "90m", "5d", *(("5bd",) if calendar else ()))
    stages = process["stages"]
    if draw(st.booleans()):
        span = {"stage": _one(draw, *stages)}
    else:
        start = draw(st.integers(0, len(stages) - 1))
        span = {"from": stages[start], "to": _one(draw, *stages[start + 1 :], *process["done"])}
    budget, target = _budget(parts, ("tier", "agreement"))
    return (
        {"process": name, "target": target, "within": _within(draw, process, allowed)}
        | ({"calendar": calendar} if calendar else {})
        | span
        | _maybe(draw, "at_risk", lambda: _at_risk(draw))
        | _maybe(draw, "overdue", lambda: _overdue(draw))
        | budget
    )


def _at_risk(draw: Draw) -> Any:
    if draw(st.booleans()):
        return _share(draw)
    return (
        {"slower_than": _share(draw)}
        | _maybe(draw, "samples", lambda: draw(st.integers(1, 10_000)))
        | _maybe(draw, "until_then", lambda: _share(draw))
    )


def _within(draw: Draw, process: Table, allowed: Sequence[str]) -> Any:
    if draw(st.booleans()):
        return _one(draw, *allowed)
    some = [
        _maybe(draw, "agreement", lambda: draw(_NAMES))
        | {"partner": draw(_PRINTABLE), "allow": _one(draw, *allowed)}
        for _ in range(draw(st.integers(0, 2)))
    ]
    tiers = [{"tier": tier, "allow": _one(draw, *allowed)} for tier in process.get("tiers", ())]
    return [*some, *tiers, {"allow": _one(draw, *allowed)}]


def _overdue(draw: Draw) -> Any:
    found = {
        severity: f"{draw(st.integers(1, 999))} new in {_one(draw, '5m', '1h', '2h30m', '6h')}"
        for severity in ("page", "ticket")
        if draw(st.booleans())
    }
    return found or "off"


def _queue(parts: Parts) -> Table:
    limits = {"max_messages": str(parts.draw(st.integers(0, 10**6)))}
    limits |= {"max_age": _one(parts.draw, "1s", "15m", "3d")}
    kept = _one(parts.draw, ("max_messages",), ("max_age",), tuple(limits))
    return {"queue": _one(parts.draw, *parts.queues)} | {key: limits[key] for key in kept}


def _budget(parts: Parts, labels: Sequence[str] = ()) -> tuple[Table, str]:
    """What all budgets may have, and the target that goes with it."""
    draw = parts.draw
    by = _some(draw, st.sampled_from(labels) if labels else _LABELS, most=2)
    excluded = {"from": "2026-03-01T00:00Z", "to": "2026-03-01T04:00+01:00"}
    found = (
        _maybe(draw, "alerting", lambda: _alerting(parts))
        | _maybe(draw, "window", lambda: _one(draw, "1d", "4w", "366d", "week", "month", "quarter"))
        | ({"by": by} if by else {})
        | _maybe(draw, "exclude", lambda: [excluded | {"reason": draw(_PRINTABLE)}])
    )
    silent = found.get("alerting") == "off" and not parts.environments
    return found, _share(draw, "1" if silent else "75.001")


def _during(parts: Parts) -> Table:
    if not parts.calendars:
        return {}
    return _maybe(parts.draw, "during", lambda: _one(parts.draw, *parts.calendars))


def _alerting(parts: Parts) -> Any:
    if parts.draw(st.booleans()):
        return _one(parts.draw, "off", "default", *parts.policies)
    using = _maybe(parts.draw, "use", lambda: _one(parts.draw, "default", *parts.policies))
    return using | _policy(parts.draw)
