"""The HTTP middleware in four frameworks, each under its production server, over a socket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families

from instrument.conftest import untraced
from instrument.otlp import Attributes, OtlpEndpoint, attributes
from shop.servers import free_port
from shop.waiting import until

FAMILY = "http_server_request_duration_seconds"
UVICORN = ("uvicorn", "--log-level", "warning", "--port")
GUNICORN = ("gunicorn", "--log-level", "warning", "--bind")


@dataclass(frozen=True)
class Stack:
    """A framework under a server; ``order`` and ``stream`` are templates as it writes them."""

    server: tuple[str, ...]
    app: str
    order: str
    stream: str = "/stream"


STACKS = {
    "FastAPI": Stack(UVICORN, "of_fastapi:app", "/orders/{order_id}"),
    "Starlette": Stack(UVICORN, "of_starlette:app", "/orders/{order_id}"),
    "Flask": Stack(GUNICORN, "of_flask:app", "/orders/<order_id>"),
    "Django": Stack(GUNICORN, "of_django:app", "/orders/<str:order_id>", "/^stream$"),
    "Django, ASGI": Stack(UVICORN, "of_django:asgi_app", "/orders/<str:order_id>", "/^stream$"),
}


class Service:
    """An application of ``instrument.apps`` that is served."""

    def __init__(self, stack: Stack, otlp: OtlpEndpoint) -> None:
        self.stack = stack
        self._otlp = otlp
        self.port, self._metrics = free_port(), free_port()
        where = f"127.0.0.1:{self.port}" if stack.server is GUNICORN else str(self.port)
        self._process = subprocess.Popen(
            [sys.executable, "-m", *stack.server, where, f"instrument.apps.{stack.app}"],
            env=os.environ
            | {
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
                "OTEL_BSP_SCHEDULE_DELAY": "50",
                "OTELKIT_METRICS_PORT": str(self._metrics),
                "OTELKIT_LOGS": "false",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}")
        assert until(self._serves, 20, interval=0.05), "the server has not started"

    def stop(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[str, list[Span]]:
        """The answer, and the spans of the request once the server's is among them."""
        trace_id = token_hex(16)
        headers["traceparent"] = f"00-{trace_id}-{'1' * 16}-01"
        with untraced():
            answer = self.client.request(method, path, headers=headers).text
        found: list[Span] = []

        def complete() -> bool:
            found[:] = [s for _, s in self._otlp.spans if s.trace_id.hex() == trace_id]
            return any(s.kind == Span.SPAN_KIND_SERVER for s in found)

        assert until(complete, 10, interval=0.02), "the server span has not come"
        return answer, found

    def counted(self) -> dict[tuple[str, str, str], float]:
        """How many requests, by method, route and status."""
        return self._samples(f"{FAMILY}_count")

    def seconds(self) -> dict[tuple[str, str, str], float]:
        return self._samples(f"{FAMILY}_sum")

    def _samples(self, name: str) -> dict[tuple[str, str, str], float]:
        with untraced():
            text = httpx.get(f"http://127.0.0.1:{self._metrics}/metrics").text
        keys = ("http_request_method", "http_route", "http_response_status_code")
        return {
            (s.labels[keys[0]], s.labels[keys[1]], s.labels[keys[2]]): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
            if s.name == name
        }

    def _serves(self) -> bool:
        with suppress(httpx.TransportError), untraced():
            return self.client.get("/nowhere").status_code == 404
        return False


@pytest.fixture(scope="module", params=STACKS)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with OtlpEndpoint() as otlp:
        served = Service(STACKS[request.param], otlp)
        yield served
        served.stop()


def server(spans: list[Span]) -> tuple[Span, Attributes]:
    (found,) = [s for s in spans if s.kind == Span.SPAN_KIND_SERVER]
    return found, attributes(found.attributes)


