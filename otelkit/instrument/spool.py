"""A spool on disk: order events that are said but not yet delivered.

One SQLite file serves all processes of a service on a host. An append returns once the event is
in the file, so it survives the process; with ``fsync`` it also survives a loss of power.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import AbstractContextManager
from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)"
_BUSY_SECONDS = 1.0
"""How long an append waits for another process's append; one takes some 30 microseconds."""


class SpoolFull(Exception):  # noqa: N818 - a state to handle, not an error of its own
    """The spool holds as many events as it may."""


class Spool:
    """Events in the order in which they were appended. Safe for threads, processes and forks.

    Opened when it is first used, and again if that has failed: every method raises ``OSError`` or
    ``sqlite3.Error`` while folder or file cannot be used.
    """

    def __init__(self, folder: Path, *, limit: int, fsync: bool) -> None:
        self.folder = folder
        self._path = folder / "orders.db"
        self._limit = limit
        self._fsync = fsync
        # Reentrant: a signal handler may say an event while its thread is saying another.
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def append(self, body: bytes) -> None:
        """Keep an event. Raises :class:`SpoolFull` where there is no room."""
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
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def unforked(self) -> AbstractContextManager[object]:
        """A block in which no fork happens: a child knows of every file that was opened in it."""
        return self._lock

    def before_fork(self) -> None:
        """Close the file: SQLite's locks do not cross a fork, but its belief in them does.

        A child would write to a log that the parent, when it closes, takes for its own and
        deletes.
        """
        self._lock.acquire()
        self.close()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()

    def _size(self, connection: sqlite3.Connection) -> int:
        # Events leave in the order in which they came, so the numbers have no gaps.
        row = connection.execute("SELECT max(seq) - min(seq) + 1 FROM events").fetchone()
        return int(row[0] or 0)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")
                connection.execute(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection
