"""Proofs: for every alert, a scenario in which it must fire and others in which it must not.

They feed recorded events to the rules of one objective and expect alerts; :mod:`.raw` proves how
the events come about, :mod:`.burns` which of them spend too much of a budget. What they expect is
what an objective promises in words (a full outage pages within a quarter of the window, the tenth
breach pages and the ninth does not), not the output of the code that made the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from otelkit import names
from otelkit.generate import burns, risk
from otelkit.generate.alerts import labels_of
from otelkit.generate.health import heartbeat_labels
from otelkit.generate.proof import (
    ExpectAlert,
    Series,
    Test,
    beating,
    each,
    elsewhere,
    fires,
    notation,
    silent,
)
from otelkit.generate.said import Said, in_words, spoken_seconds, texts, told
from otelkit.generate.scope import collected, group_name, identity, severity_of
from otelkit.model import BudgetObjective, Clock, NewBreaches, Objective, QueueLimit, Sla

_MINUTE: Final = timedelta(minutes=1)
_A_LITTLE_MORE: Final = 17 / 16
"""Less than a tenth, and exact in floating point."""
_ARRIVED: Final = "Arrived since the collector began: 7 from work (rejected)."
_LATE: Final = ("A-1042", "A-7", "B-3", "A-1003", "A-2", "A-1")
"""Orders by deadline, one more than an alert names."""
_LATEST: Final = 30 * 60
"""When a message came that is younger than any that a test looks at."""


def objective(sla: Sla, objective: Objective, *, short: bool = False) -> Iterator[Test]:
    """The tests of one objective's rules; in the first, also that they are evaluated at all."""
    tests = _by_kind(sla, objective, short=short)
    first = next(tests, None)
    if first is not None:
        beat = heartbeat_labels(sla, group_name(sla, objective.name))
        yield replace(first, expressions=(*first.expressions, beating(beat, 10)))
    yield from tests


def _by_kind(sla: Sla, objective: Objective, *, short: bool) -> Iterator[Test]:
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
    """A breach that is counted by half is not enough; what is a little more alerts at once.

    First the five-minute series alone says so, and after five minutes the longer window alone, as
    long as it holds them.
    """
    labels = labels_of(sla, clock, severity) | each(clock)
    alert, within = names.ALERT_ORDERS_OVERDUE, int(threshold.within / _MINUTE)
    line = threshold.count - 0.5
    over = line * _A_LITTLE_MORE
    few, enough = 11, 21 + within  # the few have left the window when enough arrive
    bad = notation(
        [0.0] * few + [line] * 5 + [0.0] * (within + 5) + [over] * 5 + [0.0] * (within + 5)
    )
    own = identity(sla, clock.name) | each(clock)
    return Test(
        f"{clock.name}: {threshold.count} new breaches within {in_words(threshold.within)} lead to "
        f"a {severity}",
        (
            Series(f"{names.BAD}5m", own, bad),
            *elsewhere(f"{names.BAD}5m", own, identity(sla, clock.name), f"99x{enough + within}"),
            *_named(sla, clock, enough + within),
        ),
        (
            silent(alert, labels, few),
            silent(alert, labels, few + 5),
            silent(alert, labels, enough - 1),
            fires(alert, labels, enough),
            fires(alert, labels, enough + within - 1),
            silent(alert, labels, enough + within),
        ),
        _overdue_told(sla, clock, over, enough),
    )


def _named(sla: Sla, clock: Clock, minutes: int) -> Iterator[Series]:
    """Each order once, and the first of another collector too."""
    for at, order in enumerate((*_LATE, _LATE[0])):
        late = {**collected(sla), "objective": clock.name, "stage": clock.starts, "order_id": order}
        labels = late | ({"instance": "b"} if at == len(_LATE) else {})
        yield Series(names.ORDER_OVERDUE_DEADLINE.name, labels, f"{60 + at}x{minutes}")


def _overdue_told(sla: Sla, clock: Clock, breaches: float, minute: int) -> tuple[ExpectAlert, ...]:
    """All that so many breaches lead to, and what it says; not where one alert says two things."""
    thresholds = _thresholds(sla, clock)
    if len(thresholds) < len(clock.overdue):
        return ()
    alert = names.ALERT_ORDERS_OVERDUE
    found = []
    for severity, threshold in thresholds.items():
        if breaches > threshold.count - 0.5:
            said = Said(
                f"Orders newly overdue on {clock.name}",
                f"{breaches:.0f} new within {in_words(threshold.within)}. Longest overdue: "
                + ", ".join(f"{order} in {clock.starts}" for order in _LATE[:-1])
                + ".",
                names.DASHBOARD_FLOW,
                f"&var-process={clock.process.name}",
            )
            labels = labels_of(sla, clock, severity) | each(clock)
            found.append((labels, texts(sla, alert, minute, said)))
    return (ExpectAlert(alert, minute, tuple(found)),)


