"""The ASGI middleware under a real server: FastAPI, uvicorn, a socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.types import ASGIApp
from websockets.sync.client import connect

import otelkit
from instrument.conftest import Init, Spans
from otelkit.instrument.suppression import untraced
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

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    part = FastAPI()

    @part.get("/models/{model}")
    def model_of(model: str) -> str:
        return model

    app.mount("/catalogue/{year}", part)
    return app


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[httpx.Client]:
    """The application under uvicorn, and a client of it that is none of otelkit's."""
    config = uvicorn.Config(app, port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert until(lambda: server.started, 10, interval=0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with untraced(), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with served(application()) as client:
        yield client


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


def test_a_duration_leads_to_the_trace_of_its_request(
    init: Init, spans: Spans, registry: CollectorRegistry, client: httpx.Client
) -> None:
    init()
    client.get("/orders/A-1")
    assert until(lambda: series(registry), 5)
    trace_id = f"{server_span(spans).context.trace_id:032x}"
    openmetrics, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    (line,) = [n for n in openmetrics(registry).decode().splitlines() if trace_id in n]
    assert line.startswith(f'{FAMILY}_bucket{{http_request_method="GET"')


def test_a_websocket_passes_untouched(
    init: Init, registry: CollectorRegistry, client: httpx.Client
) -> None:
    init()
    with connect(f"ws://127.0.0.1:{client.base_url.port}/echo") as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
    assert series(registry) == {}


@pytest.mark.parametrize("place", ["around the application", "in its stack", "of the service"])
def test_a_request_has_one_server_span_wherever_the_middleware_stands(
    init: Init, exporter: InMemorySpanExporter, registry: CollectorRegistry, place: str
) -> None:
    """FastAPI opens one of its own, and so does a service that uses OpenTelemetry already."""
    init()
    inner = FastAPI(telemetry={"tracing": place != "of the service"})

    @inner.get("/orders/{order_id}")
    def look() -> str | None:
        found = otelkit.current_order()
        return found.id if found else None

    sources: dict[str, Any] = {"order_parameter": "order_id"}
    app: Any = inner
    if place == "in its stack":
        inner.add_middleware(otelkit.ASGIMiddleware, **sources)
    elif place == "around the application":
        app = otelkit.ASGIMiddleware(app, **sources)
    else:
        inner.add_middleware(otelkit.ASGIMiddleware, **sources)
        app = OpenTelemetryMiddleware(app)
    with served(app) as client:
        assert client.get("/orders/A-1").json() == "A-1"
        assert until(lambda: series(registry), 5)
    marked = [s for s in exporter.get_finished_spans() if s.kind is SpanKind.SERVER]
    assert [(s.name, (s.attributes or {})["order.id"]) for s in marked] == [
        ("GET /orders/{order_id}", "A-1")
    ]
    assert series(registry) == {("GET", "/orders/{order_id}", "200"): 1}


def test_a_fault_of_otelkits_own_does_not_reach_the_client(
    init: Init, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = init()
    monkeypatch.setattr(telemetry.metrics, "http", None)
    assert client.get("/orders/A-1").status_code == 200
    monkeypatch.setattr(telemetry, "tracer", None)
    assert client.get("/orders/A-1").status_code == 200


def test_before_init_requests_are_served(client: httpx.Client) -> None:
    assert client.get("/orders/A-1").json() == {"order": "A-1"}
