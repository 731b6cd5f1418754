"""A process like new for each test, children of it, and the servers that it talks to."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import pika
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from prometheus_client import CollectorRegistry

import otelkit
from instrument.behaviours import Bus
from instrument.otlp import OtlpEndpoint
from otelkit import names
from otelkit.instrument import outgoing, runtime
from otelkit.instrument import pika as pika_instrumentation
from shop.servers import RabbitMQ

Init = Callable[..., otelkit.Telemetry]


def _forget_everything() -> None:
    active = runtime.active()
    if active is not None:
        active.shutdown(0.2)  # what is left at the end of a test interests nobody
    runtime.reset()
    pika_instrumentation.uninstrument_classes()
    outgoing.uninstrument_classes()
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()


@pytest.fixture(autouse=True)
def pristine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process as it is before the first ``init``, and again after the test."""
    for name in [n for n in os.environ if n.startswith(("OTEL_", "OTELKIT_"))]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    _forget_everything()
    yield
    _forget_everything()
    root.setLevel(level)
    assert [h for h in root.handlers if h not in handlers] == [], "shutdown left a log handler"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def init(registry: CollectorRegistry, spool: Path) -> Init:
    """``otelkit.init`` for service shop, quiet, with the test's registry and spool."""

    def start(**settings: Any) -> otelkit.Telemetry:
        usual: dict[str, Any] = {"service": "shop", "registry": registry}
        usual |= {"spool": spool, "logs": False}
        return otelkit.init(**(usual | settings))

    return start


class Spans(Protocol):
    def __call__(self) -> dict[str, ReadableSpan]: ...


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Holds the spans of a provider that the service has set up before ``init``."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    """Its finished spans by name, of several the last."""
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


@pytest.fixture
def otlp() -> Iterator[OtlpEndpoint]:
    with OtlpEndpoint() as endpoint:
        yield endpoint


class Child:
    """A Python process that runs ``code``; it waits and is awaited by lines on its pipes."""

    def __init__(self, code: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | env,
        )

    def line(self) -> str:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        """Let it go on from its ``input()``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, seconds: float = 20) -> str:
        """Await a good end; what it printed."""
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, err
        return out


StartChild = Callable[..., Child]


@pytest.fixture
def child(spool: Path) -> Iterator[StartChild]:
    """``child(code, NAME=value)``: a process of service shop that shares the test's spool."""
    with ExitStack() as stack:

        def start(code: str, **env: str) -> Child:
            preamble = "import os, sys, time, otelkit\n"
            usual = {"OTEL_SERVICE_NAME": "shop", "OTELKIT_SPOOL": str(spool)}
            made = Child(preamble + code, usual | env)
            stack.callback(made.kill)
            return made

        yield start


Event = dict[str, Any]


def take_events(url: str, count: int, seconds: float = 15) -> list[Event]:
    """The first ``count`` order events that arrive in the collector's queue, in its order."""
    deadline = time.monotonic() + seconds
    taken: list[Event] = []
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        arguments = names.ORDERS_QUEUE_ARGUMENTS
        channel.queue_declare(names.ORDERS_QUEUE, durable=True, arguments=arguments)
        for method, _, body in channel.consume(names.ORDERS_QUEUE, inactivity_timeout=0.1):
            if method is not None:
                taken.append(json.loads(body))
                channel.basic_ack(method.delivery_tag)
            if len(taken) == count or time.monotonic() > deadline:
                break
        channel.cancel()
    return taken


def statuses(events: list[Event]) -> list[str]:
    return [event["data"]["status"] for event in events]


@pytest.fixture(scope="module")
def bus_vhost(rabbitmq: RabbitMQ) -> str:
    """One for all behaviours: they leave nothing there."""
    return rabbitmq.vhost("behaviours")


@pytest.fixture
def bus(bus_vhost: str, init: Init) -> Iterator[Bus]:
    """A queue to measure a behaviour on, with otelkit as the library that is measured."""

    def one(channel: Any) -> None:
        otelkit.pika.instrument(channel.connection)

    with closing(Bus(bus_vhost, init, one)) as made:
        yield made
