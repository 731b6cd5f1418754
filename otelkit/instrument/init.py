"""``init`` for a process, ``local`` for a part of one: they say what is emitted, and to where."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from otelkit.instrument import lifecycle, runtime
from otelkit.instrument.settings import (
    DEFAULT_SPOOL_LIMIT,
    DEFAULT_TIMEOUT,
    Settings,
    from_environment,
)
from otelkit.instrument.telemetry import LOCAL, PROCESS, Telemetry, current

log = logging.getLogger("otelkit")

UNKNOWN_SERVICE: Final = "unknown_service"
"""What OpenTelemetry calls a service that does not say its name."""


def init(
    *,
    service: str | None = None,
    events: str | None = None,
    events_token: str | None = None,
    metrics_port: int | None = None,
    metrics_host: str = "127.0.0.1",
    endpoint: str | None = None,
    traces_endpoint: str | None = None,
    logs_endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    resource: Mapping[str, str] | None = None,
    propagate_to: Iterable[str] = (),
    instrument: Iterable[str] = (),
    loki: str | None = None,
    redact: Iterable[str] | None = (),
    spool: str | os.PathLike[str] | None = None,
    spool_limit: int = DEFAULT_SPOOL_LIMIT,
    fsync: bool = False,
    logs: bool = True,
    registry: CollectorRegistry = REGISTRY,
) -> Telemetry:
    """Set up the telemetry of this process; call it once, at start.

    :param service: its name, on spans, log lines and order events (``OTEL_SERVICE_NAME``).
    :param events: where order events go, ``amqp://...`` or the collector's ``http://...``
        (``OTELKIT_EVENTS``); with ``events_token`` where it asks for one.
    :param metrics_port: serves ``/metrics`` on ``metrics_host``; 0 takes a free port.
    :param endpoint: OTLP over HTTP for spans and logs (``OTEL_EXPORTER_OTLP_ENDPOINT``), with
        ``headers`` (``OTEL_EXPORTER_OTLP_HEADERS``) and at most ``timeout`` seconds for one export
        (``OTEL_EXPORTER_OTLP_TIMEOUT``).
    :param traces_endpoint: another one for spans, its path included, such as a Tempo's
        ``http://tempo:4318/v1/traces`` (``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``); likewise
        ``logs_endpoint`` for logs, such as a Loki's ``http://loki:3100/otlp/v1/logs``
        (``OTEL_EXPORTER_OTLP_LOGS_ENDPOINT``).
    :param resource: attributes of the process on all that it emits (``OTEL_RESOURCE_ATTRIBUTES``).
    :param propagate_to: hosts that hear of the order in hand when ``requests`` or ``httpx`` asks
        them something; ``*.example.com`` are all below one. The trace goes to every host.
    :param instrument: libraries whose installed ``opentelemetry-instrumentation-*`` package shall
        be used, such as ``["redis"]``; ``["all"]`` are all but those that otelkit does itself.
    :param loki: a Loki before 3.0, which takes no OTLP, for logs.
    :param redact: regular expressions of what to hide in spans and logs besides secrets and
        personal data; None hides nothing.
    :param spool: folder in which events wait for delivery; ``spool_limit`` of them at most,
        ``fsync`` to have them survive a loss of power.
    :param logs: write the root logger's records to standard output as JSON lines.
    :param registry: the Prometheus registry that holds the metrics.

    The environment variables in brackets, and ``OTELKIT_`` plus the name of any other argument,
    override the arguments (of headers and attributes, those that they name; lists have commas
    between), and OTLP's compression and certificates have variables alone; one for a signal, such
    as ``OTEL_EXPORTER_OTLP_LOGS_HEADERS``, stands for the one of both. ``OTEL_SDK_DISABLED=true``
    switches everything off; ``OTEL_TRACES_SAMPLER`` and what else the SDK reads have effect. What
    cannot be set up is logged in a sentence and left out; a second call returns what the first one
    made, and after ``shutdown()`` one begins anew.
    """
    existing = runtime.of_process()
    if isinstance(existing, Telemetry):
        log.warning("otelkit.init was called before; this call has no effect")
        return existing
    try:
        given = Settings(
            service=service or UNKNOWN_SERVICE,
            events=events,
            events_token=events_token,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            endpoint=endpoint,
            traces_endpoint=traces_endpoint,
            logs_endpoint=logs_endpoint,
            headers=headers or {},
            timeout=timeout,
            resource=resource or {},
            propagate_to=_listed(propagate_to or ()),
            instrument=_listed(instrument or ()),
            loki=loki,
            redact=None if redact is None else _listed(redact),
            spool=None if spool is None else Path(spool),
            spool_limit=spool_limit,
            fsync=fsync,
            logs=logs,
        )
        return _of_process(given, registry)
    except Exception as error:
        log.error("otelkit is off: %s; the service goes on without it", error)
        return _nothing()


def local(
    *,
    service: str,
    events: str | None = None,
    events_token: str | None = None,
    endpoint: str | None = None,
    resource: Mapping[str, str] | None = None,
    spool: str | os.PathLike[str] | None = None,
    registry: CollectorRegistry | None = None,
) -> Telemetry:
    """A telemetry of its own, for a test or a library: nothing outside of it is touched.

    The arguments are those of :func:`init`; ``OTELKIT_`` variables have no effect, and
    ``registry`` is a new one unless given. ``provider`` is its tracer provider, to which a test
    adds a processor. It is used by the code within ``with otelkit.local(...) as telemetry:``, which
    shuts it down, and by what is made with ``telemetry=``: ``observe`` and the HTTP middleware.
    """
    try:
        given = Settings(
            service=service,
            events=events,
            events_token=events_token,
            endpoint=endpoint,
            resource=resource or {},
            spool=None if spool is None else Path(spool),
            logs=False,
        )
        settings, problems = from_environment(given, {})
        _say(problems)
        return Telemetry(settings, registry or CollectorRegistry(), LOCAL)
    except Exception as error:
        log.error("otelkit.local is off: %s; the code goes on without it", error)
        return _nothing()


def _of_process(given: Settings, registry: CollectorRegistry) -> Telemetry:
    settings, problems = from_environment(given, os.environ)
    if settings.disabled:
        runtime.switch_off()
        return _nothing()
    telemetry = Telemetry(settings, registry, PROCESS)
    if settings.service == UNKNOWN_SERVICE:
        problems = [*problems, "no service name is known; pass service= or set OTEL_SERVICE_NAME"]
    _say(problems)
    runtime.activate(telemetry)
    lifecycle.follow(current)
    return telemetry


def _nothing() -> Telemetry:
    """A telemetry that is off: each of its methods can be called, and does nothing."""
    return Telemetry(Settings(service=UNKNOWN_SERVICE, disabled=True), CollectorRegistry(), ())


def _say(problems: Iterable[str]) -> None:
    for problem in problems:
        log.error("%s", problem)


def _listed(names: Iterable[str]) -> tuple[str, ...]:
    # One name alone is an iterable of letters, which nobody means.
    return (names,) if isinstance(names, str) else tuple(names)
