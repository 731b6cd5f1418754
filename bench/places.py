"""Where the bench's stores lie: in files, or in a PostgreSQL of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import psycopg

from shop.databases import PostgreSQL

_OPTIONS: Final = ("shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=15min")


class Places(Protocol):
    """Makes places for stores, and weighs what lies there."""

    def make(self) -> Path | str: ...

    def weigh(self, place: Path | str) -> int:
        """Bytes on disk, beyond what an empty place takes."""


class Files:
    """In a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def make(self) -> Path:
        self._made += 1
        return self._folder / f"{self._made}.db"

    def weigh(self, place: Path | str) -> int:
        return Path(place).stat().st_size


class Databases:
    """In one server."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        self._empty = 0

    def make(self) -> str:
        place = self._server.database()
        self._empty = _size(place)
        return place

    def weigh(self, place: Path | str) -> int:
        return _size(str(place)) - self._empty


def _size(url: str) -> int:
    with psycopg.connect(url) as db:
        found = db.execute("SELECT pg_database_size(current_database())").fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def files(folder: Path) -> Iterator[Places]:
    """For stores in SQLite."""
    yield Files(folder)


@contextmanager
def databases(folder: Path) -> Iterator[Places]:
    """For stores in PostgreSQL."""
    with PostgreSQL(folder / "postgresql", _OPTIONS) as server:
        yield Databases(server)
