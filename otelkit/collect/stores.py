"""Opening a store, wherever it lies."""

from __future__ import annotations

from pathlib import Path

from otelkit.collect.migrations import prepare
from otelkit.collect.sqlite import SqliteDatabase
from otelkit.collect.store import Store


def open_store(place: Path) -> Store:
    """The store at a path, made where there is none, brought forward where it is older.

    Raises :class:`~otelkit.errors.StoreError` where it cannot be used.
    """
    db = SqliteDatabase(place)
    try:
        prepare(db)
        return Store(db)
    except BaseException:
        db.close()
        raise
