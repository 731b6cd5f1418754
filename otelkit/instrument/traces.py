"""Spans: the process's tracer provider, and where it exports to."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otelkit.instrument.context import OrderSpanProcessor


def resource(service: str) -> Resource:
    """What every span and log line says of its process.

    The SDK's random ``service.instance.id`` is left out: Loki makes it a stream for each start of
    each process.
    """
    return Resource.create({"service.name": service})


def provider(service: str, endpoint: str | None) -> tuple[TracerProvider | None, bool]:
    """The tracer provider of this process, and whether it is ours to shut down.

    One that the service has set up before is adopted and gets the order on its spans; one that
    is not the SDK's cannot, and is left alone (None).
    """
    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):
        existing.add_span_processor(OrderSpanProcessor())
        return existing, False
    if not isinstance(existing, trace.ProxyTracerProvider):
        return None, False
    ours = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    ours.add_span_processor(OrderSpanProcessor())
    if endpoint is not None:
        ours.add_span_processor(_exporting(endpoint))
    trace.set_tracer_provider(ours)
    return ours, True


def _exporting(endpoint: str) -> BatchSpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
