"""SLA overview: how every objective stands, who answers for it, and what is left to spend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from otelkit import names, slo
from otelkit.generate.budget import tiers_of
from otelkit.generate.dashboards import frame, panels
from otelkit.generate.dashboards.panels import Json, prometheus
from otelkit.generate.dashboards.promql import any_of, labelled, select
from otelkit.generate.dashboards.status import MEANING, WORDS, status
from otelkit.model import Objective, QueueLimit, Sla

_CHOSEN = 'objective=~"$objective"'
_BURNING = panels.thresholds((None, "green"), (1, "orange"), (10, "red"))


def overview(sla: Sla) -> Json:
    """The dashboard. It opens on the longest budget period of the file."""
    longest = max((o.window.length for o in sla.budgets), default=timedelta(days=7))
    about = frame.Frame(
        names.DASHBOARD_OVERVIEW,
        "SLA overview",
        "How every objective of the SLA file stands, who answers for it, and what is left of its "
        "error budget.",
        since=slo.promql_duration(longest),
        refresh="1m",
    )
    variables = [
        frame.datasource_variable(panels.PROMETHEUS),
        frame.choice("objective", "Objective", [o.name for o in sla.objectives]),
    ]
    return frame.dashboard(sla, about, variables, _panels(sla))


def _panels(sla: Sla) -> Iterator[Json]:
    for owner in sla.owners:
        owned = [o for o in sla.objectives if o.owner == owner]
        if owned:
            yield panels.row(f"Owner: {owner}")
            yield from _statuses(sla, owner, owned)
    if sla.budgets:
        yield panels.row("Error budgets")
        yield _budgets_table(sla)
        yield _budget_over_time(sla)
        yield _burn_rates(sla)
        yield _good_share(sla)
    if sla.queue_limits:
        yield panels.row("Dead-letter queues")
        yield _queues_table(sla, sla.queue_limits)
    yield panels.row("Alerts")
    yield _firing(sla)


def _statuses(sla: Sla, owner: str, owned: Sequence[Objective]) -> Iterator[Json]:
    expr, height = status(sla, owned), min(4 + len(owned), 20)
    words = panels.words(WORDS)
    here = frame.url(sla, names.DASHBOARD_OVERVIEW, "var-objective=${__field.labels.objective}")
    yield panels.stat(
        f"Status now: {owner}",
        MEANING,
        [prometheus(expr, "{{objective}}", instant=True)],
        named=True,
        unit="none",
        width=10,
        height=height,
        limits=panels.thresholds((None, "text")),
        mappings=words,
        links=[panels.link("Show only this objective below", here)],
    )
    yield panels.state_timeline(
        f"Status over time: {owner}",
        MEANING,
        [prometheus(expr, "{{objective}}")],
        unit="none",
        width=14,
        height=height,
        limits=panels.thresholds((None, "text")),
        mappings=words,
    )


def _budgets_table(sla: Sla) -> Json:
    def worst(function: str, metric: str, *more: str) -> Json:
        """Of an objective with a budget for each value of a label, the worst stands for all."""
        series = select(sla, metric, _CHOSEN, *more)
        return prometheus(f"{function} by (objective) ({series})", instant=True)

    windows = _long_windows(sla)
    values = ["Target", "Budget left", "Bad events allowed", *(f"Burn rate {w}" for w in windows)]
    columns = {"objective": "Objective", "owner": "Owner"} | {
        f"Value #{letter}": title for letter, title in zip("ABCDEFG", values, strict=False)
    }
    left = panels.thresholds((None, "red"), (0, "orange"), (0.25, "green"))
    coloured = {"type": "color-text"}
    return panels.table(
        "Budgets",
        "What each objective promises, and what is left of the bad events that it allows. A burn "
        "rate of 1 spends the budget in exactly its period. An empty cell is not measured.",
        [
            prometheus(_targets_with_owners(sla), instant=True),
            worst("min", names.ERROR_BUDGET_REMAINING),
            worst("min", names.BUDGET_EVENTS),
            *(worst("max", names.BURN_RATE, f'window="{window}"') for window in windows),
        ],
        unit="none",
        height=min(4 + len(sla.budgets), 20),
        transformations=panels.joined("objective", columns, queries=len(values)),
        overrides=[
            panels.override("Target", unit="percentunit", decimals=3),
            panels.override(
                "Budget left",
                unit="percentunit",
                decimals=1,
                thresholds=left,
                **{"custom.cellOptions": coloured},
            ),
            panels.override("Bad events allowed", unit="short", decimals=1),
            panels.override(
                "Burn rate .*",
                unit="short",
                decimals=2,
                thresholds=_BURNING,
                **{"custom.cellOptions": coloured},
            ),
        ],
    )


def _long_windows(sla: Sla) -> list[str]:
    """The long windows that any objective's alerts look at, and the hour, which all record."""
    used = {tier.long for objective in sla.budgets for tier in tiers_of(objective)} | {"1h"}
    return [window for window in slo.LONG_WINDOWS if window in used]


def _labels(sla: Sla) -> tuple[str, ...]:
    """What tells one budget from another: its objective, and the labels ``by`` of the file."""
    return tuple(dict.fromkeys(("objective", *(label for o in sla.budgets for label in o.by))))


def _legend(sla: Sla) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in _labels(sla))


