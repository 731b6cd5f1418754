"""The events of an objective: which counters hold its good ones and all of them.

The three recordings made here (good, total and bad events of the last five minutes) are all
that the rest of the rules knows of an objective. They stand in a rule file of their own, so
that a proof can put series in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from otelkit import names, slo
from otelkit.generate import text
from otelkit.generate.rule import Group, Recording, matchers
from otelkit.model import Availability, BudgetObjective, Clock, Latency, Selectors, Sla


@dataclass(frozen=True, slots=True)
class Events:
    """PromQL selectors of two counters.

    ``sudden`` tells whether a series may first appear with the very event that it counts. Such an
    event is no increase to Prometheus, so it has to be counted apart.
    """

    total: str
    good: str
    sudden: bool


def environment_of(sla: Sla) -> str:
    """The environment that rules are written for."""
    return sla.environment.name if sla.environment else names.DEFAULT_ENVIRONMENT


def identity(sla: Sla, objective_name: str) -> dict[str, str]:
    """The labels that every series of an objective carries."""
    return {
        "system": sla.system,
        "environment": environment_of(sla),
        "objective": objective_name,
    }


def events(sla: Sla, objective: BudgetObjective) -> Events:
    """The counters of an objective, by its kind."""
    if isinstance(objective, Availability):
        return _availability(objective)
    if isinstance(objective, Latency):
        return _latency(objective)
    if isinstance(objective, Selectors) and objective.good and objective.total:
        return Events(total=objective.total, good=objective.good, sudden=True)
    if isinstance(objective, Clock):
        return _clock(sla, objective)
    raise AssertionError(f"{type(objective).__name__} has no events")


def _availability(objective: Availability) -> Events:
    service = objective.service
    count = f"{service.http.duration}_count"
    return Events(
        total=count + matchers(service.match),
        good=count + _with(service.match, f'{service.http.status}!~"5.."'),
        sudden=True,
    )


def _latency(objective: Latency) -> Events:
    service = objective.service
    bound = _le(objective.below)
    return Events(
        total=f"{service.http.duration}_count{matchers(service.match)}",
        good=f"{service.http.duration}_bucket{_with(service.match, bound)}",
        sudden=True,
    )


def _le(bound: Decimal) -> str:
    """A matcher for a bucket bound: one second is ``1`` to some clients and ``1.0`` to others."""
    plain = slo.plain(bound)
    return f'le="{plain}"' if "." in plain else f'le=~"{plain}|{plain}[.]0"'


def _clock(sla: Sla, objective: Clock) -> Events:
    own = {"system": sla.system, "objective": objective.name}
    name = names.ORDER_CLOCKS.name
    met, breached = names.OUTCOME_MET, names.OUTCOME_BREACHED
    return Events(
        total=name + _with(own, f'outcome=~"{met}|{breached}"'),
        good=name + _with(own, f'outcome="{met}"'),
        sudden=False,  # the collector exposes every combination from its start
    )


def _with(labels: Mapping[str, str], matcher: str) -> str:
    pairs = [f"{name}={text.quoted(value)}" for name, value in labels.items()]
    return "{" + ",".join([*pairs, matcher]) + "}"


def group(sla: Sla) -> Group:
    """The recordings of all objectives that have a budget."""
    rules = tuple(rule for objective in sla.budgets for rule in _recordings(sla, objective))
    return Group(f"otelkit.{sla.system}.sli", rules)


def _recordings(sla: Sla, objective: BudgetObjective) -> tuple[Recording, ...]:
    counters = events(sla, objective)
    labels = identity(sla, objective.name)
    own = matchers(labels)
    total, good = f"{names.TOTAL}5m", f"{names.GOOD}5m"
    none_good = f"(sum(increase({counters.good}[5m])) or vector(0))"
    return (
        Recording(
            total,
            f"sum(increase({counters.total}[5m]))" + _fresh(counters, counters.total),
            labels,
            f"{objective.name}: all events of the last 5 minutes.",
        ),
        Recording(
            good,
            f"({none_good}{_fresh(counters, counters.good)})\nand on () {total}{own}",
            labels,
            "The good ones among them; zero, not absent, when none was good.",
        ),
        Recording(
            f"{names.BAD}5m",
            f"clamp_min({total}{own} - {good}{own}, 0)",
            labels,
            "The bad ones. Clamped, because increase() rounds the two apart.",
        ),
    )


def _fresh(counters: Events, selector: str) -> str:
    """One event for each series that was born with it, where its process was already scraped."""
    if not counters.sudden:
        return ""
    return (
        "\n+ (\n"
        f"  count(\n    ({selector} > 0) unless {selector} offset 5m\n"
        f"    and on (job, instance) {counters.total} offset 5m\n  )\n"
        "  or vector(0)\n)"
    )
