"""What ``init`` sets up: spans, metrics, logs and order events of one process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, Self, TypeVar

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from otelkit.errors import OtelkitError, UnavailableError
from otelkit.instrument import (
    eventlog,
    instrumentors,
    lifecycle,
    logs,
    loki,
    outgoing,
    pika,
    records,
    runtime,
    spans,
    traces,
    workers,
)
from otelkit.instrument.collectors import Collectors
from otelkit.instrument.eventlog import EventLog
from otelkit.instrument.exposition import MetricsServer, Scrape
from otelkit.instrument.lifecycle import SHUTDOWN_SECONDS
from otelkit.instrument.metrics import COLLECTOR_FAILED, METRICS, ServiceMetrics
from otelkit.instrument.process import ProcessMetrics
from otelkit.instrument.queues import SendQueue
from otelkit.instrument.redact import Redactor, Unredacted
from otelkit.instrument.settings import Settings

log = logging.getLogger("otelkit")

SCOPE: Final = "otelkit"
_GRACE: Final = 0.1
"""Seconds for a part whose time is over to say so."""
T = TypeVar("T")
Deliver = Callable[[float], bool]
"""Delivers what a part has queued within so many seconds; whether that was everything."""
Parts = tuple[Callable[["Telemetry"], object], ...]


class Telemetry:
    """All that one process emits. Nothing of it raises into the service.

    As a context manager, the code of its block uses it, and its end shuts it down.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry, parts: Parts) -> None:
        self.settings = settings
        self.metrics_port: int | None = None
        """The port of ``/metrics`` once it is served."""
        self.events: EventLog | None = None
        self.provider: Any = trace.NoOpTracerProvider()
        """Makes the tracers: the SDK's provider, unless the service has set up another make."""
        self.tracer: trace.Tracer = trace.NoOpTracer()
        self.metrics = ServiceMetrics(registry)
        self.process: ProcessMetrics | None = None
        self._registry = registry
        self._server: MetricsServer | None = None
        self._queues: list[SendQueue[Any]] = []
        self._handlers: list[logging.Handler] = []
        self._ends: list[Callable[[], None]] = []
        self._in_use = ExitStack()
        self._delivered: bool | None = None
        self.redactor = Unredacted() if settings.redact is None else Redactor(settings.redact)
        self._reader = records.Reader(self.redactor)
        if not settings.disabled:
            for part in parts:
                _attempt(self, part)
            lifecycle.follow_forks(self)

    def __enter__(self) -> Self:
        self._in_use.enter_context(runtime.using(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._in_use.close()
        self.shutdown()

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
        if self.process is not None:
            self.process.close()

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
        if self.process is not None:
            self.process.after_fork_in_child()
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
        if settings.lines is not None:
            lines = self._add_queue(logs.queue(settings.lines, settings, self.metrics.drop))
            self._add_handler(logs.OtlpHandler(self._reader, lines))
        if settings.loki is not None:
            said = self._add_queue(loki.queue(settings.loki, settings, self.metrics.drop))
            formatter = logs.JsonFormatter(settings.service, self._reader)
            self._add_handler(loki.LokiHandler(said, formatter))

    def _add_queue(self, queue: SendQueue[T]) -> SendQueue[T]:
        self._queues.append(queue)
        return queue

    def _add_handler(self, handler: logging.Handler) -> None:
        handler.addFilter(logs.not_of_clients)
        logging.getLogger().addHandler(handler)
        self._handlers.append(handler)

    def _start_process(self) -> None:
        self.process = ProcessMetrics(self._registry)

    def _start_traces(self) -> None:
        adopted = traces.adopt()
        if adopted is None:
            traces.stand(self._own_traces())
        else:
            self._trace_with(adopted)

    def _own_traces(self) -> TracerProvider:
        exporting, export = None, self.settings.traces
        if export is not None:
            queue = spans.queue(export, self.metrics.drop)
            exporting = spans.QueueingSpanProcessor(self._add_queue(queue), self.redactor)
        ours = traces.provider(self.settings, exporting)
        self._ends.append(lambda: traces.retire(ours))
        self._trace_with(ours)
        return ours

    def _trace_with(self, provider: trace.TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(SCOPE)

    def _start_instrumentation(self) -> None:
        pika.instrument_classes()
        outgoing.instrument_classes()
        self._ends.append(outgoing.uninstrument_classes)
        self._ends.append(instrumentors.instrument(self.settings.instrument))

    def _start_metrics(self) -> None:
        port = self.settings.metrics_port
        if port is None:
            return
        host = self.settings.metrics_host
        try:
            self._server = MetricsServer(host, port, self._scrape(), shared=workers.enabled())
        except OSError as error:
            raise UnavailableError(
                f"metrics are off: {host}:{port}: {error.strerror}; the service goes on without "
                "them; several workers share a port where PROMETHEUS_MULTIPROC_DIR names a folder"
            ) from error
        self.metrics_port = self._server.server_port

    def _scrape(self) -> Scrape:
        if workers.enabled():
            return lambda _: workers.registry()
        lose = partial(self.metrics.drop, METRICS, COLLECTOR_FAILED)
        return Collectors(self._registry, lose).guarded

    def _start_events(self) -> None:
        if self.settings.events is not None:
            self.events = eventlog.opened(self.settings, self.metrics.drop)


PROCESS: Final[Parts] = (
    Telemetry._start_process,
    Telemetry._start_logs,
    Telemetry._start_traces,
    Telemetry._start_instrumentation,
    Telemetry._start_metrics,
    Telemetry._start_events,
)
"""The parts of what a process has: some are the whole interpreter's."""
LOCAL: Final[Parts] = (
    Telemetry._own_traces,
    Telemetry._start_metrics,
    Telemetry._start_events,
)
"""Those that touch nothing outside."""


def _attempt(telemetry: Telemetry, part: Callable[[Telemetry], object]) -> None:
    """Set up one part; whatever happens, the service goes on without it."""
    try:
        part(telemetry)
    except OtelkitError as error:
        log.error("%s", error)
    except Exception as error:
        name = part.__name__.removeprefix("_start_").removeprefix("_own_")
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


def current() -> Telemetry | None:
    """That of this process, also after its shutdown."""
    telemetry = runtime.latest()
    return telemetry if isinstance(telemetry, Telemetry) else None
