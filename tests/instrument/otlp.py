"""An OTLP endpoint over HTTP that decodes what it is sent, or accepts it and never answers."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Attributes = dict[str, Any]
PROOF: Final = Path(__file__).parent / "data" / "localhost.pem"
"""A certificate of 127.0.0.1 with its key, signed by itself, until 2120: of server, client and
authority at once."""
_UNPACK: Final[dict[str | None, Callable[[bytes], bytes]]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


def attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {p.key: getattr(p.value, p.value.WhichOneof("value") or "string_value") for p in pairs}


@dataclass
class OtlpEndpoint:
    """``hung`` makes it accept requests and never answer. Resources stand beside what they sent."""

    hung: bool = False
    port: int = 0
    """0 takes a free one."""
    tls: bool = False
    """Whether it speaks TLS with :data:`PROOF`, to clients that have it too."""
    spans: list[tuple[Attributes, Span]] = field(default_factory=list)
    logs: list[tuple[Attributes, LogRecord]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, names in lower case."""
    paths: list[str] = field(default_factory=list)
    """Of each request."""
    asked: threading.Event = field(default_factory=threading.Event)
    """Set once a request has come in."""

    def __enter__(self) -> Self:
        self._released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = _UNPACK[self.headers["Content-Encoding"]](body)
                endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
                endpoint.paths.append(self.path)
                endpoint.asked.set()
                if endpoint.hung:
                    endpoint._released.wait()
                    return
                self.send_response(200 if endpoint._received(self.path, body) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self.tls:
            self._server.socket = _secured(self._server.socket)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def named(self, name: str) -> Span:
        """The one span of that name."""
        (found,) = [span for _, span in self.spans if span.name == name]
        return found

    def _received(self, path: str, body: bytes) -> bool:
        if path == "/v1/traces":
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = attributes(sent.resource.attributes)
                self.spans += [(resource, s) for scope in sent.scope_spans for s in scope.spans]
        elif path == "/v1/logs":
            for records in ExportLogsServiceRequest.FromString(body).resource_logs:
                resource = attributes(records.resource.attributes)
                self.logs += [(resource, r) for s in records.scope_logs for r in s.log_records]
        else:
            return False
        return True


def _secured(listening: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PROOF)
    context.load_verify_locations(PROOF)
    context.verify_mode = ssl.CERT_REQUIRED
    return context.wrap_socket(listening, server_side=True)


class FlappingEndpoint:
    """An endpoint at one address that is alive, dead (nobody listens) or hung, as it is told."""

    def __init__(self) -> None:
        self._states: list[OtlpEndpoint] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.become("alive")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        return self._states[0].url

    @property
    def received(self) -> dict[str, int]:
        """How many of each signal it has taken."""
        return {
            "spans": sum(len(state.spans) for state in self._states),
            "logs": sum(len(state.logs) for state in self._states),
        }

    def become(self, state: str) -> None:
        """``alive``, ``dead`` or ``hung``; whoever waited for an answer until now gets none."""
        self._open.close()
        if state != "dead":
            port = self._states[0].port if self._states else 0
            self._states.append(OtlpEndpoint(hung=state == "hung", port=port))
            self._open.enter_context(self._states[-1])
