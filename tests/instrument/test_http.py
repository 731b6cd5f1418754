"""The ASGI middleware under a real server: FastAPI, uvicorn, a socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Init, Spans, untraced
from shop.waiting import until

FAMILY = "http_server_request_duration_seconds"


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(otelkit.ASGIMiddleware)

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str | None]:
        with otelkit.order(order_id):
            found = otelkit.current_order()
            return {"order": found.id if found else None}

    @app.get("/orders/{order_id}/gone")
    def gone(order_id: str) -> None:
        raise HTTPException(503, f"{order_id} cannot be had")

    @app.get("/breaks")
    def breaks() -> None:
        raise ValueError("broken")

    @app.get("/stream")
    def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for n in range(3):
                await asyncio.sleep(0.05)
                yield f"part {n}\n".encode()

        return StreamingResponse(parts())

    @app.get("/broken-stream")
    def broken_stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part 0\n"
            raise ValueError("broken")

        return StreamingResponse(parts())

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(asyncio.sleep, 0.5)
        return "answered"

    part = FastAPI()

    @part.get("/models/{model}")
    def model_of(model: str) -> str:
        return model

    app.mount("/catalogue/{year}", part)
    return app


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    config = uvicorn.Config(application(), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert until(lambda: server.started, 10, interval=0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with untraced(), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join()


def series(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    """How many requests, by method, route and status."""
    samples = (s for family in registry.collect() for s in family.samples)
    keys = ("http_request_method", "http_route", "http_response_status_code")
    return {
        (s.labels[keys[0]], s.labels[keys[1]], s.labels[keys[2]]): s.value
        for s in samples
        if s.name == f"{FAMILY}_count"
    }


def slowest(registry: CollectorRegistry, route: str) -> float:
    labels = {"http_request_method": "GET", "http_route": route}
    labels["http_response_status_code"] = "200"
    return registry.get_sample_value(f"{FAMILY}_sum", labels) or 0.0


def server_span(spans: Spans) -> ReadableSpan:
    found = until(lambda: [s for s in spans().values() if s.kind is SpanKind.SERVER], 5)
    assert found is not None, "no request has been observed"
    return found[0]


def test_requests_count_by_route_template_method_and_status_and_never_by_path(
    init: Init, registry: CollectorRegistry, client: httpx.Client
) -> None:
    init()
    for path in ("/orders/A-1", "/orders/A-2", "/orders/A-1/gone", "/nowhere/A-1"):
        client.get(path)
    client.get("/catalogue/2026/models/pump")
    client.post("/orders/A-1")
    client.request("BREW", "/orders/A-1")
    # The answer is with the client a moment before the request is observed.
    assert until(lambda: sum(series(registry).values()) == 7, 5)
    assert series(registry) == {
        ("GET", "/orders/{order_id}", "200"): 2,
        ("GET", "/orders/{order_id}/gone", "503"): 1,
        ("GET", "", "404"): 1,
        ("GET", "/models/{model}", "200"): 1,
        ("POST", "/orders/{order_id}", "405"): 1,
        ("_OTHER", "/orders/{order_id}", "405"): 1,
    }


def test_a_request_is_a_server_span_of_the_callers_trace(
    init: Init, spans: Spans, client: httpx.Client
) -> None:
    init()
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    client.get("/orders/A-1", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
    span = server_span(spans)
    assert span.name == "GET /orders/{order_id}"
    assert f"{span.context.trace_id:032x}" == trace_id
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == span_id
    attributes = span.attributes or {}
    assert attributes["http.route"] == "/orders/{order_id}"
    assert attributes["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/orders/A-1/gone", 503, "503"),
        ("/breaks", 500, "ValueError"),
        ("/broken-stream", 200, "ValueError"),
    ],
)
def test_a_failed_request_is_an_error_with_its_type(
    init: Init, spans: Spans, client: httpx.Client, path: str, status: int, error: str
) -> None:
    init()
    with contextlib.suppress(httpx.RemoteProtocolError):  # the stream ends before its time
        client.get(path)
    span = server_span(spans)
    assert (span.attributes or {})["error.type"] == error
    assert (span.attributes or {})["http.response.status_code"] == status
    assert span.status.status_code is StatusCode.ERROR


def test_a_page_not_found_is_no_error_and_a_broken_traceparent_no_parent(
    init: Init, spans: Spans, client: httpx.Client
) -> None:
    init()
    client.get("/nowhere", headers={"traceparent": "00-what-is-this-01"})
    span = server_span(spans)
    assert (span.name, span.parent) == ("GET", None)
    assert span.status.status_code is StatusCode.UNSET


def test_a_streamed_answer_passes_in_order_and_lasts_until_its_last_part(
    init: Init, registry: CollectorRegistry, client: httpx.Client
) -> None:
    init()
    assert client.get("/stream").text == "part 0\npart 1\npart 2\n"
    assert until(lambda: slowest(registry, "/stream"), 5)
    assert 0.15 <= slowest(registry, "/stream") < 0.5


def test_what_runs_after_the_answer_does_not_make_the_request_longer(
    init: Init, registry: CollectorRegistry, client: httpx.Client
) -> None:
    init()
    client.get("/background")
    assert until(lambda: slowest(registry, "/background"), 5)
    assert slowest(registry, "/background") < 0.4


def test_before_init_requests_are_served(client: httpx.Client) -> None:
    assert client.get("/orders/A-1").json() == {"order": "A-1"}
