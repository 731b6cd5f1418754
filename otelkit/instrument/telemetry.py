"""``init`` and what it sets up: spans, metrics, logs and order events of one process."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final
from wsgiref.simple_server import WSGIServer

from opentelemetry import trace
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from otelkit.errors import OtelkitError
from otelkit.instrument import logs, pika, runtime, traces
from otelkit.instrument.destinations import destination
from otelkit.instrument.metrics import EXPORT_FAILED, LOGS, SPANS, ServiceMetrics
from otelkit.instrument.orders import EventLog
from otelkit.instrument.process import ProcessMetrics
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.settings import (
    DEFAULT_SPOOL_LIMIT,
    Settings,
    from_environment,
    spool_folder,
)
from otelkit.instrument.spool import Spool

log = logging.getLogger("otelkit")

SHUTDOWN_SECONDS: Final = 3.0
"""For all signals together, whatever state their backends are in."""
SCOPE: Final = "otelkit"
Close = Callable[[float], bool]
"""Ends a part within so many seconds; whether it has delivered everything."""


class Telemetry:
    """All that one process emits. Made by :func:`init`; nothing of it raises into the service."""

    def __init__(self, settings: Settings, registry: CollectorRegistry = REGISTRY) -> None:
        self.settings = settings
        self.metrics_port: int | None = None
        """The port of ``/metrics`` once it is served."""
        self.events: EventLog | None = None
        self.tracer: trace.Tracer = trace.NoOpTracer()
        self.metrics = ServiceMetrics(registry)
        self.process = ProcessMetrics(registry)
        self._registry = registry
        self._server: WSGIServer | None = None
        self._closers: list[Close] = []
        self._handlers: list[logging.Handler] = []
        self._lost = 0
        self._delivered = True
        if not settings.disabled:
            for part in _PARTS:
                _attempt(self, part)

    def shutdown(self, timeout: float = SHUTDOWN_SECONDS) -> bool:
        """Deliver what is queued and stop, within ``timeout`` seconds in all.

        Returns whether everything that was queued has been delivered. Order events that were not
        stay in the spool for the next process, and so do those said later; spans and records that
        were not are lost.
        """
        runtime.deactivate(self)
        atexit.unregister(self.shutdown)
        closers, self._closers = self._closers, []
        if closers:
            lost = self._lost
            self._delivered = _close_all(closers, timeout) and self._lost == lost
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
        self.metrics.close()
        self.process.close()
        return self._delivered

    def before_fork(self) -> None:
        if self.events is not None:
            self.events.before_fork()

    def after_fork_in_parent(self) -> None:
        if self.events is not None:
            self.events.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Threads of the parent do not exist here, and its port is not ours to keep."""
        self.process.after_fork_in_child()
        if self.events is not None:
            self.events.after_fork_in_child()
        if self._server is not None:
            self._server.server_close()
            self._server = self.metrics_port = None

    def _start_logs(self) -> None:
        if self.settings.logs:
            root = logging.getLogger()
            self._add_handler(logs.json_handler(self.settings.service))
            root.setLevel(min(root.level, logging.INFO))
        if self.settings.endpoint is not None:
            provider = logs.provider(
                self.settings.service, self.settings.endpoint, self._dropping(LOGS)
            )
            self._add_handler(logs.OtlpHandler(provider))
            self._closers.append(lambda _: _done(provider.shutdown))

    def _add_handler(self, handler: logging.Handler) -> None:
        handler.addFilter(logs.not_of_publishing)
        logging.getLogger().addHandler(handler)
        self._handlers.append(handler)

    def _start_traces(self) -> None:
        pika.instrument_classes()
        ours = traces.provider(self.settings.service, self.settings.endpoint, self._dropping(SPANS))
        if ours is not None:
            self._closers.append(lambda _: _done(ours.shutdown))
        self.tracer = trace.get_tracer(SCOPE)

    def _start_metrics(self) -> None:
        port = self.settings.metrics_port
        if port is None:
            return
        self._server, _ = start_http_server(port, self.settings.metrics_host, self._registry)
        self.metrics_port = self._server.server_port
        self._closers.append(self._stop_metrics)

    def _stop_metrics(self, _: float) -> bool:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        return True

    def _start_events(self) -> None:
        if self.settings.events is None:
            return
        to = destination(self.settings.events, self.settings.events_token)
        folder = spool_folder(self.settings, os.environ)
        spool = Spool(folder, limit=self.settings.spool_limit, fsync=self.settings.fsync)
        try:
            len(spool)
        except (OSError, sqlite3.Error) as error:
            log.error(
                "the spool %s cannot be opened: %s; until it can, the log holds all of each "
                "order event",
                folder,
                error,
            )
        publisher = Publisher(spool, to)
        self.events = EventLog(self.settings.service, spool, publisher, self.metrics.drop)
        self._closers.append(self.events.stop)

    def _dropping(self, signal: str) -> Callable[[int], None]:
        def drop(count: int) -> None:
            self._lost += count
            self.metrics.drop(signal, EXPORT_FAILED, count)

        return drop


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
    if isinstance(existing, Telemetry):
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
        return Telemetry(settings, CollectorRegistry())
    telemetry = Telemetry(settings, registry)
    for problem in problems:
        log.error("%s", problem)
    runtime.activate(telemetry)
    atexit.register(telemetry.shutdown)
    _follow_forks()
    return telemetry


_PARTS: Final[tuple[Callable[[Telemetry], None], ...]] = (
    Telemetry._start_logs,
    Telemetry._start_traces,
    Telemetry._start_metrics,
    Telemetry._start_events,
)


def _attempt(telemetry: Telemetry, part: Callable[[Telemetry], None]) -> None:
    """Set up one part; whatever happens, the service goes on without it."""
    try:
        part(telemetry)
    except OtelkitError as error:
        log.error("%s", error)
    except Exception as error:
        name = part.__name__.removeprefix("_start_")
        log.error("%s are off: %s; the service goes on without them", name, error)


def _close_all(closers: list[Close], timeout: float) -> bool:
    """Whether all said, in time, that they have delivered everything."""
    answers: list[bool] = []
    deadline = time.monotonic() + timeout
    # In threads, because a hung backend keeps the SDK's own shutdown for half a minute.
    running = [
        threading.Thread(target=lambda close=close: answers.append(close(timeout)), daemon=True)
        for close in closers
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(max(deadline - time.monotonic(), 0))
    return len(answers) == len(closers) and all(answers)


def _done(shutdown: Callable[[], object]) -> bool:
    shutdown()
    return True


@cache
def _follow_forks() -> None:
    """Once a process: hooks cannot be taken back."""

    def tell(step: Callable[[Telemetry], None]) -> Callable[[], None]:
        def hook() -> None:
            telemetry = runtime.latest()
            if isinstance(telemetry, Telemetry):
                step(telemetry)

        return hook

    os.register_at_fork(
        before=tell(Telemetry.before_fork),
        after_in_parent=tell(Telemetry.after_fork_in_parent),
        after_in_child=tell(Telemetry.after_fork_in_child),
    )
