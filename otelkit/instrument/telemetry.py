"""``init`` and what it sets up: spans, metrics, logs and order events of one process."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from opentelemetry import trace
from prometheus_client import REGISTRY, CollectorRegistry

from otelkit.errors import OtelkitError, UnavailableError
from otelkit.instrument import lifecycle, logs, pika, records, runtime, spans, traces, workers
from otelkit.instrument import loki as loki_
from otelkit.instrument.destinations import Destination, Nowhere, destination
from otelkit.instrument.exposition import MetricsServer
from otelkit.instrument.lifecycle import SHUTDOWN_SECONDS
from otelkit.instrument.metrics import ServiceMetrics
from otelkit.instrument.orders import EventLog
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.queues import SendQueue
from otelkit.instrument.redact import Redactor, Unredacted
from otelkit.instrument.settings import (
    DEFAULT_SPOOL_LIMIT,
    NOWHERE,
    Settings,
    from_environment,
    spool_folder,
)
from otelkit.instrument.spool import Spool

log = logging.getLogger("otelkit")

SCOPE: Final = "otelkit"
_GRACE: Final = 0.1
"""Seconds for a part whose time is over to say so."""
T = TypeVar("T")
Deliver = Callable[[float], bool]
"""Delivers what a part has queued within so many seconds; whether that was everything."""


class Telemetry:
    """All that one process emits. Made by :func:`init`; nothing of it raises into the service."""

    def __init__(self, settings: Settings, registry: CollectorRegistry = REGISTRY) -> None:
        self.settings = settings
        self.metrics_port: int | None = None
        """The port of ``/metrics`` once it is served."""
        self.events: EventLog | None = None
        self.tracer: trace.Tracer = trace.NoOpTracer()
        self.metrics = ServiceMetrics(registry)
        self._registry = registry
        self._server: MetricsServer | None = None
        self._queues: list[SendQueue[Any]] = []
        self._handlers: list[logging.Handler] = []
        self._ends: list[Callable[[], None]] = []
        self._delivered: bool | None = None
        self.redactor = Unredacted() if settings.redact is None else Redactor(settings.redact)
        self._reader = records.Reader(self.redactor)
        if not settings.disabled:
            for part in _PARTS:
                _attempt(self, part)

    def flush(self, timeout: float = SHUTDOWN_SECONDS) -> bool:
        """Deliver what is queued within ``timeout`` seconds in all; whether that was everything.

        A backend that does not take it is tried once, and what it did not take stays queued.
        """
        flushes: list[Deliver] = [queue.flush for queue in self._queues]
        if self.events is not None:
            flushes.append(self.events.flush)
        return _all(flushes, timeout)

    def shutdown(self, timeout: float = SHUTDOWN_SECONDS) -> bool:
        """Deliver what is queued and stop, within ``timeout`` seconds in all.

        Returns whether everything that was queued has been delivered. Order events that were not
        stay in the spool for the next process, and so do those said later; spans and records that
        were not are lost, counted, and told of in the log.
        """
        runtime.deactivate(self)
        if self._delivered is None:
            stops: list[Deliver] = [queue.stop for queue in self._queues]
            if self.events is not None:
                stops.append(self.events.stop)
            if self._server is not None:
                stops.append(_stopping(self._server))
            self._delivered = False  # unless all of them say so
            self._delivered = _all(stops, timeout)
            self._stop()
        return self._delivered

    def _stop(self) -> None:
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
        for end in self._ends:
            end()
        self.metrics.close()

    def before_fork(self) -> None:
        for queue in self._queues:
            queue.before_fork()
        if self.events is not None:
            self.events.before_fork()

    def after_fork_in_parent(self) -> None:
        for queue in self._queues:
            queue.after_fork_in_parent()
        if self.events is not None:
            self.events.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Threads of the parent do not exist here; its port and its counts are not ours to keep."""
        self.metrics.reset()
        for queue in self._queues:
            queue.after_fork_in_child()
        if self.events is not None:
            self.events.after_fork_in_child()
        if self._server is not None:
            self._server.server_close()
            self._server = self.metrics_port = None

    def _start_logs(self) -> None:
        settings = self.settings
        self._ends.append(records.follow())
        if settings.logs:
            root = logging.getLogger()
            self._add_handler(logs.json_handler(settings.service, self._reader))
            root.setLevel(min(root.level, logging.INFO))
        if settings.endpoint is not None:
            resource = traces.resource(settings.service)
            lines = self._add_queue(logs.queue(resource, settings.endpoint, self.metrics.drop))
            self._add_handler(logs.OtlpHandler(self._reader, lines))
        if settings.loki is not None:
            said = self._add_queue(loki_.queue(settings.service, settings.loki, self.metrics.drop))
            formatter = logs.JsonFormatter(settings.service, self._reader)
            self._add_handler(loki_.LokiHandler(said, formatter))

    def _add_queue(self, queue: SendQueue[T]) -> SendQueue[T]:
        self._queues.append(queue)
        return queue

    def _add_handler(self, handler: logging.Handler) -> None:
        handler.addFilter(logs.not_of_clients)
        logging.getLogger().addHandler(handler)
        self._handlers.append(handler)

    def _start_traces(self) -> None:
        pika.instrument_classes()
        exporting = None
        if self.settings.endpoint is not None:
            ended = self._add_queue(spans.queue(self.settings.endpoint, self.metrics.drop))
            exporting = spans.QueueingSpanProcessor(ended, self.redactor)
        traces.provide(self.settings.service, exporting)
        self.tracer = trace.get_tracer(SCOPE)

    def _start_metrics(self) -> None:
        port = self.settings.metrics_port
        if port is None:
            return
        shared = workers.enabled()
        registry = workers.registry() if shared else self._registry
        host = self.settings.metrics_host
        try:
            self._server = MetricsServer(host, port, registry, shared=shared)
        except OSError as error:
            raise UnavailableError(
                f"metrics are off: {host}:{port}: {error.strerror}; the service goes on without "
                "them; several workers share a port where PROMETHEUS_MULTIPROC_DIR names a folder"
            ) from error
        self.metrics_port = self._server.server_port

    def _start_events(self) -> None:
        if self.settings.events is None:
            return
        to: Destination = Nowhere("there is no address that order events could go to")
        if self.settings.events != NOWHERE:
            try:
                to = destination(self.settings.events, self.settings.events_token)
            except OtelkitError as error:
                to = Nowhere(str(error))
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


