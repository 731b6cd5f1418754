"""Proofs: for every alert, a scenario in which it must fire and others in which it must not.

They feed recorded events to the rules of one objective and expect alerts; :mod:`.raw` proves how
the events come about, :mod:`.burns` which of them spend too much of a budget. What they expect is
what an objective promises in words (a full outage pages within a quarter of the window, the tenth
breach pages and the ninth does not), not the output of the code that made the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from otelkit import names
from otelkit.generate import burns
from otelkit.generate.alerts import labels_of
from otelkit.generate.health import (
    collector_owner,
    group_owners,
    heartbeat_labels,
    watches_orders,
)
from otelkit.generate.proof import Expect, Series, Test, each, fires, silent
from otelkit.generate.said import Said, in_words, told
from otelkit.generate.scope import collected, environment_of, identity, severity_of
from otelkit.model import BudgetObjective, Clock, NewBreaches, Objective, QueueLimit, Sla

_MINUTE: Final = timedelta(minutes=1)


def objective(sla: Sla, objective: Objective, *, short: bool = False) -> Iterator[Test]:
    """The tests of one objective's rules, by its kind; ``short`` ones prove a budget's labels."""
    if isinstance(objective, BudgetObjective):
        yield from burns.tests(sla, objective, short=short)
    if isinstance(objective, Clock):
        for severity, threshold in _thresholds(sla, objective).items():
            yield _breaches_alert(sla, objective, severity, threshold)
        if objective.at_risk is not None:
            yield _risk_alerts(sla, objective)
    if isinstance(objective, QueueLimit):
        if objective.max_messages is not None:
            yield _depth_alerts(sla, objective, objective.max_messages)
        if objective.max_age is not None:
            yield _age_alerts(sla, objective, objective.max_age)


# --- orders --------------------------------------------------------------------------------


def _thresholds(sla: Sla, clock: Clock) -> dict[str, NewBreaches]:
    """The lowest threshold by severity: where a page is a ticket, one alert has two of them."""
    found: dict[str, NewBreaches] = {}
    for severity, threshold in clock.overdue.items():
        here = severity_of(sla, severity)
        lowest = found.get(here, threshold)
        found[here] = min(lowest, threshold, key=lambda one: (one.count, one.within))
    return found


def _breaches_alert(sla: Sla, clock: Clock, severity: str, threshold: NewBreaches) -> Test:
    """The last breach of the threshold alerts at once and names orders; the one before does not."""
    labels = labels_of(sla, clock, severity) | each(clock)
    alert, span = names.ALERT_ORDERS_OVERDUE, in_words(threshold.within)
    within = int(threshold.within / _MINUTE)
    few, enough = 11, 11 + within + 10  # the few have left the window when enough arrive
    bad = f"0x{few - 1} {threshold.count - 1}x4 0x{within + 4} {threshold.count}x4 0x{within + 10}"
    order = {**collected(sla), "objective": clock.name, "stage": clock.starts}
    late = Series(names.ORDER_OVERDUE_DEADLINE.name, order | {"order_id": "A-1042"}, "60x600")
    said = Said(
        summary=f"Orders newly overdue on {clock.name}",
        description=f"{threshold.count} new within {span}. Longest overdue: "
        f"A-1042 in {clock.starts}.",
        dashboard=names.DASHBOARD_FLOW,
        variables=f"&var-process={clock.process.name}",
    )
    return Test(
        f"{clock.name}: {threshold.count} new breaches within {span} lead to a {severity}",
        (Series(f"{names.BAD}5m", identity(sla, clock.name) | each(clock), bad), late),
        (
            silent(alert, labels, few + 1),
            silent(alert, labels, enough - 1),
            fires(alert, labels, enough),
            fires(alert, labels, enough + within - 2),  # as long as it is within the window
            silent(alert, labels, enough + within + 6),
        ),
        (told(sla, alert, enough, labels, said),) if len(clock.overdue) == 1 else (),
    )


def _risk_alerts(sla: Sla, clock: Clock) -> Test:
    """The first order at risk opens a ticket that says in which stage; it closes with the last."""
    labels = labels_of(sla, clock, names.SEVERITY_TICKET) | {"stage": clock.starts}
    alert = names.ALERT_ORDERS_AT_RISK
    own = {**collected(sla), "objective": clock.name, "stage": clock.starts}
    series = Series(
        names.ORDERS_AT_RISK.name, own | {"tier": clock.process.default_tier}, "0x5 2x5 0x5"
    )
    return Test(
        f"{clock.name}: an order at risk opens a ticket",
        (series,),
        (silent(alert, labels, 5), fires(alert, labels, 6), silent(alert, labels, 12)),
    )


# --- dead letters --------------------------------------------------------------------------


def _depth_alerts(sla: Sla, limit: QueueLimit, most: int) -> Test:
    """One message over the limit opens a ticket that says where it came from."""
    labels = labels_of(sla, limit, names.SEVERITY_TICKET) | {"queue": limit.queue.name}
    alert = names.ALERT_DEAD_LETTERS
    own = {**collected(sla), "queue": limit.queue.name}
    said = Said(
        summary=f"Dead letters in {limit.queue.name}",
        description=f"{most + 1} messages where {most} are allowed. Arrived since the collector "
        "began: 7 from work (rejected).",
        dashboard=names.DASHBOARD_FLOW,
    )
    return Test(
        f"{limit.name}: more than {most} messages open a ticket",
        (
            Series(names.DLQ_MESSAGES.name, own, f"{most}x5 {most + 1}x5 {most}x5"),
            Series(
                names.DLQ_ARRIVALS.name,
                own | {"source_queue": "work", "reason": "rejected"},
                "7x20",
            ),
        ),
        (silent(alert, labels, 5), fires(alert, labels, 6), silent(alert, labels, 12)),
        # Where both limits are one alert, it speaks of both.
        () if _is_one_alert(sla, limit) else (told(sla, alert, 6, labels, said),),
    )


def _is_one_alert(sla: Sla, limit: QueueLimit) -> bool:
    both = limit.max_messages is not None and limit.max_age is not None
    return both and severity_of(sla, names.SEVERITY_PAGE) == names.SEVERITY_TICKET


def _age_alerts(sla: Sla, limit: QueueLimit, most: timedelta) -> Test:
    """A message that is older than allowed pages until it is taken care of."""
    labels = labels_of(sla, limit, names.SEVERITY_PAGE) | {"queue": limit.queue.name}
    alert = names.ALERT_DEAD_LETTERS
    own = {**collected(sla), "queue": limit.queue.name}
    late = 11  # the first whole minute at which it is older than allowed
    arrived = (late - 1) * 60 - int(most.total_seconds())
    return Test(
        f"{limit.name}: a message older than {in_words(most)} pages",
        (Series(names.DLQ_OLDEST_MESSAGE.name, own, f"{arrived}x{late + 2} stale"),),
        (
            silent(alert, labels, late - 1),
            fires(alert, labels, late),
            silent(alert, labels, late + 4),
        ),
    )


# --- health --------------------------------------------------------------------------------


def health(sla: Sla, watched: Sequence[str]) -> Iterator[Test]:
    """The tests of what watches the rest; ``watched`` are the groups that have a heartbeat."""
    yield from (_no_data(sla, objective) for objective in sla.objectives)
    if watches_orders(sla):
        yield _collector_is_missing(sla)
        yield _collector_stops(sla)
        yield _source_is_lost(sla)
    owners = group_owners(sla)
    yield from (_group_stops(sla, group, owner) for group in watched for owner in owners[group])


def _no_data(sla: Sla, objective: Objective) -> Test:
    """Fifteen minutes without a sample are told; zero events are data."""
    if isinstance(objective, QueueLimit):
        own = {**collected(sla), "queue": objective.queue.name}
        series = Series(names.DLQ_MESSAGES.name, own, "0x20 stale _x40")
    else:
        series = Series(
            f"{names.TOTAL}5m", identity(sla, objective.name) | each(objective), "0x20 stale _x40"
        )
    labels = labels_of(sla, objective, names.SEVERITY_TICKET) | each(objective)
    alert = names.ALERT_OBJECTIVE_NO_DATA
    return Test(
        f"{objective.name}: silence is told, no traffic is not",
        (series,),
        # Queue objectives share their metric; `queue` is a label that absent_over_time() keeps.
        _told_once(alert, _absent_labels(sla, objective, labels), 20, 40),
    )


def _absent_labels(sla: Sla, objective: Objective, labels: Mapping[str, str]) -> dict[str, str]:
    if isinstance(objective, QueueLimit):
        return {**labels, "queue": objective.queue.name}
    return {**identity(sla, objective.name), **labels}


def _told_once(
    alert: str, labels: Mapping[str, str], quiet: int, loud: int
) -> tuple[Expect, Expect]:
    return (silent(alert, labels, quiet), fires(alert, labels, loud))


def _collector(sla: Sla, tick: str, up: str) -> tuple[Series, Series]:
    own = collected(sla)
    return (
        Series(names.COLLECTOR_TICK.name, own | {"shard": "0"}, tick),
        Series(names.SOURCE_UP.name, own | {"source": "rabbitmq"}, up),
    )


def _stale_labels(sla: Sla) -> dict[str, str]:
    return {
        "system": sla.system,
        "environment": environment_of(sla),
        "severity": severity_of(sla, names.SEVERITY_PAGE),
        "owner": collector_owner(sla),
        **sla.labels,
    }


def _collector_is_missing(sla: Sla) -> Test:
    return Test(
        "a collector that was never there is told",
        (),
        _told_once(names.ALERT_COLLECTOR_STALE, _stale_labels(sla), 0, 2),
    )


def _collector_stops(sla: Sla) -> Test:
    """Its last look at deadlines is three minutes old: it hangs, whether it is scraped or not."""
    return Test(
        "a collector that stands still is told",
        _collector(sla, "0+60x20 1200x20", "1x40"),
        _told_once(names.ALERT_COLLECTOR_STALE, _stale_labels(sla), 20, 25),
    )


def _source_is_lost(sla: Sla) -> Test:
    return Test(
        "a collector that has lost its broker is told",
        _collector(sla, "0+60x40", "1x20 0x20"),
        _told_once(names.ALERT_COLLECTOR_STALE, _stale_labels(sla), 20, 23),
    )


def _group_stops(sla: Sla, group: str, owner: str) -> Test:
    labels = {
        **heartbeat_labels(sla, group),
        "severity": severity_of(sla, names.SEVERITY_PAGE),
        "owner": owner,
        **sla.labels,
    }
    return Test(
        f"{group}: rules that stand still are told to {owner}",
        (Series(names.RULES_EVALUATED, heartbeat_labels(sla, group), "0+60x20 stale _x40"),),
        _told_once(names.ALERT_RULES_NOT_EVALUATING, labels, 20, 40),
    )
