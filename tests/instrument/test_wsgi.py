"""The WSGI middleware and what the protocol allows an application, under a server of its own."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Init, Spans
from otelkit.instrument.suppression import untraced
from shop.waiting import until

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
seen: list[str] = []
"""Where the application has been, and by which span."""


def note(where: str) -> None:
    seen.append(f"{where} {trace.get_current_span().get_span_context().span_id:016x}")


class Body:
    """A body that is to be closed, and fails if its name says so."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __iter__(self) -> Iterator[bytes]:
        note("part")
        yield b"whole"
        if self._name == "broken":
            raise ValueError("broken")

    def close(self) -> None:
        note("close")


def listed(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [])
    return Body("whole")


def late(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """A generator: nothing of it runs before its first part is asked for."""
    start("200 OK", [])
    note("part")
    yield b"whole"


def written(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [])(b"whole")
    return []


def sent_as_file(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [])
    found: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"whole"))
    return found


def broken(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [])
    return Body("broken")


def fails(_environ: dict[str, Any], _start: Any) -> Iterable[bytes]:
    raise ValueError("broken")


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing on standard error."""

    def get_stderr(self) -> Any:
        return io.StringIO()


@contextmanager
def served(app: App) -> Iterator[str]:
    seen.clear()
    with make_server("127.0.0.1", 0, app, WSGIServer, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def count(registry: CollectorRegistry, status: str) -> float | None:
    labels = {"http_request_method": "GET", "http_route": "", "http_response_status_code": status}
    return registry.get_sample_value("http_server_request_duration_seconds_count", labels)


@pytest.mark.parametrize("app", [listed, late, written, sent_as_file])
def test_every_way_to_answer_is_one_request_that_passes_unchanged(
    init: Init, spans: Spans, registry: CollectorRegistry, app: App
) -> None:
    init()
    with served(otelkit.WSGIMiddleware(app)) as url, untraced():
        assert httpx.get(url).text == "whole"
        assert until(lambda: count(registry, "200"), 5) == 1
    span = spans()["GET"]
    assert span.status.status_code is StatusCode.UNSET
    assert {by for _, by in (line.split() for line in seen)} <= {f"{span.context.span_id:016x}"}
    if app is listed:
        assert [where for where, _ in (line.split() for line in seen)] == ["part", "close"]


@pytest.mark.parametrize(("app", "status"), [(broken, "200"), (fails, "500")])
def test_an_error_is_the_servers_to_handle_and_is_recorded_with_its_type(
    init: Init, spans: Spans, registry: CollectorRegistry, app: App, status: str
) -> None:
    init()
    with served(otelkit.WSGIMiddleware(app)) as url, untraced():
        with suppress(httpx.RemoteProtocolError):
            httpx.get(url)
        assert until(lambda: count(registry, status), 5) == 1
    assert (spans()["GET"].attributes or {})["error.type"] == "ValueError"


def test_before_init_requests_are_served() -> None:
    with served(otelkit.WSGIMiddleware(listed)) as url, untraced():
        assert httpx.get(url).text == "whole"