def init(
    *,
    service: str,
    events: str | None = None,
    events_token: str | None = None,
    metrics_port: int | None = None,
    metrics_host: str = "127.0.0.1",
    endpoint: str | None = None,
    loki: str | None = None,
    redact: Sequence[str] | None = (),
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
    :param loki: a Loki before 3.0, which takes no OTLP, for logs.
    :param redact: regular expressions of what to hide in spans and logs besides secrets and
        personal data; None hides nothing.
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
        loki=loki,
        redact=None if redact is None else tuple(redact),
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
    lifecycle.follow(_current)
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


def _all(parts: Sequence[Deliver], timeout: float) -> bool:
    """Whether all said, in time, that they have delivered everything."""
    answers: list[bool] = []
    each = max(timeout - _GRACE, 0)
    # All at once, since each may need all of the time.
    running = [
        threading.Thread(target=lambda part=part: answers.append(part(each)), daemon=True)
        for part in parts
    ]
    deadline = time.monotonic() + timeout
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(max(deadline - time.monotonic(), 0))
    return len(answers) == len(parts) and all(answers)


def _stopping(server: MetricsServer) -> Deliver:
    def stop(_: float) -> bool:
        server.stop()
        return True

    return stop


def _current() -> Telemetry | None:
    telemetry = runtime.latest()
    return telemetry if isinstance(telemetry, Telemetry) else None
