"""Log lines to a Loki that takes no OTLP, over HTTP."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import otelkit
from instrument.conftest import Init
from instrument.servers import silent

log = logging.getLogger("shop.orders")


class Loki:
    """Takes what Loki 2 takes, and refuses what it refuses."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorization: list[str | None] = []
        self.status = 204
        loki = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                loki.authorization.append(self.headers["Authorization"])
                self.send_response(loki.receive(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing on standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def receive(self, path: str, body: bytes) -> int:
        if self.status != 204:
            return self.status
        pushed = json.loads(body)
        if path != "/loki/api/v1/push" or set(pushed) != {"streams"}:
            return 404
        for stream in pushed["streams"]:
            times = [int(at) for at, _ in stream["values"]]
            labels = stream["stream"].items()
            if not all(isinstance(k, str) and isinstance(v, str) for k, v in labels):
                return 400
            if times != sorted(times) or any(len(str(at)) != 19 for at in times):
                return 400
        self.requests.append(pushed)
        return 204

    def lines(self) -> list[tuple[dict[str, str], int, dict[str, Any]]]:
        """Labels, time (ns) and content of each line."""
        return [
            (stream["stream"], int(at), json.loads(line))
            for request in self.requests
            for stream in request["streams"]
            for at, line in stream["values"]
        ]


@pytest.fixture
def loki() -> Iterator[Loki]:
    made = Loki()
    yield made
    made.server.shutdown()
    made.server.server_close()


def address(loki: Loki, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{loki.server.server_port}"


def test_lines_arrive_in_batches_with_the_time_of_their_record(init: Init, loki: Loki) -> None:
    telemetry = init(loki=address(loki))
    before = time.time_ns()
    for n in range(10):
        log.warning("line %d", n)
    log.error("worse")
    after = time.time_ns()
    time.sleep(0.05)  # the emitter's own time is that of sending
    assert telemetry.flush()
    assert len(loki.requests) == 1
    assert sorted(line["message"] for _, _, line in loki.lines()) == sorted(
        ["worse", *(f"line {n}" for n in range(10))]
    )
    assert all(before - 1000 <= at <= after for _, at, _ in loki.lines())


def test_neither_orders_nor_traces_nor_tags_nor_instances_make_streams(
    init: Init, loki: Loki
) -> None:
    telemetry = init(loki=address(loki))
    with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1"):
        log.warning("hello", extra={"tags": {"customer": "c-7"}})
    assert telemetry.flush()
    ((labels, _, line),) = loki.lines()
    assert labels == {"service_name": "shop", "logger": "shop.orders", "severity": "warning"}
    assert line["order_id"] == "A-1"
    assert len(line["trace_id"]) == 32
    assert line["tags"] == {"customer": "c-7"}


def test_user_and_password_of_the_address_are_sent_as_a_header_and_told_nobody(
    init: Init, loki: Loki, caplog: pytest.LogCaptureFixture
) -> None:
    loki.status = 500
    telemetry = init(loki=address(loki, "tenant:s%40crt@"))
    log.warning("hello")
    assert not telemetry.flush()
    (said,) = [r.getMessage() for r in caplog.records if r.name == "otelkit"]
    assert said.endswith("answered 500; log lines for Loki wait in memory and are tried again")
    assert "crt" not in said
    loki.status = 204
    assert telemetry.flush()
    basic = base64.b64encode(b"tenant:s@crt").decode()
    assert loki.authorization == [f"Basic {basic}"] * 2


def test_a_log_call_never_waits_for_a_hung_loki_and_its_queue_is_bounded(init: Init) -> None:
    with silent() as port:
        telemetry = init(loki=f"http://127.0.0.1:{port}")
        longest = 0.0
        for n in range(5000):
            start = time.monotonic()
            log.warning("line %d", n)
            longest = max(longest, time.monotonic() - start)
        full = telemetry.metrics.dropped.labels("loki", "queue_full")._value.get()
        assert 2400 <= full <= 2952, "of 5,000, a batch is in hand and 2,048 wait"
        assert longest < 1, "python-logging-loki waits for each for ever"
        assert not telemetry.shutdown(0.3)
