"""Outgoing HTTP calls: what a server is told of trace and order, and what the caller records."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import requests
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import otelkit
from instrument.conftest import Init
from instrument.otlp import OtlpEndpoint
from otelkit.instrument import outgoing
from shop.servers import free_port
from shop.waiting import until

Heard = list[tuple[str, dict[str, str]]]


class Partner(ThreadingHTTPServer):
    """Remembers what it hears: host and headers of each request."""

    def __init__(self) -> None:
        heard: Heard = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host, _, port = self.headers["Host"].partition(":")
                heard.append((host, {k.lower(): v for k, v in self.headers.items()}))
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", f"http://localhost:{port}/stock")
                else:
                    self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing on standard error."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.heard = heard
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def partner() -> Iterator[Partner]:
    with Partner() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def by_requests(url: str) -> int:
    return requests.get(url, timeout=5).status_code


def by_httpx(url: str) -> int:
    return httpx.get(url, follow_redirects=True).status_code


def by_async_httpx(url: str) -> int:
    async def get() -> int:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            return (await client.get(url)).status_code

    return asyncio.run(get())


Get = Callable[[str], int]
every_client = pytest.mark.parametrize("get", [by_requests, by_httpx, by_async_httpx])


def calls(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]


@every_client
def test_a_call_is_one_client_span_that_the_server_hears_of(
    init: Init, exporter: InMemorySpanExporter, partner: Partner, get: Get
) -> None:
    init()
    outgoing.instrument_classes()  # twice is once
    url = partner.url.replace("http://", "http://user:secret@")
    assert get(f"{url}/stock?token=secret") == 200
    (span,) = calls(exporter)
    ((_, headers),) = partner.heard
    assert headers["traceparent"][3:52] == (
        f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
    )
    assert span.name == "GET"
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": f"{partner.url}/stock",
        "server.address": "127.0.0.1",
        "server.port": partner.server_port,
        "http.response.status_code": 200,
    }


@every_client
def test_the_order_goes_to_allowed_hosts_and_follows_no_redirect_to_others(
    init: Init, partner: Partner, get: Get
) -> None:
    init(propagate_to=["127.0.0.*"])
    with otelkit.order("A-1", tier="vip", partner="acme"):
        assert get(f"{partner.url}/moved") == 200
    (first, told), (second, not_told) = partner.heard
    assert (first, second) == ("127.0.0.1", "localhost")
    assert {k: v for k, v in told.items() if k.startswith("otelkit-")} == {
        "otelkit-order-id": "A-1",
        "otelkit-order-process": "order",
        "otelkit-order-tier": "vip",
        "otelkit-order-partner": "acme",
    }
    assert "traceparent" in not_told
    assert not [name for name in not_told if name.startswith("otelkit-")]
    assert "A-1" not in str(not_told)


@every_client
def test_an_answer_of_refusal_and_no_answer_are_errors_of_the_call(
    init: Init, exporter: InMemorySpanExporter, partner: Partner, get: Get
) -> None:
    init()
    get(f"{partner.url}/missing")
    (span,) = calls(exporter)
    assert (span.attributes or {})["error.type"] == "404"
    assert span.status.status_code is StatusCode.ERROR
    with pytest.raises((requests.ConnectionError, httpx.ConnectError)):
        get(f"http://127.0.0.1:{free_port()}/")
    span = calls(exporter)[-1]
    assert (span.attributes or {})["error.type"] in {"ConnectionError", "ConnectError"}


def test_a_request_that_the_caller_keeps_stays_as_it_was(init: Init, partner: Partner) -> None:
    init(propagate_to=["127.0.0.1"])
    prepared = requests.Request("GET", partner.url, headers={"X-Own": "1"}).prepare()
    built = httpx.Request("GET", partner.url, headers={"X-Own": "1"})
    with otelkit.order("A-1"), requests.Session() as session, httpx.Client() as client:
        session.send(prepared)
        client.send(built)
    assert dict(prepared.headers) == {"X-Own": "1"}
    assert set(built.headers) == {"host", "x-own"}
    assert [headers["x-own"] for _, headers in partner.heard] == ["1", "1"]


def test_the_exporters_own_calls_make_no_spans(init: Init, otlp: OtlpEndpoint) -> None:
    telemetry = init(endpoint=otlp.url)
    with telemetry.tracer.start_as_current_span("work"):
        pass
    telemetry.shutdown()
    assert until(lambda: otlp.spans, 5)
    assert [span.name for _, span in otlp.spans] == ["work"]


def test_shutdown_puts_the_libraries_own_methods_back(init: Init) -> None:
    methods = [getattr(owner, name) for owner, name, _ in outgoing._methods()]
    telemetry = init()
    assert [getattr(owner, name) for owner, name, _ in outgoing._methods()] != methods
    telemetry.shutdown()
    assert [getattr(owner, name) for owner, name, _ in outgoing._methods()] == methods
