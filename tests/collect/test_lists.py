"""The lists that people work off: filtered, paged, live, and without what is known already."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import jsonschema
import pytest
from prometheus_client import CollectorRegistry

from collecting import StartCollector, batch, moved, of, otelkit, scrape
from otelkit import names, spec
from otelkit.collect.api import openapi
from otelkit.collect.api.api import Api
from otelkit.collect.api.exposition import Exposition
from otelkit.collect.api.orders import Orders
from otelkit.collect.engine.changeover import Changeover
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.storage.stores import open_store
from shop.services import SLA_FILE, Collector
from shop.waiting import until

NOW = 1_800_000_000.0
MAKING = "manufacturing-on-time"
WHOLE = "delivered-on-time"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A collector's API within this process, its clock frozen."""
    sla = spec.load(SLA_FILE)
    with closing(open_store(tmp_path / "orders.db")) as store:
        engine, sources, registry = Engine(sla, store), Sources(), CollectorRegistry()
        orders = Orders(engine, store)
        registry.register(Exposition(engine, orders, dict, lambda: NOW))
        changeover = Changeover(engine, store, "", Event())
        yield Api(
            engine, orders, changeover, sources, registry, None, lambda: True, clock=lambda: NOW
        )


class Client:
    """Requests to an API within this process."""

    def __init__(self, api: Api) -> None:
        self._transport = httpx.ASGITransport(api.app())

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("GET", path))

    def post(self, path: str, content: bytes) -> httpx.Response:
        return asyncio.run(self._ask("POST", path, content))

    def delete(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("DELETE", path))

    async def _ask(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://collector") as api:
            return await api.request(method, path, content=content)


def tell(api: Api, *told: bytes) -> None:
    taken = api.engine.apply([Received("http", body, NOW) for body in told])
    assert {one.outcome for one in taken} == {"applied"}
    api.engine.tick(NOW)


def ids(client: Client, query: str) -> list[str]:
    answer = client.get(f"/orders?{query}")
    assert answer.status_code == 200, answer.text
    return [order["id"] for order in answer.json()["orders"]]


def test_the_orders_that_an_alert_names_are_the_first_of_the_list(api: Api) -> None:
    tell(
        api,
        *(moved(f"A-{n}", "manufacturing", NOW - 100 - n % 17, tier="vip") for n in range(20)),
        *(moved(f"B-{n}", "manufacturing", NOW - 100 - n % 13) for n in range(20)),
        *(moved(f"C-{n}", "packed", NOW - 200 - n) for n in range(8)),
    )
    client = Client(api)
    first = client.get("/orders?state=overdue&limit=1").json()["orders"][0]["id"]
    until_then = datetime.fromtimestamp(NOW + 60, UTC).isoformat()
    ack = {"order": first, "until": until_then, "reason": "part on order"}
    known = json.dumps(ack).encode()
    for acknowledged in ("", first):
        if acknowledged:
            assert client.post("/acks", known).status_code == 200
        named = _named(client)
        assert {place for place, _ in named.items()} == {
            (MAKING, "manufacturing"), (WHOLE, "manufacturing"), (WHOLE, "packed"),
        }  # fmt: skip
        for (objective, stage), orders in named.items():
            query = f"objective={objective}&stage={stage}&acknowledged=false"
            listed = ids(client, f"state=overdue&{query}&limit={names.NAMED_A_STAGE}")
            assert orders == listed
            assert acknowledged not in orders
    named_then = {order for _, _, order in api.orders.deadlines(NOW + 61).overdue}
    assert first in named_then, "it has run out"
    assert api.orders.acks.overdue(NOW + 59)
    client.delete(f"/orders/{first}")
    assert not api.orders.acks.overdue(NOW + 59), "the reason may be personal"
    assert client.post("/acks", known).status_code == 200
    assert not api.orders.acks.overdue(NOW + 61)


def _named(client: Client) -> dict[tuple[str, str], list[str]]:
    """The orders of the series that the annotation of OrdersOverdue reads, by their deadlines."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == names.ORDER_OVERDUE_DEADLINE.name:
                place = (sample.labels["objective"], sample.labels["stage"])
                found.setdefault(place, []).append((sample.value, sample.labels["order_id"]))
    listed = {}
    for place, orders in found.items():
        ties = {order: at for at, order in orders}
        known = [o for o in _arrived(client, place) if o in ties]
        listed[place] = sorted(known, key=lambda order: ties[order])
    return listed


def _arrived(client: Client, place: tuple[str, str]) -> list[str]:
    """Orders of one deadline come in the order in which they were first heard of."""
    whole = ids(client, f"state=overdue&objective={place[0]}&stage={place[1]}&limit=500")
    return sorted(whole, key=lambda order: (order[0], int(order[2:])))


def test_lists_are_filtered_and_every_page_goes_on_where_the_last_ended(api: Api) -> None:
    tell(
        api,
        *(moved(f"A-{n}", "manufacturing", NOW - 900 + n, partner="acme") for n in range(3)),
        *(moved(f"B-{n}", "manufacturing", NOW - 600 + n, tier="vip") for n in range(300)),
        moved("C-0", "manufacturing", NOW - 1, partner="acme"),
        moved("D-0", "waiting_for_customer", NOW - 1),
    )
    client = Client(api)
    making = f"objective={MAKING}&process=order"
    assert ids(client, f"{making}&tier=standard") == ["A-0", "A-1", "A-2"]
    assert ids(client, f"{making}&partner=acme&state=open") == ["A-0", "A-1", "A-2", "C-0"]
    assert ids(client, f"{making}&partner=none") == []
    assert ids(client, "state=open&stage=packed") == []
    # Both clocks of an order that has one deadline for them share a page; none comes twice.
    paged: list[tuple[str, str]] = []
    after = ""
    while after is not None:
        page = client.get(f"/orders?state=open&limit=7{after and f'&after={after}'}").json()
        paged += [(order["id"], order["objective"]) for order in page["orders"]]
        after = page["next"]
    assert len(paged) == len(set(paged)) == 2 * 304
    # A rare partner costs a look at so many, and then the page says where to go on.
    page = client.get(f"/orders?{making}&partner=none&limit=5").json()
    assert page["orders"] == []
    assert page["next"] is not None


def test_answers_are_what_the_description_says(api: Api) -> None:
    client = Client(api)
    described = client.get("/openapi.json").json()
    tell(api, moved("A-1", "manufacturing", NOW - 90, aliases={"mes": "W-7"}))
    until_then = datetime.fromtimestamp(NOW + 60, UTC).isoformat()
    for path, template, content in (
        ("/readyz", "/readyz", None),
        ("/orders", "/orders", None),
        ("/orders?limit=x", "/orders", None),
        ("/orders/W-7", "/orders/{order_id}", None),
        ("/orders/none", "/orders/{order_id}", None),
        ("/quarantine", "/quarantine", None),
        ("/events", "/events", batch([moved("A-1", "lost", NOW)])),
        ("/events", "/events", b"[1"),
        (
            "/acks",
            "/acks",
            json.dumps({"order": "A-1", "until": until_then, "reason": "x"}).encode(),
        ),
        ("/acks", "/acks", b"{}"),
        ("/clocks/plan", "/clocks/plan", SLA_FILE.read_bytes()),
        ("/clocks/apply", "/clocks/apply", b"include: x"),
        ("/clocks", "/clocks", None),
    ):
        answer = client.get(path) if content is None else client.post(path, content)
        method = "get" if content is None else "post"
        said = described["paths"][template][method]["responses"][str(answer.status_code)]
        schema = said["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), schema | {"components": described["components"]})
    assert set(openapi.OPEN_PATHS) <= set(described["paths"])


def test_a_page_that_shows_orders_live_is_told_again_when_they_change(
    start_collector: StartCollector,
) -> None:
    collector = start_collector()
    now = time.time()

    def post(*told: bytes) -> None:
        httpx.post(f"{collector.url}/events", content=batch(told)).raise_for_status()

    def told(lines: Iterator[str]) -> list[tuple[str, str]]:
        assert next(line for line in lines if line.startswith("event:")) == "event: orders"
        page = json.loads(next(lines).removeprefix("data: "))
        return [(order["id"], order["stage"]) for order in page["orders"]]

    post(moved("A-1", "manufacturing", now))
    asked = f"{collector.url}/orders?state=open&objective={MAKING}"
    headers = {"Accept": "text/event-stream"}
    with httpx.stream("GET", asked, headers=headers, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert told(lines) == [("A-1", "manufacturing")]
        post(moved("A-2", "manufacturing", now))
        assert told(lines) == [("A-1", "manufacturing"), ("A-2", "manufacturing")]
        post(moved("A-1", "packed", now + 1))
        assert told(lines) == [("A-2", "manufacturing")]
        began = time.monotonic()
        collector.stop()
        assert time.monotonic() - began < 6, "a stream does not hold it up"
    assert "Traceback" not in collector.process.log.read_text()


def test_an_acknowledged_order_leaves_the_alert_and_lists_say_why(
    start_collector: StartCollector,
) -> None:
    collector = start_collector()
    told = [moved(f"A-{n}", "packed", time.time() - 90, aliases={"mes": f"W-{n}"}) for n in (1, 2)]
    httpx.post(f"{collector.url}/events", content=batch(told)).raise_for_status()
    assert until(lambda: overdue(collector) == {"false": 2}, 10)

    code, said, _ = run(collector, "ack", "W-1", "--until", "3d", "--reason", "part on order")
    assert (code, said.startswith("A-1: acknowledged until ")) == (0, True)
    assert overdue(collector) == {"false": 1, "true": 1}
    scraped = scrape(collector.url)
    assert list(of(scraped, names.ORDER_OVERDUE_DEADLINE.name, "order_id")) == [("A-2",)]
    assert ": part on order" in run(collector, "overdue")[1]
    assert "A-1" not in run(collector, "overdue", "--unacknowledged")[1]
    shown = otelkit(["order", "A-1", "--collector", collector.url]).stdout
    assert ": part on order" in shown

    collector.stop()
    collector.start()
    assert until(lambda: overdue(collector) == {"false": 1, "true": 1}, 10), "it is stored"
    assert run(collector, "ack", "A-1", "--until", "now", "--reason", "done") == (
        0, "A-1: no longer acknowledged\n", "",
    )  # fmt: skip
    assert overdue(collector) == {"false": 2}


@pytest.mark.parametrize(
    ("until_then", "reason", "code", "sentence"),
    [
        ("3d", " ", 1, "Invalid value for '--reason': write why it is late"),
        ("400d", "late", 1, "until is more than 366 days ahead; acknowledge it again then"),
        ("3d", "a\nb", 1, "the reason holds control characters; send it without"),
        ("soon", "late", 1, "'soon' is no time; write one such as 2026-03-01T08:00Z"),
        ("3d", "late", 3, "no event has told of an order 'A-9'; is the id right?"),
    ],
    ids=["no reason", "too long", "characters", "no time", "unknown"],
)
def test_an_acknowledgement_that_cannot_be_is_a_sentence(
    shared: Collector, until_then: str, reason: str, code: int, sentence: str
) -> None:
    found = run(shared, "ack", "A-9", "--until", until_then, "--reason", reason)
    assert (found[0], found[1]) == (code, "")
    assert sentence in " ".join(found[2].replace("│", " ").split())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    collector = Collector(tmp_path_factory.mktemp("collector"), {})
    collector.start()
    yield collector
    collector.stop()


def overdue(collector: Collector) -> dict[str, float]:
    counted: Any = of(scrape(collector.url), names.ORDERS_OVERDUE.name, "objective", "acknowledged")
    return {known: n for (objective, known), n in counted.items() if objective == WHOLE and n}


def run(collector: Collector, *arguments: str) -> tuple[int, str, str]:
    ran = otelkit(["orders", *arguments], os.environ | {"OTELKIT_COLLECTOR": collector.url})
    return ran.returncode, ran.stdout, ran.stderr
