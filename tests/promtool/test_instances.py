"""Several collectors: each shard is an instance of its own, and none is counted twice."""

from __future__ import annotations

from otelkit import spec

from .scenario import Expected, Scenario, given

__all__ = ["given"]

SLA = """
version: 1
system: shop
owners: {plant: {page: pager, ticket: desk}}
processes: {order: {owner: plant, stages: [making], done: [shipped], tiers: [all]}}
queues: {dead: {owner: plant}}
objectives:
  - {name: made, process: order, stage: making, within: 1h, at_risk: 25%, target: 90%}
  - {name: letters, queue: dead, max_messages: 0}
"""
OWN = 'system="shop",objective="made",tier="all"'


def shard(number: int) -> str:
    return f'job="otelkit-collector",instance="shard-0{number}"'


def clocks(number: int, outcome: str) -> str:
    return f'otelkit_order_clocks_total{{{OWN},outcome="{outcome}",{shard(number)}}}'


def test_what_shards_count_is_added_and_the_worst_of_them_tells(given: Scenario) -> None:
    series = {
        clocks(0, "met"): "0+1x20",
        clocks(1, "met"): "0+2x20",
        clocks(0, "breached"): "0x20",
        clocks(1, "breached"): "0+1x20",
    }
    for number, ticks in ((0, "0+60x20"), (1, "0+60x10 600x10")):
        of = shard(number)
        tick = f'{{system="shop",shard="0{number}",{of}}}'
        series[f"otelkit_collector_tick_timestamp_seconds{tick}"] = ticks
        series[f'otelkit_orders_at_risk{{{OWN},stage="making",{of}}}'] = f"{number + 1}x20"
    # Of two collectors, each a target, one has lost the broker; that alone is no reason to wake.
    for target, up in (("a:9465", 1), ("b:9465", 0)):
        labels = f'system="shop",source="rabbitmq",job="otelkit-collector",instance="{target}"'
        series[f"otelkit_source_up{{{labels}}}"] = f"{up}x20"
    series[f'otelkit_dlq_messages{{system="shop",queue="dead",{shard(0)}}}'] = "3x20"
    recorded = '{__name__="otelkit:objective_%s:increase5m",objective="made"}'
    labels = '{environment="default", objective="made", system="shop"}'
    active = 'count by (alertname) (ALERTS{alertstate="firing",objective%s,alertname=~"%s"})'
    at_risk = active % ('="made"', "OrdersAtRisk")
    stale = active % ('=""', "CollectorStale")
    given(
        spec.loads(SLA, "sla.yaml"),
        series,
        Expected("10m", recorded % "total", {labels: 20}),
        Expected("10m", recorded % "good", {labels: 15}),
        Expected("10m", 'sum by (stage) (otelkit_orders_at_risk)', {'{stage="making"}': 3}),
        Expected("10m", at_risk, {'{alertname="OrdersAtRisk"}': 1}),
        Expected("10m", stale, {}),
        Expected("18m", stale, {'{alertname="CollectorStale"}': 1}),
    )  # fmt: skip
