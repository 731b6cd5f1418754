"""An order of the shop in a Tempo and a Loki that run elsewhere: support's way to it.

Neither is in Debian, so the tests start none: they ask those that the environment names.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shop import load
from shop.servers import RabbitMQ
from shop.services import Collector, Shop
from shop.waiting import until

DASHBOARDS: Final = Path(__file__).parents[2] / "dashboards"
TEMPO, TEMPO_OTLP, LOKI = (
    os.environ.get(f"OTELKIT_TEST_{name}", "") for name in ("TEMPO", "TEMPO_OTLP", "LOKI")
)
pytestmark = pytest.mark.skipif(
    not (TEMPO and TEMPO_OTLP and LOKI),
    reason="OTELKIT_TEST_TEMPO (its API), OTELKIT_TEST_TEMPO_OTLP (where it takes OTLP over HTTP) "
    "and OTELKIT_TEST_LOKI name no Tempo and Loki",
)
STEPS: Final = [
    *("POST /orders", "publish crm.orders"),
    *("process crm.orders", "Crm.price", "publish mes.orders", "ack crm.orders"),
    *("process mes.orders", "Mes.manufacture", "ack mes.orders"),
]
STATUSES: Final = ["submitted", "priced", "approved", "manufacturing", "packed", "shipped"]
ORDERS: Final = 100
"""At once: the last wait so long for the CRM that the trace they began in has ended before."""
SOON: Final = 60
"""Seconds: a Tempo's search leaves the last half minute out unless it is told otherwise."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Journey:
    """An order that has come all the way, and its traces, the earliest first."""

    order_id: str
    traces: list[str]


@pytest.fixture(scope="module")
def journey(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder, line = tmp_path_factory.mktemp("shop"), rabbitmq.vhost("tempo")
    addresses = {"amqp": line, "management": rabbitmq.management_url}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{TEMPO_OTLP}/v1/traces")
        environment.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{LOKI}/otlp/v1/logs")
        collector = Collector(folder / "collector", addresses)
        shop = Shop(folder / "shop", line, line)
        try:
            collector.start()
            shop.start()
            with httpx.Client(base_url=shop.url) as api:
                large = ({"model": "pump", "amount": 6000 + n} for n in range(ORDERS))
                ids = [load.place(api, order) for order in large]
            found = until(lambda: arrived(collector.url, ids[-20:]), 90, interval=1)
            assert found is not None, "no order has come all the way"
            yield found
        finally:
            shop.stop()
            collector.stop()


def arrived(collector: str, ids: list[str | None]) -> Journey | None:
    """The first of these orders that has gone through every step, in more than one trace."""
    for id_ in ids:
        answer = httpx.get(f"{collector}/orders/{id_}")
        events = answer.json()["orders"][0]["timeline"] if answer.is_success else []
        traces = list(dict.fromkeys(event["trace_id"] for event in events))
        if [event["status"] for event in events] == STATUSES and len(traces) > 1:
            return Journey(str(id_), traces)
    return None


def ask(url: str, **parameters: str | int) -> Json:
    """Of the last hour: without times Tempo looks at what is recent alone."""
    now = int(time.time())
    answer = httpx.get(url, params={"start": now - 3600, "end": now + 60, **parameters}, timeout=30)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def search(query: str) -> dict[str, Json]:
    """Traces by id; Tempo's search leaves leading zeros out."""
    found = ask(f"{TEMPO}/api/search", q=query, limit=50, spss=20).get("traces", [])
    return {trace["traceID"].zfill(32): trace for trace in found}


def spans(trace_id: str) -> list[Json]:
    trace = ask(f"{TEMPO}/api/v2/traces/{trace_id}")["trace"]
    scopes = [scope for resource in trace["resourceSpans"] for scope in resource["scopeSpans"]]
    return [span for scope in scopes for span in scope["spans"]]


def ours(journey: Journey) -> list[Json]:
    """The spans of the order's traces that carry its id; more than one may be about it."""
    found = [span for trace_id in journey.traces for span in spans(trace_id)]
    return [s for s in found if value(s, "order.id") == journey.order_id]


def value(span: Json, name: str) -> str | None:
    of_name = (a["value"] for a in span["attributes"] if a["key"] == name)
    return next((str(*found.values()) for found in of_name), None)


def lines(query: str) -> list[str]:
    """Log lines that a query finds, the earliest first."""
    asked = ask(f"{LOKI}/loki/api/v1/query_range", query=query, direction="forward")
    values = [pair for stream in asked["data"]["result"] for pair in stream["values"]]
    return [line for _, line in sorted(values)]


def test_an_order_is_found_by_its_id_with_all_its_steps(journey: Journey) -> None:
    query = f'{{ span.order.id = "{journey.order_id}" }}'
    assert until(lambda: set(search(query)) == set(journey.traces), SOON), search(query)
    assert until(lambda: {span["name"] for span in ours(journey)} >= set(STEPS), SOON)
    stages = {value(span, "order.stage") for span in ours(journey)} - {None}
    assert stages == {"submitted", "approved", "shipped"}, "how far each service has brought it"


def test_the_links_of_its_traces_lead_both_ways(journey: Journey) -> None:
    for before, trace_id in itertools.pairwise(journey.traces):
        (root,) = [s for s in spans(trace_id) if not s.get("parentSpanId")]
        assert root["name"].startswith("process "), root["name"]
        (link,) = root["links"]
        assert b64decode(link["traceId"]).hex() == before
        (publisher,) = [s for s in spans(before) if s["spanId"] == link["spanId"]]
        assert publisher["name"] == root["name"].replace("process", "publish")
        assert until(functools.partial(leads, before, trace_id), SOON)


def leads(before: str, after: str) -> bool:
    """Whether a search for the links to a trace finds another."""
    return after in search(f'{{ link:traceID = "{before}" }}')


def test_its_log_lines_are_found_by_its_id_and_tell_each_status(journey: Journey) -> None:
    query = f'{{service_name=~".+"}} | order_id="{journey.order_id}"'
    assert until(lambda: len(lines(query)) >= len(STATUSES), SOON), lines(query)
    assert [line for line in lines(query) if line in STATUSES] == STATUSES
    services = '{service_name=~"shop-api|crm|mes|otelkit-collector"}'
    streams = ask(f"{LOKI}/loki/api/v1/series", match=services)["data"]
    assert {label for labels in streams for label in labels} == {"service_name"}


def test_every_query_of_the_dashboards_finds_what_it_asks_for(journey: Journey) -> None:
    variables = {
        "${order_id:doublequote}": json.dumps(journey.order_id),
        "$trace_id": journey.traces[-1],
    }
    asked = [query for path in DASHBOARDS.glob("*.json") for query in queries(path, variables)]
    assert {kind for kind, _ in asked} == {"tempo", "loki"}
    for kind, query in asked:
        if kind == "loki":
            assert until(functools.partial(lines, query), SOON), query
        elif query in journey.traces:
            assert spans(query)
        else:
            wanted = set(re.findall(r"span\.([\w.]+)", query))
            assert wanted <= {key for trace in search(query).values() for key in keys(trace)}


def queries(path: Path, variables: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Kind of server and query, of those that a dashboard asks a Tempo or a Loki."""
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", ()):
            kind, query = target["datasource"]["type"], target.get("query") or target.get("expr")
            for variable, filled in variables.items():
                query = query.replace(variable, filled)
            if kind in ("tempo", "loki"):
                yield kind, query


def keys(trace: Json) -> set[str]:
    """Attributes that a search shows of a trace."""
    return {a["key"] for s in trace["spanSet"]["spans"] for a in s.get("attributes", ())}
