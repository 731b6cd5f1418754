"""The objectives of an SLA file: each by its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otelkit.model import Objective
from otelkit.spec import quantities as q
from otelkit.spec.clocks import clock
from otelkit.spec.counters import COUNTERS, query, selectors, totals_of_failures
from otelkit.spec.document import Mark
from otelkit.spec.draft import BUDGET_KEYS, Draft, Parts
from otelkit.spec.limits import queue_limit
from otelkit.spec.reader import Reader, Table, other_place
from otelkit.spec.requests import availability, latency

_COMMON: Final = ("name", "owner")
_GENERATED: Final = ("sli", "health")
"""Names of generated files that belong to no objective."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of objective: the keys that tell it, those it may have and those it must have."""

    tells: tuple[str, ...]
    keys: tuple[str, ...]
    required: tuple[str, ...]
    read: Callable[[Draft], Objective | None]


def objectives(reader: Reader, parts: Parts) -> Table[Objective]:
    """All objectives in file order; those with problems are declared only."""
    found: dict[str, Objective] = {}
    totals: dict[str, Reader] = {}
    seen: dict[str, Mark] = {}
    items = reader.items() if reader.is_list else []
    if not items:
        reader.problem("write a list with at least one objective")
    for item in items:
        objective = _objective(item, parts, seen)
        if objective is not None:
            found.setdefault(objective.name, objective)
            totals.setdefault(objective.name, item.at("total") or item)
    for name, other in totals_of_failures(found.values()):
        totals[name].warn(
            f"{other!r} counts these as bad, so that there are events here only while that "
            "one fails; select all events"
        )
    return Table(found, seen)


def _objective(reader: Reader, parts: Parts, seen: dict[str, Mark]) -> Objective | None:
    kind = _kind_of(reader)
    if kind is None:
        return None
    fields = reader.fields((*_COMMON, *kind.keys), ("name", *kind.required))
    name = fields["name"].parse(q.identifier) if "name" in fields else None
    if name is None:
        return None
    mark = fields["name"].node.mark
    if name in seen:
        where = other_place(seen[name], mark)
        of = f" (the first is {where})" if where else ""
        fields["name"].problem(f"a second objective is called {name!r}{of}; choose another name")
    if name in _GENERATED:
        fields["name"].problem(f"{name!r} is the name of a generated file; choose another name")
    seen.setdefault(name, mark)
    return kind.read(Draft(name, fields, reader, parts))


def _kind_of(reader: Reader) -> _Kind | None:
    told = [kind for kind in _KINDS if reader.keys & set(kind.tells)]
    if len(told) == 1:
        return told[0]
    if told:
        both = " and ".join(repr(next(k for k in kind.tells if k in reader.keys)) for kind in told)
        reader.problem(f"{both} are two kinds of objective; write two objectives")
    elif reader.is_mapping:
        known = ", ".join(kind.tells[0] for kind in _KINDS)
        reader.problem(f"what is measured here? Add one of the keys {known}")
    else:
        reader.problem("write an objective as a mapping, beginning with `name:`")
    return None


_KINDS: Final = (
    _Kind(
        ("availability",),
        ("service", "availability", "during", *BUDGET_KEYS),
        ("service",),
        availability,
    ),
    _Kind(("latency",), ("service", "latency", "during", *BUDGET_KEYS), ("service",), latency),
    _Kind(COUNTERS, (*COUNTERS, "target", "during", *BUDGET_KEYS), ("target",), selectors),
    _Kind(("query",), ("query", "target", "during", *BUDGET_KEYS), ("target",), query),
    _Kind(
        ("process",),
        (
            "process", "stage", "from", "to", "calendar", "within", "at_risk", "overdue", "target",
            *BUDGET_KEYS,
        ),
        ("within", "target"),
        clock,
    ),
    _Kind(("queue",), ("queue", "max_messages", "max_age"), (), queue_limit),
)  # fmt: skip
