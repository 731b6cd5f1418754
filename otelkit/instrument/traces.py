"""Spans: the process's tracer provider, and where it exports to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otelkit.instrument.context import OrderSpanProcessor
from otelkit.instrument.settings import Settings

_INSTANCE: Final = "service.instance.id"


def resource(service: str, attributes: Mapping[str, str] | None = None) -> Resource:
    """What every span and log line says of its process.

    The SDK's random ``service.instance.id`` is left out: Loki makes it a stream for each start of
    each process. One that ``OTEL_RESOURCE_ATTRIBUTES`` or the service gives stays.
    """
    made = Resource.create({**(attributes or {}), "service.name": service})
    chosen = {*OTELResourceDetector().detect().attributes, *(attributes or {})}
    kept = {k: v for k, v in made.attributes.items() if k != _INSTANCE or k in chosen}
    return Resource(kept, made.schema_url)


def provider(settings: Settings, exporting: SpanProcessor | None) -> TracerProvider:
    """A tracer provider that marks spans with their order and hands them to ``exporting``."""
    made = TracerProvider(
        resource=resource(settings.service, settings.resource), shutdown_on_exit=False
    )
    made.add_span_processor(OrderSpanProcessor())
    if exporting is not None:
        made.add_span_processor(exporting)
    return made


def adopt() -> trace.TracerProvider | None:
    """The provider that the service has set up before, if it has.

    The SDK's gets the order on its spans; one of another make cannot, and is left alone.
    """
    existing = trace.get_tracer_provider()
    if isinstance(existing, trace.ProxyTracerProvider | _Standing):
        return None
    if isinstance(existing, TracerProvider) and existing not in _adopted:
        _adopted.add(existing)
        existing.add_span_processor(OrderSpanProcessor())
    return existing


def stand(current: TracerProvider) -> None:
    """Make a provider the process's, until :func:`retire`."""
    _STANDING.current = current
    if trace.get_tracer_provider() is not _STANDING:
        trace.set_tracer_provider(_STANDING)


def retire(ended: TracerProvider) -> None:
    """Shut a provider down; the tracers of the process do nothing until another one stands."""
    if _STANDING.current is ended:
        _STANDING.current = trace.NoOpTracerProvider()
    ended.shutdown()


def exemplar(span: trace.Span) -> dict[str, str] | None:
    """What leads from an observation to its trace, where that is sampled and so can be found."""
    found = span.get_span_context()
    if not found.trace_flags.sampled:
        return None
    return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}


class _Standing(trace.TracerProvider):
    """OpenTelemetry's global provider. That can be set once, so it hands on to the current one.

    Whatever else an SDK's provider has (``add_span_processor``, ``force_flush``) is the current's.
    """

    def __init__(self) -> None:
        self.current: trace.TracerProvider = trace.NoOpTracerProvider()

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return _StandingTracer(self, lambda provider: provider.get_tracer(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current, name)


class _StandingTracer(trace.Tracer):
    """A tracer of whichever provider is current when a span starts."""

    def __init__(
        self, standing: _Standing, make: Callable[[trace.TracerProvider], trace.Tracer]
    ) -> None:
        self._standing = standing
        self._make = make
        self._made: tuple[trace.TracerProvider, trace.Tracer] | None = None

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self._tracer().start_span(*args, **kwargs)

    # The base class has the SDK's own kind of context manager, which is a decorator as well.
    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._tracer().start_as_current_span(*args, **kwargs)

    def _tracer(self) -> trace.Tracer:
        current = self._standing.current
        if self._made is None or self._made[0] is not current:
            self._made = (current, self._make(current))
        return self._made[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracer(), name)


_STANDING: Final = _Standing()
_adopted: Final[WeakSet[TracerProvider]] = WeakSet()
