"""A spool on disk: order events that are said but not yet delivered.

One SQLite file serves all processes of a service on a host. An append returns once the event is
in the file, so it survives the process; with ``fsync`` it also survives a loss of power.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)"
_BUSY_SECONDS = 1.0
"""How long an append waits for another process's append; one takes some 30 microseconds."""


class SpoolFull(Exception):  # noqa: N818 - a state to handle, not an error of its own
    """The spool holds as many events as it may."""


class Spool:
    """Events in the order in which they were appended. Safe for threads, processes and forks."""

    def __init__(self, folder: Path, *, limit: int, fsync: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "orders.db"
        self._limit = limit
        self._fsync = fsync
        self._lock = threading.Lock()
        self._pid = -1
        self._connection: sqlite3.Connection | None = None
        with self._lock:
            self._open()

    def append(self, body: bytes) -> None:
        """Keep an event. Raises :class:`SpoolFull`, or ``sqlite3.Error`` if the disk refuses."""
        with self._lock:
            connection = self._open()
            if self._size(connection) >= self._limit:
                raise SpoolFull
            connection.execute("INSERT INTO events (body) VALUES (?)", (body,))

    def head(self, count: int) -> list[tuple[int, bytes]]:
        """The oldest events, at most ``count``, with their numbers."""
        with self._lock:
            rows = self._open().execute(
                "SELECT seq, body FROM events ORDER BY seq LIMIT ?", (count,)
            )
            return [(seq, bytes(body)) for seq, body in rows]

    def remove(self, last: int) -> None:
        """Forget the events up to and including number ``last``."""
        with self._lock:
            self._open().execute("DELETE FROM events WHERE seq <= ?", (last,))

    def __len__(self) -> int:
        with self._lock:
            return self._size(self._open())

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def after_fork(self) -> None:
        """In a child: the parent's lock may be held by a thread that does not exist here."""
        self._lock = threading.Lock()

    def _size(self, connection: sqlite3.Connection) -> int:
        # Events leave in the order in which they came, so the numbers have no gaps.
        row = connection.execute("SELECT max(seq) - min(seq) + 1 FROM events").fetchone()
        return int(row[0] or 0)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            # A connection must not cross a fork; the parent's is left to the parent.
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")
            connection.execute(_SCHEMA)
            self._connection, self._pid = connection, os.getpid()
        return self._connection
