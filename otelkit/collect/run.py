"""The collector as a whole: what it is made of, and how it starts and stops."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, Protocol

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from otelkit import names
from otelkit.collect.api import Api
from otelkit.collect.batch import Overdue
from otelkit.collect.changeover import Changeover, in_force
from otelkit.collect.deadletters import DeadLetterWatch, Reading, source_name
from otelkit.collect.engine import Engine
from otelkit.collect.exposition import HTTP, Exposition
from otelkit.collect.orders import Orders
from otelkit.collect.policies import terms
from otelkit.collect.rabbitmq import NAME, OrderSource
from otelkit.collect.requests import refusals
from otelkit.collect.settings import Settings
from otelkit.collect.sources import Sources
from otelkit.collect.sqlsource import DatabaseSource
from otelkit.collect.store import Store
from otelkit.collect.stores import open_store
from otelkit.collect.tables import Database
from otelkit.collect.ticker import CLOCK, STORE, Ticker
from otelkit.errors import ConfigError, UnavailableError
from otelkit.model import Sla

log = logging.getLogger("otelkit.collect")

STOP_SECONDS: Final = 3.0
"""How long a stop waits for the batch in hand; a broker that hangs is not waited for."""


def run(sla: Sla, settings: Settings, stopping: threading.Event) -> None:
    """Collect until ``stopping`` is set.

    Raises :class:`StoreError` if the store cannot be used, :class:`UnavailableError` if the port
    is taken and :class:`ConfigError` if a database cannot be read as it is configured; a source
    that is away is not an error.
    """
    look_for_cycles_rarely()
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(*settings.listen))
        store = open_store(settings.store)
        stack.callback(store.close)
        engine = Engine(in_force(sla, store), store, partial(_tell, sla))
        sources = Sources()
        sources.up(HTTP)
        sources.up(STORE)
        sources.up(CLOCK)
        readers = _readers(settings, engine, sources, stopping)
        watch = _watch(sla, settings, engine, sources, stopping)
        ticker = Ticker(engine, settings, sources, stopping, partial(_horizon, readers))
        changeover = Changeover(engine, store, terms(sla).fingerprint, stopping)
        app = _app(settings, engine, store, sources, watch, ticker, changeover, stopping)
        parts: list[_Part] = [ticker, changeover, *readers, *([] if watch is None else [watch])]
        threads = [
            threading.Thread(target=part.run, name=type(part).__name__, daemon=True)
            for part in parts
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


def look_for_cycles_rarely() -> None:
    """Of Python's garbage: orders and events hold none, and there are many of them at a time.

    To look among them every 700 objects takes a tenth of an event.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


class _Part(Protocol):
    """What works in a thread of its own."""

    def run(self) -> None: ...


class _Reader(_Part, Protocol):
    """A source that is read, as opposed to one that is told."""

    def horizon(self, now: float) -> float | None: ...


def _readers(
    settings: Settings, engine: Engine, sources: Sources, stopping: threading.Event
) -> list[_Reader]:
    readers: list[_Reader] = []
    if settings.amqp is not None:
        sources.down(NAME, "not connected yet")
        readers.append(OrderSource(settings.amqp, engine, sources, stopping, batch=settings.batch))
    for database in settings.databases:
        _check_process(database, engine)
        sources.down(database.name, "not connected yet")
        readers.append(DatabaseSource(database, engine, sources, stopping, batch=settings.batch))
    return readers


def _check_process(database: Database, engine: Engine) -> None:
    process = database.table.process
    if process not in engine.policies:
        raise ConfigError(
            f"the database {database.name!r} tells of the process {process!r}, which is not in "
            f"the SLA file; it has {', '.join(engine.policies) or 'none'}"
        )


def _horizon(readers: Sequence[_Reader], now: float) -> float | None:
    """Up to when every source is read; one that is away may hold the event that met a deadline."""
    horizons = [reader.horizon(now) for reader in readers]
    known = [horizon for horizon in horizons if horizon is not None]
    return min([now, *known]) if len(known) == len(horizons) else None


def _app(
    settings: Settings,
    engine: Engine,
    store: Store,
    sources: Sources,
    watch: DeadLetterWatch | None,
    ticker: Ticker,
    changeover: Changeover,
    stopping: threading.Event,
) -> Starlette:
    orders = Orders(engine, store)
    registry = CollectorRegistry()
    databases = [database.name for database in settings.databases]
    readings = watch.readings if watch is not None else dict[str, Reading]
    refused = refusals()
    registry.register(Exposition(engine, orders, sources, readings, time.time, databases, refused))
    return Api(
        engine, orders, changeover, sources, registry, settings.token, lambda: ticker.alive,
        stopping.is_set, refused=refused,
    ).app()  # fmt: skip


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
            names.ATTR_ORDER_TIER: state.tier,
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
