"""The line without a broker: queues in a SQLite file that the services of one machine share."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from contextlib import closing

import otelkit
from shop.line import DEAD_LETTERS, Handle, Message, Rejected

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY, queue TEXT NOT NULL, body TEXT NOT NULL, taken INTEGER DEFAULT 0
    )
"""
_TAKE = """
    UPDATE messages SET taken = 1
    WHERE id = (SELECT min(id) FROM messages WHERE queue = ? AND NOT taken)
    RETURNING id, body
"""
_POLL_SECONDS = 0.1

log = logging.getLogger(__name__)


class BeltLine:
    """Queues in the file ``path``. A message taken by a process that dies stays taken."""

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(self._open()) as belt:
            belt.execute("PRAGMA journal_mode = WAL")
            belt.execute(_SCHEMA)

    def send(self, queue: str, message: Message) -> None:
        with closing(self._open()) as belt:
            belt.execute(
                "INSERT INTO messages (queue, body) VALUES (?, ?)", (queue, json.dumps(message))
            )

    def serve(self, queue: str, handle: Handle) -> None:
        with closing(self._open()) as belt:
            while True:
                taken = belt.execute(_TAKE, (queue,)).fetchall()
                for id_, body in taken:
                    self._handle(belt, id_, json.loads(body), handle)
                if not taken:
                    time.sleep(_POLL_SECONDS)

    def _handle(self, belt: sqlite3.Connection, id_: int, message: Message, handle: Handle) -> None:
        # RabbitMQ's headers carry the order in hand; a file has none.
        with otelkit.order(message["id"], tier=message["tier"], partner=message["partner"]):
            try:
                handle(message)
            except Rejected as reason:
                log.error("rejected: %s", reason)
                belt.execute("UPDATE messages SET queue = ? WHERE id = ?", (DEAD_LETTERS, id_))
            else:
                belt.execute("DELETE FROM messages WHERE id = ?", (id_,))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)
