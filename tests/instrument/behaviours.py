"""What an instrumentation of pika does, in words, measured alike for otelkit and for its peer.

A behaviour is a test with a title: what it returns stands in the table of docs/pika.md. This module
and the tests import neither otelkit nor pytest, so that they also run where the peer is installed:

    python -m instrument.behaviours TITLE amqp://...      prints what the peer does, as JSON
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pika
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.blocking_connection import BlockingChannel

QUEUE: Final = "parts"
_SECONDS: Final = 5
"""After which a connection ends that nobody has ended."""

Work = Callable[[Any, Callable[[], None]], None]
"""Is given an open channel, and a function that ends its connection."""


class Bus:
    """A queue in an empty virtual host, and what the library under test says of its use."""

    def __init__(self, url: str, start: Callable[[], object], one: Callable[[Any], object]) -> None:
        self._parameters = pika.URLParameters(url)
        self.start = start
        """Instruments pika."""
        self.start_one = one
        """Instruments one blocking channel, or its connection."""
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(provider)
        self.tracer = trace.get_tracer("the service")
        self._connection = pika.BlockingConnection(self._parameters)
        self.channel: BlockingChannel = self._connection.channel()
        self.channel.queue_delete(QUEUE)  # with the consumers that a test has left, if it failed
        self.channel.queue_declare(QUEUE)

    def another_channel(self) -> BlockingChannel:
        return self._connection.channel()

    def publish(self, channel: Any = None, **properties: Any) -> None:
        """One message for the queue."""
        sent = pika.BasicProperties(**properties) if properties else None
        (channel or self.channel).basic_publish("", QUEUE, b"bolt", sent)

    def consume(self, handle: Callable[..., object] | None = None, *, auto_ack: bool = True) -> Any:
        """Consumes one message with a callback."""

        def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            channel.stop_consuming()
            if handle is not None:
                handle(channel, method, properties, body)

        channel = self.another_channel()
        channel.basic_consume(QUEUE, on_message, auto_ack)
        channel.start_consuming()
        return channel

    def select(self, work: Work) -> None:
        """``work(channel, close)`` on a SelectConnection, until it calls ``close``."""
        made = pika.SelectConnection(
            self._parameters,
            on_open_callback=lambda opened: _on_channel(opened, work),
            on_close_callback=lambda closed, _: closed.ioloop.stop(),
        )
        made.ioloop.call_later(_SECONDS, made.ioloop.stop)
        made.ioloop.start()
        made.ioloop.close()

    def asyncio(self, work: Work) -> None:
        """The same on an AsyncioConnection."""
        loop = asyncio.new_event_loop()
        AsyncioConnection(
            self._parameters,
            on_open_callback=lambda opened: _on_channel(opened, work),
            on_close_callback=lambda *_: loop.stop(),
            custom_ioloop=loop,
        )
        loop.call_later(_SECONDS, loop.stop)
        loop.run_forever()
        loop.close()

    def finished(self) -> list[ReadableSpan]:
        """Spans of the library, in the order of their ends."""
        return [
            span
            for span in self._exporter.get_finished_spans()
            if span.instrumentation_scope is not None
            and span.instrumentation_scope.name != "the service"
        ]

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.finished() if span.kind is kind]

    @property
    def published(self) -> list[ReadableSpan]:
        return self.spans(SpanKind.PRODUCER)

    @property
    def consumed(self) -> list[ReadableSpan]:
        return self.spans(SpanKind.CONSUMER)

    @property
    def settled(self) -> list[ReadableSpan]:
        return self.spans(SpanKind.CLIENT)

    def close(self) -> None:
        self._connection.close()


def _on_channel(connection: Any, work: Work) -> None:
    connection.channel(on_open_callback=lambda channel: work(channel, connection.close))


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name, "absent")


def attribute_like(span: ReadableSpan, ending: str) -> Any:
    """The value of an attribute that no convention names, whatever comes before in its name."""
    found = [value for name, value in (span.attributes or {}).items() if name.endswith(ending)]
    return found[0] if found else "absent"


def context_left() -> str:
    """Whether a span is current where none should be."""
    return "none" if trace.get_current_span() is trace.INVALID_SPAN else "that of the message"


@dataclass(frozen=True)
class Behaviour:
    """A row of the table: its title, what is right, and how it is found out."""

    title: str
    right: str
    find: Callable[[Bus], str]


BEHAVIOURS: Final[dict[str, Behaviour]] = {}
"""By title, in the order of the tests."""


def behaviour(title: str, right: str) -> Callable[[Callable[[Bus], str]], Callable[[Bus], None]]:
    """A test that otelkit does what is right, and a row of the table."""

    def decorate(find: Callable[[Bus], str]) -> Callable[[Bus], None]:
        BEHAVIOURS[title] = Behaviour(title, right, find)

        @functools.wraps(find)
        def test(bus: Bus) -> None:
            assert find(bus) == right

        del test.__wrapped__
        test.__annotations__ = {"bus": Bus, "return": None}
        return test

    return decorate


def _contrib() -> Any:
    return importlib.import_module("opentelemetry.instrumentation.pika").PikaInstrumentor()


def main(title: str, url: str) -> None:
    import instrument.test_pika_conformance  # noqa: F401 - it fills BEHAVIOURS

    try:
        library = _contrib()
        bus = Bus(url, library.instrument, library.instrument_channel)
        found = BEHAVIOURS[title].find(bus)
    except Exception as error:
        found = f"{type(error).__name__} in the service"
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    # As `instrument.behaviours`, the module that the tests import.
    from instrument import behaviours

    behaviours.main(*sys.argv[1:])
