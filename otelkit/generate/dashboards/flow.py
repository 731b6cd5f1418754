"""Order flow: where orders are, which are late, how fast they move, and what died on the way."""

from __future__ import annotations

from collections.abc import Iterator

from otelkit import names
from otelkit.generate.dashboards import frame, panels
from otelkit.generate.dashboards.deadletters import dead_letters
from otelkit.generate.dashboards.panels import Json, prometheus
from otelkit.generate.dashboards.promql import select
from otelkit.model import Sla

_PLACE = ('process=~"$process"', 'stage=~"$stage"', 'tier=~"$tier"')
_CLOCK = ('stage=~"$stage"', 'tier=~"$tier"')
_UP = {1: ("Up", "green"), 0: ("Down", "red")}


def flow(sla: Sla) -> Json:
    """The dashboard. It opens on the last day."""
    about = frame.Frame(
        names.DASHBOARD_FLOW,
        "Order flow",
        "Where orders are, which are late, how long stages take, and what ended as dead letters.",
        since="24h",
        refresh="30s",
    )
    stages = dict.fromkeys(s for process in sla.processes.values() for s in process.stages)
    tiers = dict.fromkeys(t for process in sla.processes.values() for t in process.tiers)
    variables = [
        frame.datasource_variable(panels.PROMETHEUS),
        frame.choice("process", "Process", list(sla.processes)),
        frame.choice("stage", "Stage", list(stages)),
        frame.choice("tier", "Tier", list(tiers)),
    ]
    return frame.dashboard(sla, about, variables, _panels(sla))


def _panels(sla: Sla) -> Iterator[Json]:
    yield panels.row("Orders")
    yield _open(sla)
    yield _paused(sla)
    yield _ages(sla)
    yield _durations(sla)
    if sla.clocks:
        yield panels.row("Deadlines")
        yield _late(sla, names.ORDERS_OVERDUE, "Overdue", "Orders that are past a deadline.")
        yield _late(
            sla, names.ORDERS_AT_RISK, "At risk", "Not overdue yet, but little time is left."
        )
        yield _named(sla)
        yield _next(sla)
        yield _outcomes(sla)
        yield _corrections(sla)
    yield from dead_letters(sla)
    yield panels.row("The collector itself")
    yield _events(sla)
    yield _sources(sla)
    yield _tick(sla)


# --- orders --------------------------------------------------------------------------------


def _open(sla: Sla) -> Json:
    orders = select(sla, names.ORDERS_OPEN.name, *_PLACE)
    stacked = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
    return panels.timeseries(
        "Open orders by stage",
        "Orders that are neither done nor cancelled, paused ones included.",
        [prometheus(f"sum by (process, stage) ({orders})", "{{process}} {{stage}}")],
        unit="short",
        width=12,
        floor=0,
        custom=stacked,
    )


def _paused(sla: Sla) -> Json:
    orders = select(sla, names.ORDERS_PAUSED.name, *_PLACE)
    return panels.timeseries(
        "Paused orders by stage",
        "Orders whose clocks stand still, by the stage they paused in. A calendar that is closed "
        "pauses nothing: its time does not pass.",
        [prometheus(f"sum by (process, stage) ({orders})", "{{process}} {{stage}}")],
        unit="short",
        width=12,
        floor=0,
    )


def _ages(sla: Sla) -> Json:
    ages = select(sla, f"{names.ORDER_STAGE_AGE.name}_bucket", *_PLACE)
    return panels.heatmap(
        "Time that open orders have been in their stage",
        "Wall-clock time since an order entered its stage. A band that wanders upwards is a group "
        "of orders that is stuck.",
        panels.buckets(f"sum by (le) ({ages})"),
        unit="s",
        width=12,
    )


def _durations(sla: Sla) -> Json:
    buckets = select(sla, f"{names.ORDER_STAGE_DURATION.name}_bucket", *_PLACE)
    left = f"sum by (stage, le) (rate({buckets}[$__rate_interval]))"
    return panels.timeseries(
        "Time spent in stages that orders have left",
        "Median and 95th percentile of the orders that left a stage around each point.",
        [
            prometheus(f"histogram_quantile(0.5, {left})", "{{stage}} median"),
            prometheus(f"histogram_quantile(0.95, {left})", "{{stage}} 95th percentile"),
        ],
        unit="s",
        width=12,
        floor=0,
    )


# --- deadlines -----------------------------------------------------------------------------


