"""Services under their production servers, asked over a socket and watched from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, Self

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from instrument.otlp import Attributes, OtlpEndpoint, attributes
from otelkit.instrument.suppression import untraced
from shop.servers import free_port
from shop.waiting import until

FAMILY: Final = "http_server_request_duration_seconds"


class Service:
    """An application that is served, its working directory ``folder``.

    ``command`` is what one would type: ``gunicorn app:app``.
    """

    def __init__(self, command: str, folder: Path, otlp: OtlpEndpoint) -> None:
        server, app = command.split()
        self._otlp = otlp
        self.port, self._metrics = free_port(), free_port()
        where = ["--port", str(self.port)]
        if server == "gunicorn":
            where = ["--bind", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", server, "--log-level", "warning", *where, app],
            cwd=folder,
            env=os.environ
            | {
                "PYTHONPATH": str(folder),
                "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
                "OTEL_BSP_SCHEDULE_DELAY": "50",
                "OTELKIT_METRICS_PORT": str(self._metrics),
                "OTELKIT_LOGS": "false",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # No connection is kept: a server closes one after an error, maybe while it is used again.
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def __enter__(self) -> Self:
        assert until(self._serves, 20, interval=0.05), "the server has not started"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[str, list[Span]]:
        """The answer, and the spans of the request once the server's is among them."""
        trace_id = token_hex(16)
        headers["traceparent"] = f"00-{trace_id}-{'1' * 16}-01"
        with untraced():
            answer = self._client.request(method, path, headers=headers).text
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
            return self._client.get("/nowhere").status_code == 404
        return False


def server_span(spans: list[Span]) -> tuple[Span, Attributes]:
    """The one server span of a request."""
    (found,) = [s for s in spans if s.kind == Span.SPAN_KIND_SERVER]
    return found, attributes(found.attributes)
