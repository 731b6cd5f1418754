"""The HTTP middleware in four frameworks, each under its production server, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from instrument.otlp import OtlpEndpoint, attributes
from instrument.serving import Service, server_span


@dataclass(frozen=True)
class Stack:
    """A framework under a server; ``order`` and ``stream`` are templates as it writes them."""

    command: str
    order: str
    stream: str = "/stream"


STACKS = {
    "FastAPI": Stack("uvicorn instrument.apps.of_fastapi:app", "/orders/{order_id}"),
    "Starlette": Stack("uvicorn instrument.apps.of_starlette:app", "/orders/{order_id}"),
    "Flask": Stack("gunicorn instrument.apps.of_flask:app", "/orders/<order_id>"),
    "Django": Stack(
        "gunicorn instrument.apps.of_django:app", "/orders/<str:order_id>", "/^stream$"
    ),
    "Django, ASGI": Stack(
        "uvicorn instrument.apps.of_django:asgi_app", "/orders/<str:order_id>", "/^stream$"
    ),
}


@pytest.fixture(scope="module", params=STACKS.values(), ids=list(STACKS))
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.param
    return found


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[Service]:
    folder = Path(__file__).parents[1]
    with OtlpEndpoint() as otlp, Service(stack.command, folder, otlp) as served:
        yield served


def test_a_request_is_one_server_span_by_the_conventions(service: Service, stack: Stack) -> None:
    _, spans = service.ask("/orders/A-1?q=secret", **{"User-Agent": "a test"})
    span, found = server_span(spans)
    route = stack.order
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
    if "fastapi" not in stack.command:  # whose own span has not these two
        assert (found["client.address"], found["user_agent.original"]) == ("127.0.0.1", "a test")
        assert "secret" not in str(found)


def test_the_path_names_the_order_for_all_of_the_request(service: Service, stack: Stack) -> None:
    answer, spans = service.ask("/orders/A-1", **{"X-Partner": "acme"})
    assert answer == "A-1 of acme"
    by_name = {s.name: attributes(s.attributes) for s in spans}
    for name in (f"GET {stack.order}", "look"):
        assert (by_name[name]["order.id"], by_name[name]["order.partner"]) == ("A-1", "acme")


def test_a_header_names_the_order_before_the_path_does(service: Service) -> None:
    answer, spans = service.ask("/orders/A-1", **{"X-Order-Id": "A-2"})
    assert answer == "A-2 of None"
    assert server_span(spans)[1]["order.id"] == "A-2"


def test_a_request_of_another_service_with_otelkit_carries_its_order(service: Service) -> None:
    carried = {"otelkit-order-id": "A-3", "otelkit-order-process": "repair"}
    answer, spans = service.ask("/look", **carried, **{"otelkit-order-partner": "acme"})
    assert answer == "A-3 of acme"
    assert server_span(spans)[1]["order.process"] == "repair"


def test_an_order_taken_inside_marks_the_server_span_and_all_below_that_are_open(
    service: Service,
) -> None:
    answer, spans = service.ask("/take", **{"X-Partner": "acme"})
    assert answer == "T-1 of acme", "the request's partner is the order's"
    (look,) = [s for s in spans if s.name == "look"]
    since = {s.name for s in spans if s.end_time_unix_nano >= look.start_time_unix_nano}
    marked = {s.name for s in spans if attributes(s.attributes).get("order.id") == "T-1"}
    assert marked == since >= {"GET /take", "take", "look"}
    assert service.ask("/look")[0] == "none", "the order has leaked into the next request"


def test_a_failure_is_an_error_and_a_page_not_found_is_none(service: Service) -> None:
    span, found = server_span(service.ask("/broken")[1])
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert found["http.response.status_code"] == 500
    assert found["error.type"] in {"500", "ValueError"}
    span, found = server_span(service.ask("/nowhere/A-1")[1])
    assert (span.name, span.status.code) == ("GET", Status.STATUS_CODE_UNSET)
    assert "http.route" not in found


def test_a_stream_comes_whole_and_lasts_until_its_last_part(service: Service, stack: Stack) -> None:
    route = ("GET", stack.stream, "200")
    before = service.seconds().get(route, 0.0)
    answer, spans = service.ask("/stream")
    assert answer == "012"
    span, _ = server_span(spans)
    assert span.end_time_unix_nano - span.start_time_unix_nano >= 150_000_000
    assert service.seconds()[route] - before >= 0.15


def test_requests_count_by_template_and_never_by_path(service: Service, stack: Stack) -> None:
    before = service.counted()
    for path in ("/orders/A-1", "/orders/A-2", "/nowhere/A-1"):
        service.ask(path)
    service.ask("/look", method="HEAD")
    service.ask("/look", method="BREW")
    after = service.counted()
    new = {key: value - before.get(key, 0) for key, value in after.items()}
    assert new["GET", stack.order, "200"] == 2
    assert new["GET", "", "404"] == 1
    assert new["HEAD", "/look", "200"] == 1
    assert sum(value for (method, _, _), value in new.items() if method == "_OTHER") == 1
    assert not [route for _, route, _ in after if "A-" in route or "nowhere" in route]
