"""No silent green: alerts for objectives without data, and for those who watch them.

They read little, and stand in a rule file of their own: a group that no longer evaluates cannot
say so itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from otelkit import names, slo
from otelkit.generate.alerts import labels_of
from otelkit.generate.annotations import alert_annotations
from otelkit.generate.rule import Alert, Group, Recording, matchers
from otelkit.generate.scope import (
    collected,
    environment_of,
    group_name,
    identity,
    severity_of,
)
from otelkit.model import BudgetObjective, Clock, Objective, QueueLimit, Sla

_SILENCE: Final = slo.promql_duration(slo.UNMEASURED)
_HOLD: Final = slo.promql_duration(slo.UNMEASURED_HOLD)
REMEMBERED: Final = "1d:5m"
"""How long a value of the labels ``by`` is missed before it is taken for one that is gone."""


def with_heartbeat(sla: Sla, group: Group) -> Group:
    """The group with a last recording, by which it shows that it is still being evaluated."""
    beat = Recording(
        names.RULES_EVALUATED,
        "vector(time())",
        heartbeat_labels(sla, group.name),
        "When this group was last evaluated; RulesNotEvaluating reads it from another group.",
    )
    return Group(group.name, (*group.rules, beat))


def heartbeat_labels(sla: Sla, group_name: str) -> dict[str, str]:
    """The labels of a group's heartbeat."""
    return {
        "system": sla.system,
        "environment": environment_of(sla),
        "rule_group": group_name,
    }


def watches_orders(sla: Sla) -> bool:
    """Whether the file needs a collector at all."""
    return any(from_collector(objective) for objective in sla.objectives)


def from_collector(objective: Objective) -> bool:
    """Whether what the objective measures comes through the collector, opening hours included."""
    business_hours = isinstance(objective, BudgetObjective) and objective.during is not None
    return isinstance(objective, (Clock, QueueLimit)) or business_hours


def group(sla: Sla, watched: Sequence[str]) -> Group:
    """The alerts about missing data, a stale collector and groups that stand still.

    ``watched`` are the names of the groups that have a heartbeat.
    """
    alerts = [*_no_data(sla)]
    if watches_orders(sla):
        alerts.append(_collector_stale(sla))
    alerts += _rules_not_evaluating(sla, watched)
    return Group(group_name(sla, "health"), tuple(alerts))


def _no_data(sla: Sla) -> Iterator[Alert]:
    for objective in sla.objectives:
        yield Alert(
            names.ALERT_OBJECTIVE_NO_DATA,
            _absent(sla, objective),
            labels_of(sla, objective, names.SEVERITY_TICKET),
            alert_annotations(
                sla,
                names.ALERT_OBJECTIVE_NO_DATA,
                dashboard=names.DASHBOARD_OVERVIEW,
                variables={"objective": objective.name},
                summary=f"No data for {objective.name}",
                description=(
                    f"Nothing has been measured for {_SILENCE}. Is what it measures being scraped, "
                    "under the names and labels of the SLA file?"
                ),
            ),
            f"{objective.name}: nothing measured is not the same as nothing wrong.",
            hold=_HOLD,
        )


def _absent(sla: Sla, objective: Objective) -> str:
    if isinstance(objective, QueueLimit):
        own = {**collected(sla), "queue": objective.queue.name}
        depth = names.DLQ_MESSAGES.name + matchers(own)
        return f"max by (queue) (absent_over_time({depth}[{_SILENCE}]))"
    events = f"{names.TOTAL}5m" + matchers(identity(sla, objective.name))
    everything = f"absent_over_time({events}[{_SILENCE}])"
    if not isinstance(objective, BudgetObjective) or not objective.by:
        return everything
    # Nothing tells which values there should be, but those of the last day can be missed.
    seen, now = (f"present_over_time({events}[{span}])" for span in (REMEMBERED, _SILENCE))
    return f"{everything}\nor {seen} unless {now}"


def _collector_stale(sla: Sla) -> Alert:
    own = collected(sla)
    tick = names.COLLECTOR_TICK.name + matchers(own)
    # A dead-letter queue that is away is its own objective's missing data, not a stale collector.
    source = names.SOURCE_UP.name + matchers(own)[:-1] + ',source!~"dlq:.*"}'
    stale = int(slo.STALE.total_seconds())
    labels = {
        "system": sla.system,
        "environment": environment_of(sla),
        "severity": severity_of(sla, names.SEVERITY_PAGE),
        "owner": collector_owner(sla),
        **sla.labels,
    }
    return Alert(
        names.ALERT_COLLECTOR_STALE,
        f"vector(1) unless time() - min(max by (shard) ({tick})) <= {stale}\n"
        f"or min(max by (source) ({source})) == 0",
        labels,
        alert_annotations(
            sla,
            names.ALERT_COLLECTOR_STALE,
            dashboard=names.DASHBOARD_FLOW,
            variables={},
            summary=f"The order collector of {sla.system} is not up to date",
            description=(
                "It is not scraped, no longer looks for passed deadlines, or reads no order "
                "events. What is known of orders and dead letters is old."
            ),
        ),
        "The collector is gone, stands still, or has lost its source of events.",
        hold=slo.promql_duration(slo.STALE_HOLD),
    )


def collector_owner(sla: Sla) -> str:
    """Who answers for the collector: the owner of the first thing that it watches."""
    return next(objective.owner for objective in sla.objectives if from_collector(objective))


def group_owners(sla: Sla) -> dict[str, tuple[str, ...]]:
    """By group of rules, whom it leaves without alerts when it stands still."""
    return {
        group_name(sla, "sli"): tuple(dict.fromkeys(o.owner for o in sla.budgets)),
        **{group_name(sla, o.name): (o.owner,) for o in sla.objectives},
    }


def _rules_not_evaluating(sla: Sla, watched: Sequence[str]) -> Iterator[Alert]:
    """One alert for each owner, on the groups that their alerts need."""
    owners = group_owners(sla)
    for owner in dict.fromkeys(objective.owner for objective in sla.objectives):
        own = (name for name in watched if owner in owners[name])
        beats = (names.RULES_EVALUATED + matchers(heartbeat_labels(sla, name)) for name in own)
        yield Alert(
            names.ALERT_RULES_NOT_EVALUATING,
            "\nor ".join(f"absent_over_time({beat}[{_SILENCE}])" for beat in beats),
            {
                "system": sla.system,
                "environment": environment_of(sla),
                "severity": severity_of(sla, names.SEVERITY_PAGE),
                "owner": owner,
                **sla.labels,
            },
            alert_annotations(
                sla,
                names.ALERT_RULES_NOT_EVALUATING,
                dashboard=names.DASHBOARD_OVERVIEW,
                variables={},
                summary=f"Rules of {sla.system} are not being evaluated",
                description=(
                    f"The group {{{{ $labels.rule_group }}}} has recorded nothing for {_SILENCE}. "
                    "Its alerts are silent, whatever happens."
                ),
            ),
            f"A group of rules that alerts {owner} has stopped, fails, or was never loaded.",
            hold=_HOLD,
        )
