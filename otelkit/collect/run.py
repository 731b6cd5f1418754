"""The collector as a whole: what it is made of, and how it starts and stops."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector as MetricsCollector
from starlette.applications import Starlette

from otelkit.collect.api.api import Api
from otelkit.collect.api.exposition import ALONE, HTTP, ProcessExposition
from otelkit.collect.api.requests import refusals
from otelkit.collect.settings import Settings
from otelkit.collect.shards.baseline import Baseline
from otelkit.collect.shards.instances import Instances
from otelkit.collect.shards.shard import Shard
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.exchange import Outlet, ShardInlet, WholeInlet, shard_of
from otelkit.collect.sources.inbox import NAME as INBOX
from otelkit.collect.sources.inbox import Inbox
from otelkit.collect.sources.rabbitmq import NAME, OrderSource
from otelkit.collect.sources.relay import Relay
from otelkit.collect.sources.sqlquery import Query
from otelkit.collect.sources.sqlsource import DatabaseSource, Own
from otelkit.collect.storage.lease import Lease, Terms, shard_name
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import open_shard, open_store
from otelkit.errors import ConfigError, MissingExtraError, UnavailableError
from otelkit.model import Sla

if TYPE_CHECKING:
    from otelkit.collect.shards.fleet import Held

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
        begin = _alone if settings.shards is None else _among_others
        app = begin(sla, settings, stopping, stack)
        _serve(app, listener, stopping)


def look_for_cycles_rarely() -> None:
    """Of Python's garbage: orders and events hold none, and there are many of them at a time.

    To look among them every 700 objects takes a tenth of an event.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


def _alone(sla: Sla, settings: Settings, stopping: threading.Event, stack: ExitStack) -> Starlette:
    """A collector with all orders."""
    store = stack.enter_context(closing(open_store(settings.store)))
    shard = Shard(sla, settings, ALONE, store, Sources(), stopping)
    stack.callback(shard.stop, STOP_SECONDS)
    engine, sources, batch = shard.engine, shard.sources, settings.batch
    if settings.amqp is not None:
        sources.down(NAME, "not connected yet")
        shard.readers.append(
            OrderSource(settings.amqp, WholeInlet(), engine, sources, stopping, batch=batch)
        )
    for query in _queries(sla, settings):
        sources.down(query.database.name, "not connected yet")
        shard.readers.append(DatabaseSource(query, Own(engine), sources, stopping, batch=batch))
    shard.watch_dead_letters()
    refused = refusals()
    own = ProcessExposition(sla.system, sources.all, refused)
    app = _api(shard, settings, stopping, refused, own)
    shard.start()
    return app


def _api(
    shard: Shard,
    settings: Settings,
    stopping: threading.Event,
    refused: Counter[int],
    *more: MetricsCollector,
) -> Starlette:
    registry = CollectorRegistry()
    for collector in (shard.exposition([d.name for d in settings.databases]), *more):
        registry.register(collector)
    token = settings.token if settings.shards is None else None  # which its front has asked for
    return Api(
        shard.engine, shard.orders, shard.changeover, shard.sources, registry, token,
        lambda: shard.ticker.alive, stopping.is_set, refused=refused,
    ).app()  # fmt: skip


def _among_others(
    sla: Sla, settings: Settings, stopping: threading.Event, stack: ExitStack
) -> Starlette:
    """One of several collectors, each with some shards."""
    try:
        from otelkit.collect.shards.fleet import Fleet
        from otelkit.collect.shards.front import Front
        from otelkit.collect.storage.leases import Leases
    except ImportError as error:
        raise MissingExtraError("a store in PostgreSQL", "postgres") from error
    terms = Terms(settings.shards or 1, settings.lease.total_seconds())
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    queries = _queries(sla, settings)
    amqp = _noticed_within(settings.amqp or "", terms.seconds)
    outlet = Outlet(amqp, terms.shards)
    sources = Sources()
    sources.up(HTTP)
    fleet = Fleet(
        terms,
        lambda: Leases(str(settings.store), terms, holder, settings.url),
        partial(_held, sla, replace(settings, amqp=amqp), terms, queries),
        sources,
        stopping,
    )
    stack.callback(outlet.close)
    stack.callback(fleet.stop)
    fleet.start()
    refused = refusals()
    registry = CollectorRegistry()
    registry.register(Instances(fleet.instances))
    registry.register(ProcessExposition(sla.system, fleet.conditions, refused))
    return Front(fleet, outlet, registry, settings.token, stopping.is_set, refused=refused).app()


def _held(
    sla: Sla,
    settings: Settings,
    terms: Terms,
    queries: Sequence[Query],
    lease: Lease,
    lost: Callable[[], None],
) -> Held:
    """The shard of a lease, opened."""
    store = open_shard(str(settings.store), lease, lost)
    try:
        return _opened(sla, settings, terms, queries, lease, store)
    except BaseException:
        store.close()
        raise


def _opened(
    sla: Sla,
    settings: Settings,
    terms: Terms,
    queries: Sequence[Query],
    lease: Lease,
    store: Store,
) -> Held:
    from otelkit.collect.shards.fleet import Held

    name, amqp, batch = shard_name(lease.shard), settings.amqp or "", settings.batch
    sources, stopping = Sources(f"shard {name}: "), threading.Event()
    shard = Shard(sla, settings, name, store, sources, stopping)
    engine, tables = shard.engine, [query.database.name for query in queries]
    inlet, outlet = ShardInlet(lease.shard, terms.shards), Outlet(amqp, terms.shards)
    metrics = Baseline(shard.exposition(tables), engine)
    shard.ready = partial(metrics.wait, stopping)
    waits = "waits to be scraped before it counts, since it was moved here"
    sources.down(NAME, waits if metrics.is_due else "not connected yet")
    shard.readers.append(
        OrderSource(
            amqp, inlet, engine, sources, stopping,
            batch=batch, outlet=outlet, senders=[HTTP], relayed=[INBOX, *tables],
        )
    )  # fmt: skip
    for query in queries:
        # Each by one for all, as its name has it.
        if shard_of(query.database.name, terms.shards) == lease.shard:
            sources.down(query.database.name, "not connected yet")
            relay = Relay(engine, Outlet(amqp, terms.shards))
            shard.others.append(DatabaseSource(query, relay, sources, stopping, batch=batch))
    if lease.shard == 0:  # what there is once for all
        every = settings.tick.total_seconds()
        shard.others.append(Inbox(amqp, terms.shards, sources, stopping, every=every))
        shard.watch_dead_letters()
    app = _api(shard, settings, stopping, refusals())
    return Held(lease, shard, app, metrics, until=0.0)


def _noticed_within(url: str, seconds: float) -> str:
    """An address of the broker with heartbeats, so that it drops who sleeps past a lease."""
    parts = urlsplit(url)
    told = [pair for pair in parse_qsl(parts.query) if pair[0] != "heartbeat"]
    beat = ("heartbeat", str(max(int(seconds / 2), 1)))
    return parts._replace(query=urlencode([*told, beat])).geturl()


def _queries(sla: Sla, settings: Settings) -> list[Query]:
    """Of all databases. Raises :class:`ConfigError` for what cannot be read."""
    for database in settings.databases:
        process = database.table.process
        if process not in sla.processes:
            raise ConfigError(
                f"the database {database.name!r} tells of the process {process!r}, which is not in "
                f"the SLA file; it has {', '.join(sla.processes) or 'none'}"
            )
    return [Query(database) for database in settings.databases]


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