def _late(sla: Sla, metric: names.Metric, title: str, description: str) -> Json:
    orders = select(sla, metric.name, *_CLOCK)
    return panels.timeseries(
        title,
        description,
        [prometheus(f"sum by (objective, stage) ({orders})", "{{objective}} in {{stage}}")],
        unit="short",
        width=12,
        floor=0,
    )


def _named(sla: Sla) -> Json:
    deadlines = select(sla, names.ORDER_OVERDUE_DEADLINE.name, 'stage=~"$stage"')
    columns = {
        "order_id": "Order",
        "objective": "Objective",
        "stage": "Stage",
        "Value": "Overdue for",
    }
    journey = frame.url(sla, names.DASHBOARD_JOURNEY, "var-order_id=${__value.text}")
    return panels.table(
        "Longest overdue orders",
        "At most five for each objective and stage. Click an order to see its journey.",
        [
            prometheus(
                f"sort_desc(time() - max by (order_id, objective, stage) ({deadlines}))",
                instant=True,
            )
        ],
        unit="none",
        width=14,
        empty="No order is overdue",
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {name: index for index, name in enumerate(columns)},
                    "renameByName": columns,
                },
            }
        ],
        overrides=[
            panels.override("Order", links=[panels.link("Journey of this order", journey)]),
            panels.override("Overdue for", unit="s"),
        ],
    )


def _next(sla: Sla) -> Json:
    deadlines = select(sla, names.ORDER_EARLIEST_DEADLINE.name, *_CLOCK)
    return panels.stat(
        "Next deadline",
        "The earliest deadline that can still be met, by objective.",
        [prometheus(f"1000 * min by (objective) ({deadlines})", "{{objective}}")],
        named=True,
        unit="dateTimeFromNow",
        width=10,
        limits=panels.thresholds((None, "text")),
        empty="No order is waiting for one",
    )


def _outcomes(sla: Sla) -> Json:
    clocks = select(sla, names.ORDER_CLOCKS.name, 'tier=~"$tier"')
    return panels.bars(
        "Clocks by outcome",
        "Deadlines met, breached and cancelled. A breach counts when it happens, not when the "
        "order ends.",
        [
            prometheus(
                f"sum by (objective, outcome) (increase({clocks}[$__rate_interval]))",
                "{{objective}} {{outcome}}",
            )
        ],
        unit="short",
        width=12,
        floor=0,
    )


def _corrections(sla: Sla) -> Json:
    corrections = select(sla, names.ORDER_CLOCK_CORRECTIONS.name, 'tier=~"$tier"')
    return panels.bars(
        "Corrections",
        "Outcomes that an event turned over which came after they had been counted. Many of them "
        "mean that a service sends its events too late.",
        [
            prometheus(
                f"sum by (objective, from, to) (increase({corrections}[$__rate_interval])) > 0",
                "{{objective}} from {{from}} to {{to}}",
            )
        ],
        unit="short",
        width=12,
        floor=0,
        empty="None",
    )


# --- the collector -------------------------------------------------------------------------


def _events(sla: Sla) -> Json:
    events = select(sla, names.ORDER_EVENTS.name)
    return panels.timeseries(
        "Order events",
        "Events a second by source and what became of them. Quarantined ones are no order events, "
        "or of a status that the SLA file does not know; the collector's /quarantine shows them.",
        [
            prometheus(
                f"sum by (source, outcome) (rate({events}[$__rate_interval]))",
                "{{source}} {{outcome}}",
            )
        ],
        unit="eps",
        width=10,
        floor=0,
    )


def _sources(sla: Sla) -> Json:
    return panels.state_timeline(
        "Sources",
        "Whether the collector can read what it reads from.",
        [prometheus(f"max by (source) ({select(sla, names.SOURCE_UP.name)})", "{{source}}")],
        unit="none",
        width=8,
        limits=panels.thresholds((None, "text")),
        mappings=panels.words(_UP),
    )


def _tick(sla: Sla) -> Json:
    tick = select(sla, names.COLLECTOR_TICK.name)
    return panels.stat(
        "Last look at deadlines",
        "How long ago the collector last looked for deadlines that have passed.",
        [prometheus(f"time() - max by (shard) ({tick})", "shard {{shard}}")],
        unit="s",
        width=6,
        limits=panels.thresholds((None, "green"), (60, "orange"), (120, "red")),
    )
