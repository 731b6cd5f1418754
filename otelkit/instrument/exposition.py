"""``/metrics`` over HTTP."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import choose_encoder

from otelkit.instrument.collectors import Encode
from otelkit.instrument.queues import THREADS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger("otelkit")

Scrape = Callable[[Encode], CollectorRegistry]
"""What there is to see in one scrape, which will be written so."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves what a scrape sees until it is stopped. Raises ``OSError`` where the port is taken.

    ``shared`` lets several processes of one user listen on one port; one of them answers.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, scrape: Scrape, *, shared: bool) -> None:
        self.allow_reuse_port = shared
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__(address, _Quiet)  # type: ignore[arg-type]
        self.set_app(_Page(scrape))
        name = f"{THREADS}metrics"
        threading.Thread(target=self.serve_forever, name=name, daemon=True).start()

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks for the host's name: that may take seconds.
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Page:
    """A WSGI application. What it cannot read is an error to Prometheus, and a sentence once."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape
        self._failing = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        encode, _ = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        try:
            answer: Iterable[bytes] = make_wsgi_app(self._scrape(encode))(environ, start_response)
        except Exception as error:
            if not self._failing:
                log.error("/metrics cannot be read: %s", error)
            self._failing = True
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"the metrics cannot be read; the log of the service says why\n"]
        self._failing = False
        return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""
