"""What a :class:`~otelkit.collect.storage.store.Store` asks of the database that it lies in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Database(Protocol):
    """One connection. Statements are written with ``?``, or ``?1`` and so on in queries, in what
    SQLite and PostgreSQL share.

    Every method raises :class:`~otelkit.errors.StoreError` if the database refuses. Not for
    threads.
    """

    where: str
    """The database as messages name it, without a password."""

    def version(self) -> int:
        """Of the schema that it was made with; 0 for an empty one."""

    def define(self, tables: str, version: int) -> None:
        """Make tables, told as :mod:`.schema` does, and note the version; within a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at its end, durably; or nothing of it where it raises."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """What a query finds."""

    def among(self, statement: str, keys: Iterable[int]) -> list[Row]:
        """What a query finds whose ``IN (?)`` stands for all keys, however many."""

    def run(self, statement: str, values: Sequence[object] = ()) -> None:
        """Execute one statement."""

    def each(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement once for each row, in their order."""

    def load(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert many rows, the fastest way there is."""

    def update(
        self, table: str, keys: Sequence[str], column: str, rows: Sequence[Sequence[object]]
    ) -> None:
        """Set a column where the keys are these: rows of the keys and the value."""

    def delete(self, table: str, keys: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Delete where the keys are these."""

    def close(self) -> None: ...
