"""A store's database in one SQLite file: write-ahead log, on disk before a commit returns."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from otelkit.collect.storage import schema
from otelkit.collect.storage.checkpoints import Checkpoints
from otelkit.collect.storage.connection import Connection
from otelkit.collect.storage.database import Row
from otelkit.errors import StoreError

APPLICATION_ID: Final = 0x6F746B6C
"""What SQLite keeps in the file's header to tell whose it is: ``otkl``."""
PAGE_BYTES: Final = 2048
"""A batch touches pages here and there, and writes whole ones."""
CACHE_KIB: Final = 192 * 1024
"""Taken as a store is worked on. With a million open orders, half the reads of 64 MiB."""


class SqliteDatabase:
    """A :class:`~otelkit.collect.storage.database.Database` at ``path``, made where it is missing.

    Making one raises :class:`StoreError` also if it is another collector's or no store at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = f"the store {path}"
        self._lock = _take(path)
        try:
            self._db = self._open(path)
        except BaseException:
            self._lock.close()
            raise
        self._checkpoints = Checkpoints(path)

    def _open(self, path: Path) -> Connection:
        db = Connection(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: Connection) -> None:
        (made,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if made and application != APPLICATION_ID:
            raise StoreError(
                f"{self._path} is a database of another program; give the collector its own file"
            )
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoints
        db.execute("PRAGMA journal_size_limit = 0")  # a log that begins anew is a short one
        db.execute("PRAGMA secure_delete = FAST")  # what is erased is gone from the file, too
        db.execute("PRAGMA synchronous = FULL")  # an acknowledged event survives a loss of power

    def version(self) -> int:
        ((version,),) = self.rows("PRAGMA user_version")
        return int(version)

    def define(self, tables: str, version: int) -> None:
        for statement in schema.for_sqlite(tables):
            self.run(statement)
        self.run(f"PRAGMA application_id = {APPLICATION_ID}")
        self.run(f"PRAGMA user_version = {version}")

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
        self._checkpoints.committed(self._db)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._db.execute(statement, values).fetchall()

    def among(self, statement: str, keys: Iterable[int]) -> list[Row]:
        many = statement.replace("IN (?)", "IN (SELECT value FROM json_each(?))")
        return self.rows(many, (json.dumps(list(keys)),))

    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        self._db.execute(statement, values)

    def each(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._db.executemany(statement, rows)

    def load(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def update(
        self, table: str, keys: Sequence[str], column: str, rows: Sequence[Sequence[object]]
    ) -> None:
        # ?1 and so on are the keys, the value comes last.
        change = f"UPDATE {table} SET {column} = ?{len(keys) + 1}"  # noqa: S608
        self._db.executemany(f"{change} WHERE {_are(keys)}", rows)

    def delete(self, table: str, keys: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._db.executemany(f"DELETE FROM {table} WHERE {_are(keys)}", rows)  # noqa: S608

    def close(self) -> None:
        self._checkpoints.close()
        self._db.close()
        self._lock.close()


def _are(keys: Sequence[str]) -> str:
    return " AND ".join(f"{key} = ?{n}" for n, key in enumerate(keys, 1))


def _take(path: Path) -> IO[bytes]:
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder; name a file in it")
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
