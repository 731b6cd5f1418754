"""``init`` and what it sets up: spans, metrics, logs and order events of one process."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry import trace
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from otelkit.errors import OtelkitError
from otelkit.instrument import logs, pika, runtime, traces
from otelkit.instrument.destinations import destination
from otelkit.instrument.metrics import ServiceMetrics
from otelkit.instrument.orders import EventLog
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.settings import (
    DEFAULT_SPOOL_LIMIT,
    Settings,
    from_environment,
    scheme,
    spool_folder,
)
from otelkit.instrument.spool import Spool

log = logging.getLogger("otelkit")

SHUTDOWN_SECONDS: Final = 3.0
"""For all signals together, whatever state their backends are in."""
SCOPE: Final = "otelkit"


class Telemetry:
    """All that one process emits. Made by :func:`init`; nothing of it raises into the service."""

    def __init__(self, settings: Settings, registry: CollectorRegistry = REGISTRY) -> None:
        self.settings = settings
        self.metrics = ServiceMetrics(registry)
        self.metrics_port: int | None = None
        """The port of ``/metrics`` once it is served."""
        self.events: EventLog | None = None
        self._registry = registry
        self._closers: list[Callable[[float], object]] = []
        self._handlers: list[logging.Handler] = []
        self.tracer: trace.Tracer = trace.NoOpTracer()
        for part in (self._start_logs, self._start_traces, self._start_metrics, self._start_events):
            _attempt(part)

    def shutdown(self, timeout: float = SHUTDOWN_SECONDS) -> bool:
        """Deliver what is queued and stop, within ``timeout`` seconds in all.

        Returns whether everything came to its end in time. Undelivered order events stay in the
        spool for the next process; undelivered spans and records are lost.
        """
        if runtime.active() is self:
            runtime.activate(None)
        deadline = time.monotonic() + timeout
        closers, self._closers = self._closers, []
        # In threads, because a hung backend keeps the SDK's own shutdown for half a minute.
        running = [
            threading.Thread(target=close, args=(timeout,), daemon=True) for close in closers
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(max(deadline - time.monotonic(), 0))
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
        return not any(thread.is_alive() for thread in running)

    def after_fork(self) -> None:
        """In a child process: threads of the parent do not exist here."""
        if self.events is not None:
            self.events.after_fork()

    def _start_logs(self) -> None:
        root = logging.getLogger()
        if self.settings.logs:
            self._add_handler(logs.json_handler(self.settings.service))
            root.setLevel(min(root.level, logging.INFO))
        endpoint = self._endpoint()
        if endpoint is not None:
            provider = logs.provider(self.settings.service, endpoint)
            self._add_handler(logs.OtlpHandler(provider))
            self._closers.append(lambda _: provider.shutdown())

    def _add_handler(self, handler: logging.Handler) -> None:
        logging.getLogger().addHandler(handler)
        self._handlers.append(handler)

    def _start_traces(self) -> None:
        provider, ours = traces.provider(self.settings.service, self._endpoint())
        if provider is not None and ours:
            self._closers.append(lambda _: provider.shutdown())
        self.tracer = trace.get_tracer(SCOPE)
        pika.instrument_classes()

    def _endpoint(self) -> str | None:
        endpoint = self.settings.endpoint
        if endpoint is not None:
            scheme(endpoint, ("http", "https"), "the OTLP endpoint")
        return endpoint

    def _start_metrics(self) -> None:
        port = self.settings.metrics_port
        if port is None:
            return
        server, _ = start_http_server(port, self.settings.metrics_host, self._registry)
        self.metrics_port = server.server_port
        self._closers.append(lambda _: server.shutdown())

    def _start_events(self) -> None:
        if self.settings.events is None:
            return
        to = destination(self.settings.events, self.settings.events_token)
        folder = spool_folder(self.settings, os.environ)
        spool = Spool(folder, limit=self.settings.spool_limit, fsync=self.settings.fsync)
        publisher = Publisher(spool, to)
        self.events = EventLog(self.settings.service, spool, publisher, self.metrics.drop)
        self._closers.append(self.events.stop)


def init(
    *,
    service: str,
    events: str | None = None,
    events_token: str | None = None,
    metrics_port: int | None = None,
    metrics_host: str = "127.0.0.1",
    endpoint: str | None = None,
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
    :param endpoint: OTLP over HTTP for spans and logs (``OTEL_EXPORTER_OTLP_ENDPOINT``).
    :param spool: folder in which events wait for delivery; ``spool_limit`` of them at most,
        ``fsync`` to have them survive a loss of power.
    :param logs: write the root logger's records to standard output as JSON lines.

    The environment variables in brackets, and ``OTELKIT_`` plus the name of any other argument,
    override the arguments. ``OTEL_SDK_DISABLED=true`` switches everything off. What cannot be set
    up is logged in a sentence and left out; a second call returns what the first one made.
    """
    existing = runtime.active()
    if existing is not None:
        log.warning("otelkit.init was called before; this call has no effect")
        return existing
    given = Settings(
        service=service,
        events=events,
        events_token=events_token,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        endpoint=endpoint,
        spool=None if spool is None else Path(spool),
        spool_limit=spool_limit,
        fsync=fsync,
        logs=logs,
    )
    settings, problems = from_environment(given, os.environ)
    if settings.disabled:
        runtime.switch_off()
        return Telemetry(Settings(service=settings.service, logs=False), CollectorRegistry())
    telemetry = Telemetry(settings, registry)
    for problem in problems:
        log.error("%s", problem)
    runtime.activate(telemetry)
    atexit.register(telemetry.shutdown)
    os.register_at_fork(after_in_child=telemetry.after_fork)
    return telemetry


def _attempt(part: Callable[[], None]) -> None:
    """Set up one part; the service goes on without it if that fails."""
    try:
        part()
    except OtelkitError as error:
        log.error("%s", error)
    except (OSError, OverflowError, sqlite3.Error) as error:
        name = part.__name__.removeprefix("_start_")
        log.error("%s are off: %s; the service goes on without them", name, error)