def _targets_with_owners(sla: Sla) -> str:
    """Targets labelled with the owner, which no recorded series carries."""
    owned = {
        owner: [o.name for o in sla.budgets if o.owner == owner]
        for owner in dict.fromkeys(o.owner for o in sla.budgets)
    }
    targets = (
        labelled(
            select(sla, names.TARGET, any_of("objective", objectives), _CHOSEN), "owner", owner
        )
        for owner, objectives in owned.items()
    )
    return "max by (objective, owner) (\n  " + "\n  or ".join(targets) + "\n)"


def _budget_over_time(sla: Sla) -> Json:
    left = select(sla, names.ERROR_BUDGET_REMAINING, _CHOSEN)
    known = f"{select(sla, names.BUDGET_EVENTS, _CHOSEN)} >= 1"
    periods = sorted({o.window.length for o in sla.budgets if o.window.calendar is None})
    return panels.timeseries(
        "Error budget left",
        "Share of the budget that is unspent; below zero the objective is missed. The dashed line "
        "is even spending: a full budget at the left edge, gone after one period. Nothing is "
        "drawn where nothing was measured, or while the budget is less than one bad event.",
        [
            prometheus(f"max by ({', '.join(_labels(sla))}) ({left} and {known})", _legend(sla)),
            *(prometheus(_even(period), f"Even over {_name(period)}") for period in periods),
        ],
        unit="percentunit",
        width=12,
        height=10,
        overrides=[
            panels.override(
                "Even over .*",
                color={"mode": "fixed", "fixedColor": "text"},
                **{"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}},
            )
        ],
    )


def _even(period: timedelta) -> str:
    """A straight line from a full budget at the left edge of the dashboard down to none."""
    seconds = int(period.total_seconds())
    return f"clamp_min(vector(1 - (time() - $__from / 1000) / {seconds}), 0)"


def _name(period: timedelta) -> str:
    return slo.promql_duration(period)


def _burn_rates(sla: Sla) -> Json:
    rates = select(sla, names.BURN_RATE, _CHOSEN, any_of("window", _long_windows(sla)))
    labels = ", ".join((*_labels(sla), "window"))
    return panels.timeseries(
        "Burn rate",
        "How fast budgets are being spent: at 1 a budget lasts exactly its period. No line where "
        "nothing was measured.",
        [prometheus(f"max by ({labels}) ({rates})", f"{_legend(sla)} over {{{{window}}}}")],
        unit="short",
        width=12,
        height=10,
        floor=0,
    )


def _good_share(sla: Sla) -> Json:
    bad, total = (select(sla, f"{prefix}1h", _CHOSEN) for prefix in (names.BAD, names.TOTAL))
    target = select(sla, names.TARGET, _CHOSEN)
    return panels.timeseries(
        "Good events of the last hour, and targets",
        "Share of events that were good over the hour before each point. An hour without events "
        "has no share.",
        [
            prometheus(
                f"max by ({', '.join(_labels(sla))}) (1 - {bad} / ({total} > 0))", _legend(sla)
            ),
            prometheus(f"max by (objective) ({target})", "Target of {{objective}}"),
        ],
        unit="percentunit",
        overrides=[
            panels.override(
                "Target of .*", **{"custom.lineStyle": {"fill": "dash", "dash": [4, 4]}}
            )
        ],
    )


def _queues_table(sla: Sla, limits: Sequence[QueueLimit]) -> Json:
    watched = any_of("queue", dict.fromkeys(limit.queue.name for limit in limits))
    depth = select(sla, names.DLQ_MESSAGES.name, watched)
    oldest = select(sla, names.DLQ_OLDEST_MESSAGE.name, watched)
    columns = {"queue": "Queue", "Value #A": "Messages", "Value #B": "Oldest message"}
    return panels.table(
        "Dead letters",
        "Messages that no service could process. Limits: " + " ".join(map(_limit, limits)),
        [
            prometheus(f"max by (queue) ({depth})", instant=True),
            prometheus(f"time() - min by (queue) ({oldest})", instant=True),
        ],
        unit="none",
        height=min(4 + len(limits), 12),
        transformations=panels.joined("queue", columns, queries=2),
        overrides=[
            panels.override("Messages", unit="short"),
            panels.override("Oldest message", unit="s"),
        ],
    )


def _limit(limit: QueueLimit) -> str:
    allowed = []
    if limit.max_messages is not None:
        allowed.append(f"at most {limit.max_messages} messages")
    if limit.max_age is not None:
        allowed.append(f"none older than {_name(limit.max_age)}")
    return f"{limit.queue.name} {' and '.join(allowed)} ({limit.name}, owner {limit.owner})."


def _firing(sla: Sla) -> Json:
    alerts = select(sla, "ALERTS", 'alertstate="firing"')
    columns = {
        "alertname": "Alert", "objective": "Objective", "severity": "Severity", "owner": "Owner",
    }  # fmt: skip
    return panels.table(
        "Firing now",
        "Alerts of this SLA file that fire, and who gets them.",
        [prometheus(f"max by (alertname, objective, severity, owner) ({alerts})", instant=True)],
        unit="none",
        height=6,
        empty="Nothing is firing",
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "Value": True},
                    "indexByName": {name: index for index, name in enumerate(columns)},
                    "renameByName": columns,
                },
            }
        ],
    )
