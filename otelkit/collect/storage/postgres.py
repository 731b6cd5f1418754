"""A store's database in a PostgreSQL, 15 or newer, in a schema of its own there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import BytesBinaryDumper

from otelkit.collect.storage.database import Row
from otelkit.errors import ConfigError, StoreError

OLDEST: Final = 150_000
"""The server's version as it counts: 15."""
LEASES: Final = "otelkit_leases"
"""The schema in which collectors that share a database agree on who works where."""
_SCHEMA: Final = "otelkit"
_LOCK: Final = 0x6F746B6C
"""Of the advisory lock that a collector holds, in each database."""
_CONNECT_SECONDS: Final = 5
_FEW: Final = 4
"""Rows that are inserted by one statement: to copy takes three."""
_COMMITTED_ON_DISK: Final = "SET synchronous_commit = on"


class PostgresDatabase:
    """A :class:`~otelkit.collect.storage.database.Database` at a ``postgresql://`` address.

    A connection that is lost is made anew by what is asked next, but never amid a transaction.
    Making one raises :class:`StoreError` if the server cannot be reached or is too old, and if
    another collector works there, or shares the database in shards unless these may be
    ``beside`` it.
    """

    _schema = _SCHEMA
    _session = "otelkit collector"

    def __init__(self, url: str, *, beside: bool = False) -> None:
        self._url = url
        self._beside = beside
        self.where = where(url)
        self._amid = False
        self._columns: dict[str, Sequence[int]] = {}
        self._db = self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        db = connect(self._url, self._session)
        try:
            self._take(db)
            # Of the types that psycopg has for bytes, the one that it need not ask Python for.
            db.adapters.register_dumper(bytes, BytesBinaryDumper)
            db.execute(f"SET search_path = {self._schema}")
            db.execute(_COMMITTED_ON_DISK)  # an acknowledged event survives a loss of power
        except psycopg.Error as error:
            db.close()
            raise refused(self.where, error) from error
        except BaseException:
            db.close()
            raise
        return db

    def _take(self, db: psycopg.Connection[Row]) -> None:
        """See to it that nobody else works here."""
        taken = db.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if taken != (True,):
            raise StoreError(
                f"another collector works on {self.where}; "
                "stop it, or give this one a database of its own"
            )
        shared = db.execute("SELECT to_regnamespace(%s)", (LEASES,)).fetchone() != (None,)
        if shared and not self._beside:
            raise StoreError(
                f"collectors share {self.where} in shards; set shards as they do, "
                "or give this one a database of its own"
            )

    def _begun(self) -> None:
        """At the beginning of each transaction."""

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Row]]:
        if self._db.closed and not self._amid:
            self._db = self._connect()
        try:
            yield self._db
        except psycopg.Error as error:
            raise refused(self.where, error) from error

    def version(self) -> int:
        ((told,),) = self.rows(
            "SELECT obj_description(to_regnamespace(?), 'pg_namespace')", (self._schema,)
        )
        return 0 if told is None else int(told.removeprefix("version "))

    def define(self, tables: str, version: int) -> None:
        self.run(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        self.run(f"COMMENT ON SCHEMA {self._schema} IS 'version {version}'")
        self.run(tables)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN")
        self._amid = True
        try:
            self._begun()
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(StoreError):
                self.run("ROLLBACK")
            raise
        finally:
            self._amid = False

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        told, numbered = _told(statement)
        with self._connection() as db:
            found = db.execute(told, _named(values) if numbered else values or None, binary=True)
            return found.fetchall()

    def among(self, statement: str, keys: Iterable[int]) -> list[Row]:
        return self.rows(statement.replace("IN (?)", "= ANY(?)"), (list(keys),))

    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        with self._connection() as db:
            db.execute(_told(statement)[0], values or None)

    def each(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            with self._connection() as db, db.cursor() as cursor:
                cursor.executemany(_told(statement)[0], rows)

    def load(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        if 0 < len(rows) <= _FEW:
            columns = ", ".join("?" * len(rows[0]))
            self.run(
                f"INSERT INTO {table} VALUES {', '.join([f'({columns})'] * len(rows))}",  # noqa: S608
                [value for row in rows for value in row],
            )
        elif rows:
            with self._connection() as db, db.cursor() as cursor:
                types = self._types(cursor, table)
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(types)
                    for row in rows:
                        copy.write_row(row)

    def _types(self, cursor: psycopg.Cursor[Row], table: str) -> Sequence[int]:
        """Of a table's columns, as the server numbers types."""
        found = self._columns.get(table)
        if found is None:
            described = cursor.execute(f"SELECT * FROM {table} LIMIT 0").description  # noqa: S608
            assert described is not None  # noqa: S101 - as of any SELECT
            found = self._columns[table] = [column.type_code for column in described]
        return found

    def update(
        self, table: str, keys: Sequence[str], column: str, rows: Sequence[Sequence[object]]
    ) -> None:
        change = f"UPDATE {table} SET {column} = told.{column}"  # noqa: S608
        self._with(f"{change} FROM", table, (*keys, column), keys, rows)

    def delete(self, table: str, keys: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._with(f"DELETE FROM {table} USING", table, keys, keys, rows)  # noqa: S608

    def _with(
        self,
        change: str,
        table: str,
        columns: Sequence[str],
        keys: Sequence[str],
        rows: Sequence[Sequence[object]],
    ) -> None:
        """One statement for all rows, which it joins as a table called ``told``."""
        if rows:
            lists = ", ".join("?" * len(columns))
            told = f"unnest({lists}) AS told({', '.join(columns)})"
            same = " AND ".join(f"{table}.{key} = told.{key}" for key in keys)
            self.run(f"{change} {told} WHERE {same}", [list(c) for c in zip(*rows, strict=True)])

    def close(self) -> None:
        self._db.close()


def where(url: str) -> str:
    """A database as messages name it, without a password. Raises :class:`ConfigError`."""
    try:
        told = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError) as error:
        said = "it is no text" if isinstance(error, UnicodeError) else str(error).strip()
        # The address itself, which may hold a password, is cited where it cannot be taken apart.
        said = said.replace(url, "it").partition(":")[0]
        raise ConfigError(
            f"the address of the store cannot be used: {said}; "
            "write such as postgresql://user:password@host/database"
        ) from None
    host = f"{told.get('host', 'localhost')}:{told.get('port', 5432)}"
    return f"the store postgresql://{host}/{told.get('dbname', '')}"


def connect(url: str, session: str) -> psycopg.Connection[Row]:
    """A connection that its server knows by a name. Raises :class:`StoreError`."""
    try:
        db: psycopg.Connection[Row] = psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name=session
        )
    except psycopg.Error as error:
        raise refused(where(url), error) from error
    if db.info.server_version < OLDEST:
        db.close()
        raise StoreError(
            f"{where(url)} runs PostgreSQL {db.info.server_version // 10_000}; "
            f"give the collector one of version {OLDEST // 10_000} or newer"
        )
    return db


def refused(where: str, error: psycopg.Error) -> StoreError:
    """What the server says, in a sentence."""
    said = " ".join(str(error).split())
    return StoreError(f"{where} refuses: {said}; see to its server and its disk")


def _named(values: Sequence[object]) -> dict[str, object]:
    return {f"n{number}": value for number, value in enumerate(values, 1)}


@lru_cache
def _told(statement: str) -> tuple[bytes, bool]:
    """As psycopg is told, and whether values are named in it.

    Values are sent as the server holds them: as text they take five times the work, on both sides.
    """
    told, numbered = re.subn(r"\?(\d)", r"%(n\1)b", statement)
    return told.replace("?", "%b").encode(), bool(numbered)
