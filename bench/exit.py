"""How long a process takes to end when what it sends to does not answer, or is not there."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.figure import Figure
from shop.servers import HOST

LIMIT: Final = 3.0
RUNS: Final = 3
OURS: Final = """
import logging, os, tempfile, otelkit
server = "http://{address}"
telemetry = otelkit.init(service="bench", endpoint=server, loki=server, events=server, logs=False,
                         spool=tempfile.mkdtemp(), metrics_port=0)
with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1") as order:
    logging.getLogger("bench").warning("hello")
    order.moved_to("priced")
print("done", flush=True)
"""
PEER: Final = """
import logging
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
traces, logs = TracerProvider(), LoggerProvider()
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("http://{address}/v1/traces")))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter("http://{address}/v1/logs")))
logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))
with traces.get_tracer("bench").start_as_current_span("step"):
    logging.getLogger("bench").warning("hello")
print("done", flush=True)
"""


def measure() -> Iterator[Figure]:
    """Spans, logs, lines for Loki and order events, against spans and logs of the SDK alone."""
    for what, server in (("never answers", _silent), ("backlog full", _full), ("dead", _dead)):
        with server() as address:
            ours = statistics.median(_seconds(OURS, address) for _ in range(RUNS))
            peers = _seconds(PEER, address)
        yield Figure(
            f"exit with every backend hung or dead: {what}",
            "all that a process has, from its last line",
            ours,
            LIMIT,
            f"the SDK's own end with two signals takes {peers:.1f} s",
            "s",
        )


def _seconds(code: str, address: str) -> float:
    """From the last line of a process to its end."""
    command = [sys.executable, "-W", "ignore", "-c", code.format(address=address)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        start = time.monotonic()
        process.wait(120)
        return time.monotonic() - start


@contextmanager
def _silent() -> Iterator[str]:
    with socket.create_server((HOST, 0), backlog=64) as server:
        yield "{}:{}".format(*server.getsockname())


@contextmanager
def _full() -> Iterator[str]:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        try:
            while True:
                address = server.getsockname()
                stack.enter_context(socket.create_connection(address, timeout=0.2))
        except TimeoutError:
            yield "{}:{}".format(*server.getsockname())


@contextmanager
def _dead() -> Iterator[str]:
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield "{}:{}".format(*held.getsockname())