def test_a_request_is_one_server_span_by_the_conventions(service: Service) -> None:
    _, spans = service.ask("/orders/A-1?q=secret", **{"User-Agent": "a test"})
    span, found = server(spans)
    route = service.stack.order
    assert span.name == f"GET {route}"
    assert span.parent_span_id.hex() == "1" * 16
    wanted = {
        "http.request.method": "GET",
        "http.route": route,
        "http.response.status_code": 200,
        "url.path": "/orders/A-1",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": service.port,
        "network.protocol.version": "1.1",
    }
    assert found | wanted == found
    if service.stack.app != "of_fastapi:app":  # whose own span has not these two
        assert (found["client.address"], found["user_agent.original"]) == ("127.0.0.1", "a test")
        assert "secret" not in str(found)


def test_the_path_names_the_order_for_all_of_the_request(service: Service) -> None:
    answer, spans = service.ask("/orders/A-1", **{"X-Partner": "acme"})
    assert answer == "A-1 of acme"
    by_name = {s.name: attributes(s.attributes) for s in spans}
    for name in (f"GET {service.stack.order}", "look"):
        assert (by_name[name]["order.id"], by_name[name]["order.partner"]) == ("A-1", "acme")


def test_a_header_names_the_order_before_the_path_does(service: Service) -> None:
    answer, spans = service.ask("/orders/A-1", **{"X-Order-Id": "A-2"})
    assert answer == "A-2 of None"
    assert server(spans)[1]["order.id"] == "A-2"


def test_a_request_of_another_service_with_otelkit_carries_its_order(service: Service) -> None:
    carried = {"otelkit-order-id": "A-3", "otelkit-order-process": "repair"}
    answer, spans = service.ask("/look", **carried, **{"otelkit-order-partner": "acme"})
    assert answer == "A-3 of acme"
    assert server(spans)[1]["order.process"] == "repair"


def test_an_order_taken_inside_marks_the_server_span_and_has_the_requests_partner(
    service: Service,
) -> None:
    answer, spans = service.ask("/take", **{"X-Partner": "acme"})
    assert answer == "T-1 of acme"
    marked = {s.name for s in spans if attributes(s.attributes).get("order.id") == "T-1"}
    assert marked >= {"GET /take", "look"}
    assert service.ask("/look")[0] == "none", "the order has leaked into the next request"


def test_a_failure_is_an_error_and_a_page_not_found_is_none(service: Service) -> None:
    span, found = server(service.ask("/broken")[1])
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert found["http.response.status_code"] == 500
    assert found["error.type"] in {"500", "ValueError"}
    span, found = server(service.ask("/nowhere/A-1")[1])
    assert (span.name, span.status.code) == ("GET", Status.STATUS_CODE_UNSET)
    assert "http.route" not in found


def test_a_stream_comes_whole_and_lasts_until_its_last_part(service: Service) -> None:
    route = ("GET", service.stack.stream, "200")
    before = service.seconds().get(route, 0.0)
    answer, spans = service.ask("/stream")
    assert answer == "012"
    span, _ = server(spans)
    assert span.end_time_unix_nano - span.start_time_unix_nano >= 150_000_000
    assert 0.15 <= service.seconds()[route] - before < 1.0


def test_requests_count_by_template_and_never_by_path(service: Service) -> None:
    before = service.counted()
    for path in ("/orders/A-1", "/orders/A-2", "/nowhere/A-1"):
        service.ask(path)
    service.ask("/look", method="HEAD")
    service.ask("/look", method="BREW")
    after = service.counted()
    new = {key: value - before.get(key, 0) for key, value in after.items()}
    assert new["GET", service.stack.order, "200"] == 2
    assert new["GET", "", "404"] == 1
    assert new["HEAD", "/look", "200"] == 1
    assert sum(value for (method, _, _), value in new.items() if method == "_OTHER") == 1
    assert not [route for _, route, _ in after if "A-" in route or "nowhere" in route]
