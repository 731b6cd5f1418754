"""The store in one SQLite file: write-ahead log, every commit on disk before it returns.

An order is one compact row with its clocks inside; its timeline is an append-only log whose entries
point back; alarms are an index by instant. A batch so touches few pages, and a tick reads what is
due and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from otelkit.collect.clock import State
from otelkit.collect.connection import Connection
from otelkit.collect.decode import Event
from otelkit.collect.standing import AT_RISK, OVERDUE, alarms
from otelkit.collect.store import LAST_NUMBER, Alarm, DeadLetter, Place, Rejected
from otelkit.collect.tallies import Key, Tallies
from otelkit.errors import StoreError

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x6F746B6C
"""What SQLite keeps in the file's header to tell whose it is: ``otkl``."""
QUARANTINE_KEEPS: Final = 10_000
LETTERS_KEEP: Final = 100_000
"""Arrivals remembered, of all dead-letter queues together."""

_SCHEMA: Final = f"""
CREATE TABLE orders (
    num INTEGER PRIMARY KEY, process TEXT NOT NULL, order_id TEXT NOT NULL, state BLOB NOT NULL,
    UNIQUE (process, order_id)
);
CREATE TABLE aliases (
    alias TEXT NOT NULL, num INTEGER NOT NULL, PRIMARY KEY (alias, num)
) WITHOUT ROWID;
CREATE TABLE timeline (entry INTEGER PRIMARY KEY, previous INTEGER NOT NULL, event BLOB NOT NULL);
CREATE TABLE alarms (
    kind TEXT NOT NULL, objective TEXT NOT NULL, stage TEXT NOT NULL, tier TEXT NOT NULL,
    instant REAL NOT NULL, num INTEGER NOT NULL,
    PRIMARY KEY (kind, objective, stage, tier, instant, num)
) WITHOUT ROWID;
CREATE TABLE tallies (key TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE numbers (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
    num INTEGER PRIMARY KEY, source TEXT NOT NULL, received REAL NOT NULL, reason TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE letters (
    num INTEGER PRIMARY KEY, queue TEXT NOT NULL, source_queue TEXT NOT NULL, reason TEXT NOT NULL,
    arrived REAL NOT NULL
);
CREATE INDEX letters_by_queue ON letters (queue, num);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_state: Final = msgspec.msgpack.Decoder(State).decode
_decode_event: Final = msgspec.msgpack.Decoder(Event).decode


class SqliteStore:
    """A :class:`~otelkit.collect.store.Store` in the file at ``path``, made where it is missing.

    Every method raises :class:`StoreError` if the file refuses; making one also if it is another
    collector's, of a newer otelkit, or no store at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = self._take(path)
        try:
            self._db = self._open(path)
        except BaseException:
            self._lock.close()
            raise

    @staticmethod
    def _take(path: Path) -> Any:
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(path.name + ".lock").open("wb")
        except OSError as error:
            raise StoreError(
                f"cannot write beside {path}: {error.strerror or error}; choose another place"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StoreError(
                f"another collector works on {path}; stop it, or give this one a file of its own"
            ) from error
        return lock

    def _open(self, path: Path) -> sqlite3.Connection:
        db = Connection(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        (made,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if made and application != APPLICATION_ID:
            raise StoreError(
                f"{self._path} is a database of another program; give the collector its own file"
            )
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._path} was written by a newer otelkit (schema {version}, this "
                f"one knows {SCHEMA_VERSION}); install that version, or give this one another file"
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # an acknowledged event survives a loss of power
        if not made:
            for statement in ("BEGIN", *_SCHEMA.split(";\n"), "COMMIT"):
                db.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # --- orders ----------------------------------------------------------------------------

    def find(self, process: str, order_id: str) -> tuple[int, State] | None:
        row = self._db.execute(
            "SELECT num, state FROM orders WHERE process = ? AND order_id = ?", (process, order_id)
        ).fetchone()
        return None if row is None else (row[0], _decode_state(row[1]))

    def find_alias(self, alias: str) -> list[tuple[int, State]]:
        rows = self._db.execute("SELECT num FROM aliases WHERE alias = ?", (alias,)).fetchall()
        return [(num, self.get(num)) for (num,) in rows]

    def get(self, number: int) -> State:
        row = self._db.execute("SELECT state FROM orders WHERE num = ?", (number,)).fetchone()
        return _decode_state(row[0])

    def put(self, number: int | None, old: State | None, new: State) -> int:
        if number is None:
            cursor = self._db.execute(
                "INSERT INTO orders (process, order_id, state) VALUES (?, ?, ?)",
                (new.process, new.order_id, _encode(new)),
            )
            number = int(cursor.lastrowid or 0)
        else:
            self._db.execute("UPDATE orders SET state = ? WHERE num = ?", (_encode(new), number))
        self._put_alarms(number, set(alarms(old)), set(alarms(new)))
        for alias in new.aliases.values():
            if old is None or alias not in old.aliases.values():
                self._db.execute("INSERT OR IGNORE INTO aliases VALUES (?, ?)", (alias, number))
        return number

    def _put_alarms(self, number: int, old: set[Any], new: set[Any]) -> None:
        for alarm in old - new:
            self._db.execute(
                "DELETE FROM alarms WHERE kind = ? AND objective = ? AND stage = ? AND tier = ?"
                " AND instant = ? AND num = ?",
                (*alarm, number),
            )
        for alarm in new - old:
            self._db.execute("INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?)", (*alarm, number))

    def append(self, previous: int, event: Event) -> int:
        cursor = self._db.execute(
            "INSERT INTO timeline (previous, event) VALUES (?, ?)", (previous, _encode(event))
        )
        return int(cursor.lastrowid or 0)

    def timeline(self, last: int) -> list[Event]:
        found = []
        while last:
            last, event = self._db.execute(
                "SELECT previous, event FROM timeline WHERE entry = ?", (last,)
            ).fetchone()
            found.append(_decode_event(event))
        return found[::-1]

    # --- alarms ----------------------------------------------------------------------------

    def due(self, after: float, until: float, enough: int) -> tuple[float, list[int]]:
        found = self._between(after, until, enough + 1)
        if len(found) > enough:
            # All that share the last instant belong to it, however many they are.
            until = found[enough - 1][0]
            found = self._between(after, until, -1)
        return until, list(dict.fromkeys(number for _, number in found))

    def _between(self, after: float, until: float, limit: int) -> list[Alarm]:
        return sorted(
            alarm
            for kind in (AT_RISK, OVERDUE)
            for place in self.places(kind)
            for alarm in self.first_alarms(
                kind, place, after=(after, LAST_NUMBER), until=until, limit=limit
            )
        )

    def first_alarms(
        self, kind: str, place: Place, *, after: Alarm, until: float, limit: int
    ) -> list[Alarm]:
        return self._db.execute(
            "SELECT instant, num FROM alarms WHERE kind = ? AND objective = ? AND stage = ?"
            " AND tier = ? AND (instant, num) > (?, ?) AND instant <= ?"
            " ORDER BY instant, num LIMIT ?",
            (kind, *place, *after, until, limit),
        ).fetchall()

    def places(self, kind: str) -> list[Place]:
        found: list[Place] = []
        place = ("", "", "")
        while place is not None:
            # A skip scan: one seek for each place, however many alarms it has.
            place = self._db.execute(
                "SELECT objective, stage, tier FROM alarms WHERE kind = ?"
                " AND (objective, stage, tier) > (?, ?, ?) ORDER BY objective, stage, tier LIMIT 1",
                (kind, *place),
            ).fetchone()
            if place is not None:
                found.append(place)
        return found

    # --- tallies ---------------------------------------------------------------------------

    def tallies(self) -> Tallies:
        rows = self._db.execute("SELECT key, value FROM tallies")
        return Tallies({tuple(json.loads(key)): value for key, value in rows})

    def add(self, changes: Mapping[Key, float]) -> None:
        self._db.executemany(
            "INSERT INTO tallies VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = value + excluded.value",
            [(json.dumps(key), change) for key, change in changes.items()],
        )
        self._db.executemany(
            "DELETE FROM tallies WHERE key = ? AND value = 0",
            [(json.dumps(key),) for key, change in changes.items() if change < 0],
        )

    def read_number(self, name: str) -> float | None:
        row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return None if row is None else float(row[0])

    def write_number(self, name: str, value: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))

    # --- what is no order ------------------------------------------------------------------

    def quarantine(self, rejected: Sequence[Rejected]) -> None:
        self._db.executemany(
            "INSERT INTO quarantine (source, received, reason, body) VALUES (?, ?, ?, ?)",
            [(r.source, r.received, r.reason, r.body) for r in rejected],
        )
        self._db.execute(
            "DELETE FROM quarantine WHERE num <= (SELECT max(num) FROM quarantine) - ?",
            (QUARANTINE_KEEPS,),
        )

    def quarantined(self, limit: int) -> list[Rejected]:
        rows = self._db.execute(
            "SELECT source, received, reason, body FROM quarantine ORDER BY num DESC LIMIT ?",
            (limit,),
        )
        return [Rejected(*row) for row in rows]

    def arrived(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self._db.execute(
                "INSERT INTO letters (queue, source_queue, reason, arrived) VALUES (?, ?, ?, ?)",
                (letter.queue, letter.source_queue, letter.reason, letter.arrived),
            )
        self._db.execute(
            "DELETE FROM letters WHERE num <= (SELECT max(num) FROM letters) - ?", (LETTERS_KEEP,)
        )

    def nth_latest_arrival(self, queue: str, n: int) -> float | None:
        row = self._db.execute(
            "SELECT arrived FROM"
            " (SELECT num, arrived FROM letters WHERE queue = ? ORDER BY num DESC LIMIT ?)"
            " ORDER BY num LIMIT 1",
            (queue, n),
        ).fetchone()
        return None if row is None else float(row[0])

    def close(self) -> None:
        self._db.close()
        self._lock.close()
