"""Spans: the process's tracer provider, and where it exports to."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otelkit.instrument.context import OrderSpanProcessor

_INSTANCE: Final = "service.instance.id"


def resource(service: str) -> Resource:
    """What every span and log line says of its process.

    The SDK's random ``service.instance.id`` is left out: Loki makes it a stream for each start of
    each process. One that ``OTEL_RESOURCE_ATTRIBUTES`` gives stays.
    """
    made = Resource.create({"service.name": service})
    chosen = OTELResourceDetector().detect().attributes
    kept = {k: v for k, v in made.attributes.items() if k != _INSTANCE or k in chosen}
    return Resource(kept, made.schema_url)


def provide(service: str, exporting: SpanProcessor | None) -> None:
    """Give this process a tracer provider that hands its spans to ``exporting``, if it has none.

    One that the service has set up before is adopted and gets the order on its spans; one that
    is not the SDK's cannot, and is left alone.
    """
    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):
        existing.add_span_processor(OrderSpanProcessor())
        return
    if not isinstance(existing, trace.ProxyTracerProvider):
        return
    ours = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    ours.add_span_processor(OrderSpanProcessor())
    if exporting is not None:
        ours.add_span_processor(exporting)
    trace.set_tracer_provider(ours)
