"""The outbox: an order event in the transaction that moves the order.

A service that commits a change and then dies before it says so has moved an order that nobody
hears of; one that says so first may yet roll back. :func:`moved_to` writes the event to a table of
the service's own database instead, in the service's own transaction: they stand or fall together.
A :func:`relay` takes what is committed from there to the spool, and so to the destination of
``init(events=...)``. Each event arrives at least once, and always with the same source and id.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from otelkit.errors import ConfigError, UnavailableError
from otelkit.events import encode
from otelkit.instrument import runtime
from otelkit.instrument.databases import Database, Row, database
from otelkit.instrument.orders import Order, mark

log = logging.getLogger("otelkit.outbox")

TABLE: Final = "otelkit_outbox"
THREAD: Final = "otelkit-outbox"
"""Name of a relay's thread."""
_FIRST_RETRY: Final = 0.5
_LONGEST_RETRY: Final = 30.0

_COLUMNS: Final = {
    "sqlite": "seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL",
    "postgresql": "seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL",
    "mysql": (
        "seq BIGINT AUTO_INCREMENT PRIMARY KEY, body MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL"
    ),
}
_INSERT: Final = "INSERT INTO otelkit_outbox (body) VALUES (?)"
_ANY: Final = "SELECT 1 FROM otelkit_outbox LIMIT 1"
_HEAD: Final = "SELECT seq, body FROM otelkit_outbox ORDER BY seq LIMIT 200"
# SQLite has one lock for the whole file: whatever writes takes it, in any mode of its connections.
_LOCK: Final = "DELETE FROM otelkit_outbox WHERE seq < 0"
_DELETE: Final = "DELETE FROM otelkit_outbox WHERE seq IN "


def ddl(dialect: str) -> str:
    """The statement that makes the table: ``sqlite``, ``postgresql`` or ``mysql`` (MariaDB too).

    Raises ConfigError for another.
    """
    if dialect not in _COLUMNS:
        raise ConfigError(
            f"otelkit knows no table for {dialect!r}; make one called {TABLE} with a number `seq` "
            f"that grows by itself and a text `body`, as for one of {', '.join(_COLUMNS)}"
        )
    return f"CREATE TABLE IF NOT EXISTS {TABLE} ({_COLUMNS[dialect]})"


def create(connection: Any) -> None:
    """Make the table if it does not exist, in the connection's transaction; you commit."""
    into = database(connection)
    into.execute(ddl(into.dialect))


def moved_to(
    connection: Any,
    order: Order,
    status: str,
    *,
    at: datetime | None = None,
    version: int | None = None,
) -> None:
    """The order reaches a status, if the transaction that ``connection`` is in commits.

    As :meth:`Order.moved_to`, but what goes wrong raises, so that the transaction can be rolled
    back: ValueError for a wrong argument, ConfigError for a connection that cannot be used, and
    the driver's own errors. Does nothing before ``init``.
    """
    telemetry = runtime.latest()
    if telemetry is None:
        runtime.warn_inactive("otelkit.outbox.moved_to", "is called")
        return
    event = order._event(status, at, version, telemetry.settings.service)
    database(connection).execute(_INSERT, [encode(event).decode()])
    mark(order, status)


def forward(connection: Any) -> int:
    """Take committed events to the spool, in a transaction of its own; how many, at most 200.

    Other relays pass over what this one holds (SKIP LOCKED of PostgreSQL, MySQL 8 and MariaDB
    10.6), or wait for it (SQLite). Raises UnavailableError where the spool takes no more, and the
    driver's errors; what was not taken stays in the outbox.
    """
    events = _events()
    if events is None:
        return 0
    outbox = database(connection)
    try:
        rows = _held(outbox)
        kept = events.keep([str(body).encode() for _, body in rows])
        if kept:
            outbox.execute(f"{_DELETE}({', '.join('?' * kept)})", [seq for seq, _ in rows[:kept]])
        outbox.commit()
    except BaseException:
        with suppress(Exception):  # of a connection that is broken there is nothing to roll back
            outbox.rollback()
        raise
    if kept < len(rows):
        raise UnavailableError("the spool takes no more order events; see its limit and its disk")
    return kept


def _events() -> runtime.Events | None:
    telemetry = runtime.latest()
    events = None if telemetry is None else telemetry.events
    if events is None:
        runtime.warn_inactive("otelkit.outbox.forward", "tells it where events go (events=)")
    return events


def _held(outbox: Database) -> list[Row]:
    """The oldest events that no other relay holds, held by this transaction."""
    if outbox.dialect in {"postgresql", "mysql"}:
        return outbox.execute(f"{_HEAD} FOR UPDATE SKIP LOCKED")
    if outbox.dialect != "sqlite":
        raise ConfigError(
            f"the outbox can be filled in any database, and emptied in {', '.join(_COLUMNS)}; "
            "take its rows to the collector's POST /events, and delete them, yourself"
        )
    if not outbox.execute(_ANY):  # the lock is the service's for as long as there is nothing
        return []
    outbox.commit()
    outbox.execute(_LOCK)
    return outbox.execute(_HEAD)


class Relay:
    """A thread that forwards, until it is stopped or the process ends.

    It holds a connection of its own. Whatever goes wrong is logged once and tried again; the
    events wait in the outbox.
    """

    def __init__(self, connect: Callable[[], Any], every: float) -> None:
        self._connect = connect
        self._every = every
        self._connection: Any = None
        self._away = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """End after the batch in hand; whether it has within ``timeout`` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        retry = _FIRST_RETRY
        while not self._stopping.is_set():
            try:
                while self._forward() and not self._stopping.is_set():
                    retry = _FIRST_RETRY
                self._back()
                wait = self._every
            except Exception as error:
                # Whatever it is: a thread that ends here would leave every later event behind.
                self._lost(error)
                wait = retry * random.uniform(0.8, 1.2)  # noqa: S311 - jitter is no secret
                retry = min(retry * 2, _LONGEST_RETRY)
            self._stopping.wait(wait)
        self._close()

    def _forward(self) -> int:
        if self._connection is None:
            self._connection = self._connect()
        return forward(self._connection)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception as error:
            log.debug("closing the outbox's connection: %r", error)

    def _lost(self, error: Exception) -> None:
        self._close()
        if not self._away:
            self._away = True
            log.warning("order events wait in the outbox and are tried again: %s", error)

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.warning("order events are taken from the outbox again")


def relay(connect: Callable[[], Any], *, every: float = 1.0) -> Relay:
    """Forward in a thread of this process, looking ``every`` so many seconds.

    ``connect`` opens a connection for it alone, such as ``engine.connect``. Start it after a fork,
    in as many processes as you like.
    """
    return Relay(connect, every)
