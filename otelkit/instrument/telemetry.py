"""What ``init`` sets up: spans, metrics, logs and order events of one process."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Any, Final, Self
from wsgiref.simple_server import WSGIServer

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, start_http_server

from otelkit.errors import OtelkitError
from otelkit.instrument import instrumentors, logs, outgoing, pika, runtime, traces
from otelkit.instrument.destinations import destination
from otelkit.instrument.metrics import EXPORT_FAILED, LOGS, SPANS, ServiceMetrics
from otelkit.instrument.orders import EventLog
from otelkit.instrument.process import ProcessMetrics
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.settings import Settings, spool_folder
from otelkit.instrument.spool import Spool

log = logging.getLogger("otelkit")

SHUTDOWN_SECONDS: Final = 3.0
"""For all signals together, whatever state their backends are in."""
SCOPE: Final = "otelkit"
Close = Callable[[float], bool]
"""Ends a part within so many seconds; whether it has delivered everything."""
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
        self._server: WSGIServer | None = None
        self._closers: list[Close] = []
        self._handlers: list[logging.Handler] = []
        self._in_use = ExitStack()
        self._lost = 0
        self._delivered = True
        if not settings.disabled:
            for part in parts:
                _attempt(self, part)

    def __enter__(self) -> Self:
        self._in_use.enter_context(runtime.using(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._in_use.close()
        self.shutdown()

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
        if self.process is not None:
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
        if self.process is not None:
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
            provider = logs.provider(self.settings, self._dropping(LOGS))
            self._add_handler(logs.OtlpHandler(provider))
            self._closers.append(lambda _: _done(provider.shutdown))

    def _add_handler(self, handler: logging.Handler) -> None:
        handler.addFilter(logs.not_of_publishing)
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
        ours = traces.provider(self.settings, self._dropping(SPANS))
        self._closers.append(lambda _: _done(lambda: traces.retire(ours)))
        self._trace_with(ours)
        return ours

    def _trace_with(self, provider: trace.TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(SCOPE)

    def _start_instrumentation(self) -> None:
        pika.instrument_classes()
        outgoing.instrument_classes()
        self._closers.append(lambda _: _done(outgoing.uninstrument_classes))
        self._closers.append(instrumentors.instrument(self.settings.instrument))

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
def follow_forks() -> None:
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
