"""Spans: the process's tracer provider, and where it exports to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from otelkit.instrument.context import OrderSpanProcessor

_INSTANCE: Final = "service.instance.id"
Drop = Callable[[int], object]
"""Is told how many spans or records could not be delivered."""


def resource(service: str) -> Resource:
    """What every span and log line says of its process.

    The SDK's random ``service.instance.id`` is left out: Loki makes it a stream for each start of
    each process. One that ``OTEL_RESOURCE_ATTRIBUTES`` gives stays.
    """
    made = Resource.create({"service.name": service})
    chosen = OTELResourceDetector().detect().attributes
    kept = {k: v for k, v in made.attributes.items() if k != _INSTANCE or k in chosen}
    return Resource(kept, made.schema_url)


def provider(service: str, endpoint: str | None, drop: Drop) -> TracerProvider | None:
    """A tracer provider for this process, to be shut down by the caller; None if it has one.

    One that the service has set up before is adopted and gets the order on its spans; one that
    is not the SDK's cannot, and is left alone. ``drop`` hears of spans that were not delivered.
    """
    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):
        existing.add_span_processor(OrderSpanProcessor())
        return None
    if not isinstance(existing, trace.ProxyTracerProvider):
        return None
    ours = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    ours.add_span_processor(OrderSpanProcessor())
    if endpoint is not None:
        ours.add_span_processor(_exporting(endpoint, drop))
    trace.set_tracer_provider(ours)
    return ours


def _exporting(endpoint: str, drop: Drop) -> BatchSpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    class Exporter(OTLPSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                drop(len(spans))
            return result

    return BatchSpanProcessor(Exporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
