"""SQLite's log is moved into the file beside the work, and never grows without bound."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from otelkit.collect.storage.connection import Connection
from otelkit.errors import StoreError

log = logging.getLogger(__name__)

EVERY_BYTES: Final = 32 * 2**20
"""A log of this size is moved. Pages that many batches touch are so written once, not each time."""
MOST_BYTES: Final = 8 * EVERY_BYTES
"""At this size the work waits until the log is moved and begins anew."""


class Checkpoints:
    """A thread with a connection of its own to the file at ``path``, until it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._wanted = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def committed(self, db: Connection) -> None:
        """To be called after each commit on ``db``."""
        try:
            size = self._log.stat().st_size
        except OSError:
            return
        if size > MOST_BYTES:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        elif size > EVERY_BYTES:
            self._wanted.set()

    def close(self) -> None:
        """Returns once the thread has ended."""
        self._closing = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        db = Connection(self._path, isolation_level=None, check_same_thread=False)
        try:
            while self._wanted.wait() and not self._closing:
                self._wanted.clear()
                try:
                    db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except StoreError as error:  # the next commit meets it too, and says so
                    log.warning("%s", error)
        finally:
            db.close()
