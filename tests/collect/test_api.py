"""What the collector answers over HTTP, to good requests and to bad ones."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from collecting import batch, moved
from otelkit.events import CONTENT_TYPE
from shop.services import Collector
from shop.waiting import until

TOKEN = "opensesame"
NOW = time.time()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that asks for a token and has no broker, shared by this file's tests."""
    collector = Collector(tmp_path_factory.mktemp("collector"), {"token": TOKEN})
    collector.start()
    yield collector
    collector.stop()
    assert "Traceback" not in collector.process.log.read_text()


@pytest.fixture
def api(collector: Collector) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=collector.url, headers=headers, timeout=20) as api:
        yield api


def post(api: httpx.Client, body: bytes, status: int = 200) -> dict[str, Any]:
    answer = api.post("/events", content=body, headers={"Content-Type": CONTENT_TYPE})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def outcomes(applied: int = 0, late: int = 0, duplicate: int = 0, quarantined: int = 0) -> Any:
    return {"applied": applied, "late": late, "duplicate": duplicate, "quarantined": quarantined}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_one_event_posted_twice_is_applied_once(api: httpx.Client) -> None:
    event = moved("one", "submitted", NOW)
    assert post(api, event) == outcomes(applied=1) | {"problems": []}
    assert post(api, event) == outcomes(duplicate=1) | {"problems": []}


def test_a_batch_is_taken_whatever_is_in_it_and_says_what_is_wrong_where(
    api: httpx.Client,
) -> None:
    told = batch([moved("two", "submitted", NOW), b"7", moved("two", "lost", NOW + 1)])
    assert post(api, told) == outcomes(applied=1, quarantined=2) | {
        "problems": [
            {"index": 1, "reason": "not an order event: Expected `object`, got `int`"},
            {
                "index": 2,
                "reason": "process 'order' has no status 'lost'; "
                "add it to the SLA file or send another",
            },
        ]
    }
    # Or a sender with one bad event left would send it for ever.
    assert post(api, batch([b"7"]))["quarantined"] == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not an order event: Input data was truncated"),
        (b"", "not an order event: Input data was truncated"),
        (b"\xff\x00", "not an order event: JSON is malformed: invalid character (byte 0)"),
        (
            json.dumps({"subject": "x" * 70_000}).encode(),
            "70015 bytes are too many; an event has at most 65536",
        ),
        (
            moved("odd", "submitted", -62_135_596_800.0),
            "its time 0001-01-01T00:00:00+00:00 is long past; set the sender's clock",
        ),
        (
            moved("odd", "submitted", 4_000_000_000.0),
            "its time 2096-10-02T07:06:40+00:00 is ahead of us; set the sender's clock",
        ),
        (
            moved("odd", "submitted", NOW, partner="acme\n"),
            "the name 'acme\\n' holds control characters; send it without",
        ),
    ],
    ids=["cut short", "empty", "binary", "too large", "long past", "ahead", "control characters"],
)
def test_what_is_no_event_is_refused_with_its_reason_and_kept_in_quarantine(
    api: httpx.Client, body: bytes, reason: str
) -> None:
    (problem,) = post(api, body, status=422)["problems"]
    assert problem == {"index": 0, "reason": reason}
    (kept,) = api.get("/quarantine", params={"limit": 1}).json()["events"]
    assert (kept["source"], kept["reason"]) == ("http", reason)
    assert kept["body"] == body.decode("utf-8", "replace")[:4096]


def test_requests_that_are_too_large_or_no_batch_change_nothing(api: httpx.Client) -> None:
    def posted(body: bytes) -> tuple[int, str]:
        return refusal(api.post("/events", content=body))

    assert posted(b"[1, 2") == (400, "no JSON array of events: Input data was truncated")
    too_many = batch([moved("three", "submitted", NOW)] + 10_000 * [b"1"])
    assert posted(too_many) == (413, "more than 10000 events; send smaller batches")
    too_large = b"[" + b" " * 9_000_000 + moved("three", "submitted", NOW) + b"]"
    assert posted(too_large) == (413, "more than 8388608 bytes; send smaller batches")
    assert api.get("/orders/three").status_code == 404


def test_a_client_that_hangs_up_amid_its_request_leaves_no_trace(
    collector: Collector, api: httpx.Client
) -> None:
    with socket.create_connection(("127.0.0.1", collector.port)) as client:
        head = f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert api.get("/healthz").text == "ok\n"  # the fixture looks for tracebacks in the log


def test_without_the_token_only_metrics_and_health_are_served(collector: Collector) -> None:
    sentence = "send the collector's token: Authorization: Bearer ..."
    for given in ({}, {"Authorization": "Bearer guess"}, {"Authorization": TOKEN}):
        with httpx.Client(base_url=collector.url, headers=given) as api:
            for path in ("/orders", "/orders/one", "/quarantine", "/nowhere", "//metrics"):
                assert refusal(api.get(path)) == (401, sentence), path
            assert refusal(api.post("/events", content=b"{}")) == (401, sentence)
            assert api.get("/metrics").status_code == 200
            assert api.get("/healthz").text == "ok\n"
            assert api.get("/readyz").status_code == 503


def test_metrics_are_served_in_whatever_format_a_scraper_makes_up(api: httpx.Client) -> None:
    for accept in ("application/openmetrics-text; version=abc", "text/plain;version=x;escaping"):
        answer = api.get("/metrics", headers={"Accept": accept})
        assert answer.status_code == 200
        assert "otelkit_orders_open" in answer.text


def test_readyz_names_the_source_that_is_not_read_and_why(api: httpx.Client) -> None:
    why = "no broker is set; set amqp in the configuration"
    assert api.get("/readyz").json() == {
        "ready": False,
        "sources": {
            "http": {"up": True},
            "store": {"up": True},
            "clock": {"up": True},
            "dlq:orders.dlq": {"up": False, "why": why},
        },
    }


def test_an_order_is_found_by_its_id_and_by_the_name_of_another_system(api: httpx.Client) -> None:
    start = NOW - 600
    post(api, moved("A/1 [b]?", "submitted", start, tier="vip", partner="acme"))
    post(api, moved("A/1 [b]?", "manufacturing", start + 1, aliases={"mes": "W-77"}))
    post(api, moved("A/1 [b]?", "waiting_for_customer", start + 3))
    (order,) = api.get("/orders/W-77").json()["orders"]
    (same,) = api.get(f"/orders/{quote('A/1 [b]?', safe='')}").json()["orders"]
    lasts = [found["timeline"][-1].pop("duration_seconds") for found in (order, same)]
    assert same == order
    assert all(597 <= lasted < 6000 for lasted in lasts), "the last step goes on"
    assert [step.get("duration_seconds") for step in order["timeline"]] == [1, 2, None]
    assert (order["waits_for"], order["deadline"]) == (["manufacturing"], None)
    assert {key: order[key] for key in ("id", "status", "stage", "open", "paused")} == {
        "id": "A/1 [b]?",
        "status": "waiting_for_customer",
        "stage": "manufacturing",
        "open": True,
        "paused": True,
    }
    assert (order["tier"], order["partner"], order["aliases"]) == ("vip", "acme", {"mes": "W-77"})
    left = {
        (clock["objective"], clock["agreement"]): (clock["state"], clock["left_seconds"])
        for clock in order["clocks"]
    }
    assert left == {
        ("manufacturing-on-time", "acme-gold"): ("paused", pytest.approx(4)),
        ("delivered-on-time", "default"): ("paused", pytest.approx(17)),
    }
    statuses = [step["status"] for step in order["timeline"]]
    assert statuses == ["submitted", "manufacturing", "waiting_for_customer"]
    assert refusal(api.get("/orders/A-0")) == (
        404,
        "no order 'A-0' is known; no event has told of it",
    )


def test_late_orders_come_page_by_page_the_longest_overdue_first(api: httpx.Client) -> None:
    late = [moved(f"late-{n}", "manufacturing", NOW - 100 + n / 10) for n in range(7)]
    post(api, batch(late))
    # Within its last quarter: 8 s are allowed, and the collector looks a second behind the clock.
    at_risk = moved("soon", "manufacturing", time.time() - 6)

    def ids(**asked: str | int) -> list[str]:
        params = {"objective": "manufacturing-on-time", "stage": "manufacturing"} | asked
        return [order["id"] for order in api.get("/orders", params=params).json()["orders"]]

    whole = [f"late-{n}" for n in range(7)]
    assert until(lambda: ids(state="overdue") == whole, 10), ids(state="overdue")
    paged: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = api.get(
            "/orders", params={"objective": "manufacturing-on-time", "limit": 3, **after}
        ).json()
        paged += [order["id"] for order in page["orders"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert paged == whole
    post(api, at_risk)
    assert until(lambda: ids(state="at_risk") == ["soon"], 5, interval=0.02)
    assert ids(state="overdue", stage="packed") == []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("state=late", "no such state; ask for one of overdue, at_risk, open"),
        ("acknowledged=no", "acknowledged='no'; ask for true or false"),
        ("tier=gold", "no tier 'gold' in the SLA file; it has vip, standard"),
        ("process=return", "no process 'return' in the SLA file; it has order"),
        ("limit=0", "limit='0'; ask for 1 to 500"),
        ("limit=501", "limit='501'; ask for 1 to 500"),
        ("limit=0000000001999", "limit='0000000001999'; ask for 1 to 500"),
        ("limit=x", "limit='x'; ask for 1 to 500"),
        ("after=1", "after='1'; give what `next` said"),
        ("after=nan,1", "after='nan,1'; give what `next` said"),
        ("after=1,9223372036854775808", "after='1,9223372036854775808'; give what `next` said"),
        (
            "objective=speed",
            "no objective 'speed' in the SLA file; it has manufacturing-on-time, delivered-on-time",
        ),
        (
            "stage=lost",
            (
                "no stage 'lost' in the SLA file; "
                "it has submitted, priced, approved, manufacturing, packed"
            ),
        ),
    ],
)
def test_a_wrong_question_about_late_orders_is_told_from_no_late_orders(
    api: httpx.Client, asked: str, sentence: str
) -> None:
    assert refusal(api.get(f"/orders?{asked}")) == (400, sentence)


def test_small_answers_on_a_kept_connection_wait_for_no_timer(api: httpx.Client) -> None:
    began = time.monotonic()
    for _ in range(50):
        api.get("/healthz")
    assert time.monotonic() - began < 1.5, "with Nagle's algorithm on it takes 2.2 s"


def test_quarantine_does_not_take_a_wrong_limit(api: httpx.Client) -> None:
    assert refusal(api.get("/quarantine?limit=-1")) == (400, "limit='-1'; ask for 1 to 500")
