"""Where a process says its order events: a spool on disk, sent from there by a thread."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence

from otelkit.errors import OtelkitError
from otelkit.events import OrderMoved, encode
from otelkit.instrument.destinations import Destination, Nowhere, destination
from otelkit.instrument.metrics import ORDER_EVENTS, SPOOL_ERROR, SPOOL_FULL
from otelkit.instrument.publisher import Publisher
from otelkit.instrument.settings import NOWHERE, Settings, spool_folder
from otelkit.instrument.spool import Spool, SpoolFull

log = logging.getLogger("otelkit")
events = logging.getLogger("otelkit.orders")
"""Holds whole events; redaction leaves its lines as they are."""


class EventLog:
    """Where a process says its events: the spool, and the log when the spool cannot take more."""

    def __init__(
        self, source: str, spool: Spool, publisher: Publisher, drop: Callable[[str, str], object]
    ) -> None:
        self.source = source
        self._spool = spool
        self._publisher = publisher
        self.drop = drop

    def say(self, event: OrderMoved) -> None:
        """Keep an event for delivery; if that fails, the log holds all of it."""
        body = encode(event)
        try:
            self._spool.append(body)
        except SpoolFull:
            self._lost(body, SPOOL_FULL)
        except (sqlite3.Error, OSError) as error:
            self._lost(body, SPOOL_ERROR, error)
        else:
            self._publisher.notify()

    def keep(self, bodies: Sequence[bytes]) -> int:
        """Keep encoded events for delivery; how many of them, less than all where it is full.

        Raises ``OSError`` or ``sqlite3.Error`` where it cannot be written at all.
        """
        for count, body in enumerate(bodies):
            try:
                self._spool.append(body)
            except SpoolFull:
                return count
        self._publisher.notify()
        return len(bodies)

    def _lost(self, body: bytes, reason: str, error: Exception | None = None) -> None:
        why = f" ({error})" if error else ""
        events.error("order event not spooled, %s%s: %s", reason, why, body.decode())
        self.drop(ORDER_EVENTS, reason)

    def flush(self, timeout: float) -> bool:
        """Deliver what can be delivered in so many seconds; whether that was everything."""
        try:
            return self._publisher.flush(timeout)
        except (sqlite3.Error, OSError):
            return False

    def stop(self, timeout: float) -> bool:
        """Deliver what can be delivered in so many seconds; whether that was everything.

        The rest stays in the spool, and so does what is said later.
        """
        ended = self._publisher.stop(timeout)
        try:
            delivered = ended and len(self._spool) == 0
        except (sqlite3.Error, OSError):
            return False
        if ended:
            self._spool.close()
        return delivered

    def before_fork(self) -> None:
        self._spool.before_fork()

    def after_fork_in_parent(self) -> None:
        self._spool.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self._spool.after_fork_in_child()
        self._publisher.after_fork()


def opened(settings: Settings, drop: Callable[[str, str], object]) -> EventLog:
    """The event log of a process whose settings say where events go.

    A spool that cannot be opened is said: until it can, all of each event goes to the log.
    """
    folder = spool_folder(settings, os.environ)
    spool = Spool(folder, limit=settings.spool_limit, fsync=settings.fsync)
    try:
        len(spool)
    except (OSError, sqlite3.Error) as error:
        log.error(
            "the spool %s cannot be opened: %s; until it can, the log holds all of each "
            "order event",
            folder,
            error,
        )
    return EventLog(settings.service, spool, Publisher(spool, _destination(settings)), drop)


def _destination(settings: Settings) -> Destination:
    if settings.events is None or settings.events == NOWHERE:
        return Nowhere("there is no address that order events could go to")
    try:
        return destination(settings.events, settings.events_token)
    except OtelkitError as error:
        return Nowhere(str(error))
