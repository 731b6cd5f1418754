"""The collector as a whole: what it is made of, and how it starts and stops."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from otelkit import names
from otelkit.collect.api import Api
from otelkit.collect.batch import Overdue
from otelkit.collect.deadletters import DeadLetterWatch, Reading, source_name
from otelkit.collect.engine import Engine
from otelkit.collect.exposition import HTTP, Exposition
from otelkit.collect.orders import Orders
from otelkit.collect.rabbitmq import NAME, OrderSource
from otelkit.collect.settings import Settings
from otelkit.collect.sources import Sources
from otelkit.collect.store import Store
from otelkit.collect.stores import open_store
from otelkit.errors import StoreError, UnavailableError
from otelkit.model import Sla

log = logging.getLogger("otelkit.collect")

STOP_SECONDS: Final = 3.0
"""How long a stop waits for the batch in hand; a broker that hangs is not waited for."""
STALE_TICKS: Final = 12
"""So many ticks may be missed before ``/healthz`` says so; a catch-up takes some."""


def run(sla: Sla, settings: Settings, stopping: threading.Event) -> None:
    """Collect until ``stopping`` is set.

    Raises :class:`StoreError` if the store cannot be used and :class:`UnavailableError` if the
    port is taken; a source that is away is not an error.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(*settings.listen))
        store = open_store(settings.store)
        stack.callback(store.close)
        engine = Engine(sla, store, partial(_tell, sla))
        sources = Sources()
        sources.up(HTTP)
        source = _source(settings, engine, sources, stopping)
        watch = _watch(sla, settings, engine, sources, stopping)
        ticker = Ticker(engine, settings, stopping, source.horizon if source else _now)
        app = _app(sla, settings, engine, store, sources, watch, ticker)
        threads = [
            threading.Thread(target=part.run, name=type(part).__name__, daemon=True)
            for part in (ticker, source, watch)
            if part is not None
        ]
        for thread in threads:
            thread.start()
        try:
            _serve(app, listener, stopping)
        finally:
            stopping.set()
            deadline = time.monotonic() + STOP_SECONDS
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0.0))


def _source(
    settings: Settings, engine: Engine, sources: Sources, stopping: threading.Event
) -> OrderSource | None:
    if settings.amqp is None:
        return None
    sources.down(NAME, "not connected yet")
    return OrderSource(settings.amqp, engine, sources, stopping, batch=settings.batch)


def _app(
    sla: Sla,
    settings: Settings,
    engine: Engine,
    store: Store,
    sources: Sources,
    watch: DeadLetterWatch | None,
    ticker: Ticker,
) -> Starlette:
    orders = Orders(engine, store)
    registry = CollectorRegistry()
    readings = watch.readings if watch is not None else dict[str, Reading]
    registry.register(Exposition(sla, engine, orders, sources, readings, time.time))
    return Api(engine, orders, sources, registry, settings.token, lambda: ticker.alive).app()


def _watch(
    sla: Sla, settings: Settings, engine: Engine, sources: Sources, stopping: threading.Event
) -> DeadLetterWatch | None:
    if not sla.queues:
        return None
    if settings.amqp is None:
        for queue in sla.queues:
            sources.down(source_name(queue), "no broker is set; set amqp in the configuration")
        return None
    return DeadLetterWatch(
        settings.amqp,
        settings.management,
        sla.queues,
        engine,
        sources,
        stopping,
        every=settings.tick.total_seconds(),
    )


# --- ticks ---------------------------------------------------------------------------------


class Ticker:
    """Lets the engine's time go on, as far as ``horizon`` says that events are known."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        stopping: threading.Event,
        horizon: Callable[[float], float | None],
    ) -> None:
        self._engine = engine
        self._every = settings.tick.total_seconds()
        self._lateness = settings.lateness.total_seconds()
        self._stopping = stopping
        self._horizon = horizon
        self._beat = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it still looks, also where it has nothing to judge."""
        return time.monotonic() - self._beat < STALE_TICKS * self._every

    def run(self) -> None:
        """The body of a thread."""
        while not self._stopping.is_set():
            try:
                known_until = self._horizon(time.time())
                if known_until is not None:
                    self._engine.tick(known_until, lateness=self._lateness)
            except StoreError as error:
                log.error("%s", error)
            self._beat = time.monotonic()
            self._stopping.wait(self._every)


def _now(now: float) -> float | None:
    return now


def _tell(sla: Sla, overdue: Overdue) -> None:
    """A log record for each order that became overdue: what a dashboard lists them from."""
    state = overdue.state
    late = time.time() - overdue.deadline
    log.warning(
        "order %s is overdue: %s, stage %s",
        state.order_id,
        overdue.objective,
        state.stage,
        extra={
            names.ATTR_EVENT_NAME: names.EVENT_ORDER_OVERDUE,
            names.ATTR_SYSTEM: sla.system,
            names.ATTR_OBJECTIVE: overdue.objective,
            names.ATTR_ORDER_ID: state.order_id,
            names.ATTR_ORDER_PROCESS: state.process,
            names.ATTR_ORDER_STAGE: state.stage,
            names.ATTR_OVERDUE_SECONDS: round(late, 3),
            "last_trace_id": overdue.trace_id,
        },
    )


# --- HTTP ----------------------------------------------------------------------------------


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol told, or asyncio leaves Nagle's algorithm on: 40 ms for every small answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # until then another collector could bind the port as well
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "stop what uses the port, or set another with listen"
        ) from error
    return listener


def _serve(app: Starlette, listener: socket.socket, stopping: threading.Event) -> None:
    """Answer requests until ``stopping`` is set; the ones in hand are finished."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=int(STOP_SECONDS),
    )
    server = uvicorn.Server(config)
    # In a thread of its own uvicorn leaves the process's signals alone.
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%s", host, port)
    while not stopping.wait(0.2):
        if not thread.is_alive():
            raise UnavailableError("the HTTP server has ended; the log says why")
    server.should_exit = True
    thread.join(2 * STOP_SECONDS)
