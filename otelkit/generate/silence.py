"""Proofs of what watches the rest: missing data, a stale collector, rules that stand still.

Samples come twice a minute here, and the last of them half a minute after the last full one: so a
range that begins with that minute holds none, whether its two ends belong to it or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from otelkit import names, slo
from otelkit.generate.alerts import labels_of
from otelkit.generate.health import (
    collector_owner,
    group_owners,
    heartbeat_labels,
    watches_orders,
)
from otelkit.generate.proof import ExpectAlert, Series, Test, each, elsewhere
from otelkit.generate.said import Said, texts
from otelkit.generate.scope import collected, environment_of, identity, severity_of
from otelkit.model import BudgetObjective, Objective, QueueLimit, Sla

_INTERVAL: Final = "30s"
_SILENCE: Final = slo.promql_duration(slo.UNMEASURED)
_ALIVE: Final = "0x120"
_STOPS: Final = "0x41 stale"
"""Until 20 minutes and a half."""
_STOPS_LATER: Final = "0x81 stale"
_TOLD: Final = 36
"""The minute in which what stopped is told: ten minutes without a sample, and five more."""
_LATER: Final = _TOLD + 20

Labels = Mapping[str, str]


def tests(sla: Sla, watched: Sequence[str]) -> Iterator[Test]:
    """``watched`` are the groups that have a heartbeat."""
    yield _no_data(sla)
    if watches_orders(sla):
        yield _collector_is_missing(sla)
        yield _collector_stops(sla)
        yield _source_is_lost(sla)
    yield _groups_stop(sla, watched)


# --- data ----------------------------------------------------------------------------------


def _no_data(sla: Sla) -> Test:
    """Fifteen minutes without a sample are told; zero events are data."""
    series = [one for objective in sla.objectives for one in _silenced(sla, objective)]
    told = [one for objective in sla.objectives for one in _missed(sla, objective)]
    alert = names.ALERT_OBJECTIVE_NO_DATA
    return Test(
        "silence is told, no traffic is not",
        tuple({(one.name, *sorted(one.labels.items())): one for one in series}.values()),
        (),
        (ExpectAlert(alert, _TOLD - 1, ()), ExpectAlert(alert, _TOLD, tuple(told))),
        interval=_INTERVAL,
    )


def _silenced(sla: Sla, objective: Objective) -> Iterator[Series]:
    if isinstance(objective, QueueLimit):
        own = {**collected(sla), "queue": objective.queue.name}
        name = names.DLQ_MESSAGES.name
    else:
        own = identity(sla, objective.name) | each(objective)
        name = f"{names.TOTAL}5m"
    yield Series(name, own, _STOPS)
    apart = [label for label in own if label not in each(objective)]
    yield from elsewhere(name, own, apart, _ALIVE)


def _missed(sla: Sla, objective: Objective) -> Iterator[tuple[Labels, Labels]]:
    labels = labels_of(sla, objective, names.SEVERITY_TICKET)
    said = texts(
        sla,
        names.ALERT_OBJECTIVE_NO_DATA,
        _TOLD,
        Said(
            f"No data for {objective.name}",
            f"Nothing has been measured for {_SILENCE}. Is what it measures being scraped, under "
            "the names and labels of the SLA file?",
            names.DASHBOARD_OVERVIEW,
            f"&var-objective={objective.name}",
        ),
    )
    if isinstance(objective, QueueLimit):
        labels["queue"] = objective.queue.name
    yield labels, said
    if isinstance(objective, BudgetObjective) and objective.by:
        yield labels | each(objective), said  # the value that was there is missed as well


# --- the collector -------------------------------------------------------------------------


def _tick(sla: Sla, shard: str, values: str, instance: str = "a") -> Series:
    labels = {**collected(sla), "shard": shard, "instance": instance}
    return Series(names.COLLECTOR_TICK.name, labels, values)


def _source(sla: Sla, source: str, values: str, instance: str = "a") -> Series:
    labels = {**collected(sla), "source": source, "instance": instance}
    return Series(names.SOURCE_UP.name, labels, values)


def _foreign_collector(sla: Sla) -> Iterator[Series]:
    """One that is as stale as can be, and none of ours."""
    own = collected(sla)
    yield from elsewhere(names.COLLECTOR_TICK.name, own | {"shard": "9"}, tuple(own), "1x120")
    lost = own | {"source": "theirs"}
    yield from elsewhere(names.SOURCE_UP.name, lost, tuple(own), "0x120")


def _stale(sla: Sla, minute: int, *, fires: bool) -> ExpectAlert:
    alert = names.ALERT_COLLECTOR_STALE
    if not fires:
        return ExpectAlert(alert, minute, ())
    labels = {
        "system": sla.system,
        "environment": environment_of(sla),
        "severity": severity_of(sla, names.SEVERITY_PAGE),
        "owner": collector_owner(sla),
        **sla.labels,
    }
    said = Said(
        f"The order collector of {sla.system} is not up to date",
        "It is not scraped, no longer looks for passed deadlines, or reads no order events. What "
        "is known of orders and dead letters is old.",
        names.DASHBOARD_FLOW,
    )
    return ExpectAlert(alert, minute, ((labels, texts(sla, alert, minute, said)),))


def _collector_is_missing(sla: Sla) -> Test:
    return Test(
        "a collector that was never there is told after a minute",
        tuple(_foreign_collector(sla)),
        (),
        (_stale(sla, 0, fires=False), _stale(sla, 1, fires=True)),
        interval=_INTERVAL,
    )


def _collector_stops(sla: Sla) -> Test:
    """Its last look at deadlines is more than two minutes old: whether it is scraped or not."""
    return Test(
        "a collector that stands still is told, one whose shard another has taken over is not",
        (
            _tick(sla, "0", "0+30x120"),
            _tick(sla, "1", "300x120", instance="b"),
            _tick(sla, "1", "0+30x40 1200x2 1200+30x2 1410+30x32 2395x20"),
            _source(sla, "rabbitmq", "1x120"),
            *_foreign_collector(sla),
        ),
        (),
        (
            _stale(sla, 23, fires=False),  # two minutes are not more than two
            _stale(sla, 42, fires=False),
            _stale(sla, 43, fires=True),
        ),
        interval=_INTERVAL,
    )


def _source_is_lost(sla: Sla) -> Test:
    return Test(
        "a collector that has lost its broker is told, one that still has it elsewhere is not",
        (
            _tick(sla, "0", "0+30x120"),
            _source(sla, "http", "1x120"),
            _source(sla, "http", "0x120", instance="b"),
            _source(sla, "dlq:work", "0x120"),  # its objective's missing data
            _source(sla, "rabbitmq", "1x41 0x40"),
            *_foreign_collector(sla),
        ),
        (),
        (_stale(sla, 21, fires=False), _stale(sla, 22, fires=True)),
        interval=_INTERVAL,
    )


# --- rules ---------------------------------------------------------------------------------


def _groups_stop(sla: Sla, watched: Sequence[str]) -> Test:
    """Every other group stops first, the rest twenty minutes later."""
    alert, owners = names.ALERT_RULES_NOT_EVALUATING, group_owners(sla)
    first, later = watched[::2], watched[1::2]
    series = [
        one
        for groups, values in ((first, _STOPS), (later, _STOPS_LATER))
        for group in groups
        for one in _heartbeats(sla, group, values)
    ]

    def told(minute: int, groups: Sequence[str]) -> ExpectAlert:
        stopped = ((group, owner) for group in groups for owner in owners[group])
        return ExpectAlert(alert, minute, tuple(_stopped(sla, *one, minute) for one in stopped))

    return Test(
        "rules that stand still are told",
        tuple(series),
        (),
        (
            told(_TOLD - 1, ()),
            told(_TOLD, first),
            told(_LATER - 1, first),
            told(_LATER, (*first, *later)),
        ),
        interval=_INTERVAL,
    )


def _heartbeats(sla: Sla, group: str, values: str) -> Iterator[Series]:
    own = heartbeat_labels(sla, group)
    yield Series(names.RULES_EVALUATED, own, values)
    yield from elsewhere(names.RULES_EVALUATED, own, ("system", "environment"), _ALIVE)


def _stopped(sla: Sla, group: str, owner: str, minute: int) -> tuple[Labels, Labels]:
    labels = {
        **heartbeat_labels(sla, group),
        "severity": severity_of(sla, names.SEVERITY_PAGE),
        "owner": owner,
        **sla.labels,
    }
    said = Said(
        f"Rules of {sla.system} are not being evaluated",
        f"The group {group} has recorded nothing for {_SILENCE}. Its alerts are silent, whatever "
        "happens.",
        names.DASHBOARD_OVERVIEW,
    )
    return labels, texts(sla, names.ALERT_RULES_NOT_EVALUATING, minute, said)