def _risk_alerts(sla: Sla, clock: Clock) -> Test:
    """The first order at risk opens a ticket that says in which stage; it closes with the last."""
    labels = labels_of(sla, clock, names.SEVERITY_TICKET) | {"stage": clock.starts}
    alert, name = names.ALERT_ORDERS_AT_RISK, names.ORDERS_AT_RISK.name
    own = {**collected(sla), "objective": clock.name}
    stage = {**own, "stage": clock.starts}
    said = Said(
        f"Orders at risk of missing {clock.name}",
        f"5 in {clock.starts} {risk.of_orders(clock)}.",
        names.DASHBOARD_FLOW,
        f"&var-process={clock.process.name}",
    )
    return Test(
        f"{clock.name}: an order at risk opens a ticket",
        (
            Series(name, stage | {"tier": clock.process.default_tier}, "0x5 1x1 2x3 0x5"),
            Series(name, stage | {"tier": "another"}, "0x7 3x3 0x5"),
            *elsewhere(name, stage, own, "9x20"),
        ),
        (silent(alert, labels, 5), fires(alert, labels, 6), silent(alert, labels, 12)),
        (told(sla, alert, 9, labels, said),),
    )


# --- dead letters --------------------------------------------------------------------------


def _depth_alerts(sla: Sla, limit: QueueLimit, most: int) -> Test:
    """One message over the limit opens a ticket that says where they came from."""
    labels = labels_of(sla, limit, names.SEVERITY_TICKET) | {"queue": limit.queue.name}
    alert, name = names.ALERT_DEAD_LETTERS, names.DLQ_MESSAGES.name
    own = {**collected(sla), "queue": limit.queue.name}
    said = Said(
        summary=f"Dead letters in {limit.queue.name}",
        description=f"{most + 3} messages where {most} are allowed. {_ARRIVED}",
        dashboard=names.DASHBOARD_FLOW,
    )
    return Test(
        f"{limit.name}: more than {most} messages open a ticket",
        (
            Series(name, own | {"instance": "a"}, f"{most}x5 {most + 1}x5 {most}x5"),
            Series(name, own | {"instance": "b"}, f"{most}x7 {most + 3}x3 {most}x5"),
            *elsewhere(name, own, own, f"{most + 9}x20"),
            _arrivals(own),
        ),
        (silent(alert, labels, 5), fires(alert, labels, 6), silent(alert, labels, 12)),
        # Where both limits are one alert, it speaks of both.
        () if _is_one_alert(sla, limit) else (told(sla, alert, 9, labels, said),),
    )


def _arrivals(own: Mapping[str, str]) -> Series:
    came = {"source_queue": "work", "reason": "rejected"}
    return Series(names.DLQ_ARRIVALS.name, {**own, **came}, "7x40")


def _is_one_alert(sla: Sla, limit: QueueLimit) -> bool:
    both = limit.max_messages is not None and limit.max_age is not None
    return both and severity_of(sla, names.SEVERITY_PAGE) == names.SEVERITY_TICKET


def _age_alerts(sla: Sla, limit: QueueLimit, most: timedelta) -> Test:
    """A message that is older than allowed pages until it is taken care of.

    The first one is as old as allowed in a minute, the second a few seconds older.
    """
    labels = labels_of(sla, limit, names.SEVERITY_PAGE) | {"queue": limit.queue.name}
    alert, name = names.ALERT_DEAD_LETTERS, names.DLQ_OLDEST_MESSAGE.name
    own = {**collected(sla), "queue": limit.queue.name}
    seconds = int(most.total_seconds())
    little = max(1, min(seconds // 20, 30))
    first, second = 10 * 60 - seconds, 21 * 60 - seconds - little
    said = Said(
        summary=f"Dead letters in {limit.queue.name}",
        description=f"The oldest message is {spoken_seconds(seconds + 60)} old where "
        f"{in_words(most)} are allowed. {_ARRIVED}",
        dashboard=names.DASHBOARD_FLOW,
    )
    return Test(
        f"{limit.name}: a message older than {in_words(most)} pages",
        (
            Series(name, own | {"instance": "a"}, f"{first}x12 {_LATEST}x2 {second}x5 stale"),
            Series(name, own | {"instance": "b"}, f"{_LATEST}x21 stale"),
            *elsewhere(name, own, own, f"{first - 3600}x30"),
            _arrivals(own),
        ),
        (
            silent(alert, labels, 1),
            silent(alert, labels, 10),
            fires(alert, labels, 11),
            silent(alert, labels, 14),
            silent(alert, labels, 20),
            fires(alert, labels, 21),
            silent(alert, labels, 22),
        ),
        () if _is_one_alert(sla, limit) else (told(sla, alert, 11, labels, said),),
    )
