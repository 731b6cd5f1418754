"""The services whose throughput is measured: bare, with otelkit, with OpenTelemetry's contrib.

``python -m bench.service KIND LIBRARY`` is one of them, in the peers' environment. Its spans go to
the endpoint of ``OTEL_EXPORTER_OTLP_ENDPOINT``, and what it measures ends when all are delivered.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from bench.usage import Usage

BARE: Final = "bare"
OTELKIT: Final = "otelkit"
CONTRIB: Final = "contrib"
HTTP: Final = "http"
AMQP: Final = "amqp"

MESSAGES: Final = 2000
_WARM_UP: Final = 500
_QUEUE: Final = "parts"
_BODY: Final = b'{"part": "bolt", "amount": 12}'
Flush = Callable[[], object]


def serve(library: str, port: int) -> None:
    """A FastAPI application under uvicorn; ``/usage`` delivers and says what it has used."""
    import fastapi
    import uvicorn

    # Or FastAPI's own four spans count as otelkit's: for contrib it leaves them out by itself.
    app = fastapi.FastAPI(telemetry={"tracing": False})
    flush = _observed_app(library, app)

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        return {"order": order_id}

    @app.get("/usage")
    async def usage() -> float:
        flush()
        return time.process_time()

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def exchange_messages(library: str, url: str) -> dict[str, Usage]:
    """Publish so many messages, then consume and acknowledge each."""
    import pika

    flush = _observed_messages(library)
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_purge(channel.queue_declare(_QUEUE).method.queue)
    found = {}
    for count in (_WARM_UP, MESSAGES):
        published = _used(count, flush, functools.partial(_publish, channel, count))
        consumed = _used(count, flush, functools.partial(_consume, channel, count))
        found = {"publish": published, "consume": consumed}
    return found


def _publish(channel: Any, count: int) -> None:
    for _ in range(count):
        channel.basic_publish("", _QUEUE, _BODY)
    channel.queue_declare(_QUEUE, passive=True)  # answered once the broker has them all


def _consume(channel: Any, count: int) -> None:
    left = count

    def on_message(channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        nonlocal left
        left -= 1
        channel.basic_ack(method.delivery_tag)
        if not left:
            channel.stop_consuming()

    channel.basic_qos(prefetch_count=100)
    channel.basic_consume(_QUEUE, on_message)
    channel.start_consuming()


def _used(count: int, flush: Flush, work: Callable[[], None]) -> Usage:
    start, before = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - start
    flush()
    return Usage((time.process_time() - before) / count, count / seconds)


def _observed_app(library: str, app: Any) -> Flush:
    if library == OTELKIT:
        import otelkit

        app.add_middleware(otelkit.ASGIMiddleware)
        return otelkit.init(service="bench", logs=False).flush
    if library == CONTRIB:
        from opentelemetry.instrumentation.fastapi import (  # type: ignore[import-not-found]
            FastAPIInstrumentor,
        )

        flush = _tracing()
        FastAPIInstrumentor.instrument_app(app)
        return flush
    return lambda: None


def _observed_messages(library: str) -> Flush:
    if library == OTELKIT:
        import otelkit

        return otelkit.init(service="bench", logs=False).flush
    if library == CONTRIB:
        from opentelemetry.instrumentation.pika import (  # type: ignore[import-not-found]
            PikaInstrumentor,
        )

        flush = _tracing()
        PikaInstrumentor().instrument()
        return flush
    return lambda: None


def _tracing() -> Flush:
    """As OpenTelemetry's own documentation sets it up."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.force_flush


if __name__ == "__main__":
    kind, library, where = sys.argv[1:]
    if kind == HTTP:
        serve(library, int(where))
    else:
        print(json.dumps(exchange_messages(library, where)))
