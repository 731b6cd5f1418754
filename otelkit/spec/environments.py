"""Environments of an SLA file: where its services run once more, and what is different there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from otelkit import names
from otelkit.model import (
    AlertPolicy,
    Availability,
    BudgetObjective,
    Clock,
    Environment,
    Latency,
    Objective,
    Query,
    Selectors,
)
from otelkit.spec import alerting, clocks, parts
from otelkit.spec import quantities as q
from otelkit.spec.counters import fixed_labels
from otelkit.spec.draft import feasible
from otelkit.spec.narrowing import narrow
from otelkit.spec.reader import Reader, Table

_KEYS: Final = ("match", "page_as", "override")
_OVERRIDES: Final = ("target", "alerting", "overdue")


def environments(
    reader: Reader, objectives: Table[Objective], policies: Table[AlertPolicy]
) -> tuple[Environment, ...]:
    """All environments without problems."""
    entries = reader.entries()
    if reader.is_mapping and not entries:
        reader.problem("no environment is named; write such as prod: {match: {env: prod}}")
    found: list[Environment] = []
    for key, value in entries:
        one = _environment(key.name, value, objectives, policies)
        if key.check(q.identifier) and one is not None:
            _check_apart(one, found, value)
            found.append(one)
    return tuple(found)


def _check_apart(one: Environment, others: list[Environment], reader: Reader) -> None:
    for other in others:
        if other.match == one.match:
            (reader.at("match") or reader).warn(
                f"{other.name!r} has the same match, so that both count the same events and alert "
                "on them; tell the two apart by a label"
            )


def _environment(
    name: str, reader: Reader, objectives: Table[Objective], policies: Table[AlertPolicy]
) -> Environment | None:
    fields = reader.fields(_KEYS, ("match",))
    match = parts.match(fields["match"]) if "match" in fields else {}
    severities = (names.SEVERITY_PAGE, names.SEVERITY_TICKET)
    page_as: str | None = names.SEVERITY_PAGE
    if "page_as" in fields:
        page_as = fields["page_as"].choice(severities, "severity")
    changed = dict(objectives)
    dropped: set[str] = set()
    for key, value in fields["override"].entries() if "override" in fields else ():
        objective = changed.get(key.name)
        if key.name not in objectives.declared:
            key.problem(f"no objective is called {key.name!r}; correct or remove it")
        elif not value.is_mapping and value.is_word(alerting.OFF):
            dropped.add(key.name)
        elif objective is not None:
            changed[key.name] = _overridden(objective, value, policies)
    inside = tuple(o for name, o in changed.items() if name not in dropped)
    if "match" in fields:
        _check_match(fields["match"], match, inside)
    if page_as is None or not match:
        return None
    if not set(objectives.declared) - dropped:
        reader.problem("every objective is off here; remove the environment")
    return Environment(name, match, page_as, inside)


def _check_match(reader: Reader, match: dict[str, str], objectives: Iterable[Objective]) -> None:
    told: set[str] = set()
    for objective in objectives:
        _check_narrowed(reader, match, objective)
        what, labels = _selected(objective)
        for label, value in labels.items():
            if match.get(label, value) != value and what not in told:
                told.add(what)
                reader.problem(
                    f"{what} is selected by {label}={value!r}, so that "
                    f"with {label}={match[label]!r} nothing is; remove one of the two"
                )
        for label in objective.by if isinstance(objective, BudgetObjective) else ():
            if label in match and not isinstance(objective, Clock):
                reader.warn(
                    f"only {label}={match[label]!r} is selected, so that {objective.name!r} has no "
                    f"other {label} to tell apart; remove it from its `by`"
                )


def _check_narrowed(reader: Reader, match: dict[str, str], objective: Objective) -> None:
    """Tell of PromQL that no rule can be written of in this environment."""
    texts: tuple[str | None, ...] = ()
    if isinstance(objective, Query):
        texts = (objective.query,)
    elif isinstance(objective, Selectors):
        texts = (objective.good, objective.bad, objective.total)
    for text in filter(None, texts):
        try:
            narrow(text, match)
        except ValueError as error:
            reader.problem(f"objective {objective.name!r}: {error}")


def _selected(objective: Objective) -> tuple[str, Mapping[str, str]]:
    """What an objective selects from, and the labels of which that has one value only."""
    if isinstance(objective, (Availability, Latency)):
        return f"service {objective.service.name!r}", objective.service.match
    if isinstance(objective, Selectors):
        return f"objective {objective.name!r}", fixed_labels(objective)
    return "", {}


def _overridden(objective: Objective, reader: Reader, policies: Table[AlertPolicy]) -> Objective:
    if not isinstance(objective, BudgetObjective):
        reader.problem("of a queue nothing can be overridden; write off, or remove it")
        return objective
    fields = reader.fields(_OVERRIDES)
    target = fields["target"].parse(q.share) if "target" in fields else None
    policy = alerting.chosen(fields.get("alerting"), objective.policy, policies)
    changed: BudgetObjective = replace(objective, target=target or objective.target, policy=policy)
    at = fields.get("target", reader)
    if not feasible(changed.target, changed.window, policy, at, fields.get("alerting", at)):
        return objective
    if "overdue" in fields and isinstance(changed, Clock):
        changed = replace(changed, overdue=clocks.overdue(fields["overdue"]))
    elif "overdue" in fields:
        fields["overdue"].problem("only a clock has orders that are overdue; remove it")
    if changed == objective:
        reader.warn("this changes nothing; remove it")
    return changed
