"""``/metrics`` of the collector against the contract in ``otelkit/names.py``."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import httpx
import pika
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from collecting import StartCollector, batch, moved, scrape
from otelkit import names, spec
from otelkit.collect.api.exposition import Exposition, ProcessExposition
from otelkit.collect.api.orders import Orders
from otelkit.collect.api.requests import refusals
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.deadletters import Reading
from otelkit.collect.storage.ledger import DeadLetter
from otelkit.collect.storage.stores import open_store
from shop.servers import RabbitMQ, find_program
from shop.services import Collector
from shop.waiting import until

GOLDEN = Path(__file__).parent / "data" / "metrics.txt"
START = 1_800_000_000.0
SLA = """
version: 1
system: shop
calendars:
  workshop: {timezone: UTC, hours: {mon-sun: "00:00-24:00"}}
processes:
  order:
    stages: [submitted, making]
    done: [shipped]
    cancelled: [cancelled]
    paused: [waiting]
    tiers: [standard]
queues:
  orders.dlq: {}
objectives:
  - name: making
    process: order
    stage: making
    calendar: workshop
    within: [{partner: acme, allow: 100s, agreement: acme-gold}, {allow: 60s}]
    at_risk: 50%
    target: 95%
  - {name: no-dead-letters, queue: orders.dlq, max_messages: 0}
"""

MET = [("A-1", "submitted", 0), ("A-1", "making", 30), ("A-1", "shipped", 40)]
OVERDUE = [("A-2", "making", 20)]
AT_RISK = [("A-3", "making", 70)]
CANCELLED = [("A-4", "making", 60), ("A-4", "cancelled", 70)]
PAUSED = [("A-5", "submitted", 30), ("A-5", "waiting", 40)]


@pytest.fixture
def known(tmp_path: Path) -> Iterator[CollectorRegistry]:
    """What is exposed of a small history, 125 seconds after it began."""
    sla = spec.loads(SLA, "sla.yaml")
    with closing(open_store(tmp_path / "orders.db")) as store:
        engine = Engine(sla, store)
        told = [
            moved(order, status, START + after, partner="acme" if order == "A-3" else None)
            for order, status, after in (*MET, *OVERDUE, *AT_RISK, *CANCELLED, *PAUSED)
        ]
        engine.apply([Received("rabbitmq", body, START) for body in (*told, told[0])])
        engine.apply([Received("http", b"{", START)])
        engine.tick(START + 125)
        engine.letters([DeadLetter("orders.dlq", "work", "rejected", START + 7)])
        sources = Sources()
        sources.up("http")
        sources.down("rabbitmq", "away")
        readings = {"orders.dlq": Reading(1, START + 7)}
        registry = CollectorRegistry()
        orders = Orders(engine, store)
        clock = START + 125
        registry.register(Exposition(engine, orders, lambda: readings, lambda: clock))
        registry.register(ProcessExposition("shop", sources.all, refusals()))
        yield registry


def test_a_small_history_is_exposed_to_the_letter(known: CollectorRegistry) -> None:
    assert generate_latest(known).decode() == GOLDEN.read_text()


def test_promtool_has_nothing_to_say_of_it(known: CollectorRegistry) -> None:
    checked = subprocess.run(
        [find_program("promtool", "prometheus"), "check", "metrics"],
        input=generate_latest(known),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_outcome_that_is_possible_is_there_at_0_from_the_start(
    start_collector: StartCollector,
) -> None:
    scraped = scrape(start_collector().url)

    def zeros(name: str) -> set[tuple[str, ...]]:
        found = [(dict(labels), number) for (metric, labels), number in scraped.items()
                 if metric == name]  # fmt: skip
        assert all(number == 0 for _, number in found)
        return {tuple(v for k, v in sorted(labels.items()) if k != "system") for labels, _ in found}

    outcomes = names.CLOCK_OUTCOMES
    agreements = {
        ("acme-gold", "manufacturing-on-time"),
        ("default", "manufacturing-on-time"),
        ("default", "delivered-on-time"),
    }
    tiers = ("vip", "standard")
    assert zeros(names.ORDER_CLOCKS.name) == {
        (*pair, outcome, tier) for pair, outcome, tier in product(agreements, outcomes, tiers)
    }
    assert zeros(names.ORDER_CLOCK_CORRECTIONS.name) == {
        (before, objective, tier, after)
        for objective in ("manufacturing-on-time", "delivered-on-time")
        for before, after, tier in product(outcomes, outcomes, tiers)
        if before != after
    }
    assert zeros(names.ORDER_EVENTS.name) == set(
        product(("applied", "late", "duplicate", "quarantined"), ("rabbitmq", "http"))
    )


def test_each_metric_of_the_contract_is_served_with_exactly_its_labels(
    rabbitmq: RabbitMQ, vhost: str, start_collector: StartCollector
) -> None:
    dead_letter(vhost)
    collector = start_collector({"amqp": vhost, "management": rabbitmq.management_url})
    now = time.time()
    told = [moved("A-77", "manufacturing", now - 60, partner="acme", tier="vip")]
    told += [moved("A-78", "submitted", now)]
    httpx.post(f"{collector.url}/events", content=batch(told)).raise_for_status()
    contract = {m.name: frozenset(m.labels) for m in names.METRICS if m.emitter == "collector"}
    assert until(lambda: labels(collector) == contract, 10), labels(collector)

    named = {
        name for (name, given), _ in scrape(collector.url).items()
        if {"A-77", "acme"} & {value for _, value in given}
    }  # fmt: skip
    assert named == {names.ORDER_OVERDUE_DEADLINE.name}, "only here may an order be named"


def labels(collector: Collector) -> dict[str, frozenset[str]]:
    """The labels of each metric as it stands on the page, ``le`` of buckets left out."""
    answer = httpx.get(f"{collector.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(answer.text):
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            own = name.removesuffix("_gsum").removesuffix("_gcount")
            found.setdefault(own, set()).update(set(sample.labels) - {"le"})
    return {name: frozenset(given) for name, given in found.items()}


def dead_letter(url: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.exchange_declare("dead", "fanout", durable=True)
        channel.queue_declare("orders.dlq", durable=True)
        channel.queue_bind("orders.dlq", "dead")
        channel.basic_publish("dead", "", b"nobody can make this")


def test_a_scraper_that_asks_for_openmetrics_gets_it(start_collector: StartCollector) -> None:
    collector = start_collector()
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = httpx.get(f"{collector.url}/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    parsed = openmetrics.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    families = {family.name: family.type for family in parsed}
    assert families["otelkit_order_clocks"] == "counter"
    assert families["otelkit_order_stage_age_seconds"] == "gaugehistogram"
