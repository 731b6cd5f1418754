"""``/metrics`` over HTTP."""

from __future__ import annotations

import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from otelkit.instrument.queues import THREADS


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves a registry until it is stopped. Raises ``OSError`` where the port cannot be had.

    ``shared`` lets several processes of one user listen on one port; one of them answers.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry, *, shared: bool) -> None:
        self.allow_reuse_port = shared
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__(address, _Quiet)  # type: ignore[arg-type]
        self.set_app(make_wsgi_app(registry))
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


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""
