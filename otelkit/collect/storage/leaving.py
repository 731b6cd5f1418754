"""A store that is read to be left: nobody else works on it, and nothing of it is changed."""

from __future__ import annotations

from pathlib import Path

from otelkit.collect.storage import schema
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import database, opened
from otelkit.errors import StoreError


def open_to_leave(place: Path | str) -> Store:
    """The store in a file or at a ``postgresql://`` address, also where there are shards beside it.

    Raises :class:`StoreError` where there is none, where a collector works on it, and where it is
    another otelkit's.
    """
    if isinstance(place, Path) and not place.exists():
        raise StoreError(f"there is no store {place}; name the file that the collector worked on")
    return opened(database(place, beside=True), _check)


def _check(db: Database) -> None:
    version = db.version()
    if version == 0:
        raise StoreError(f"{db.where} holds no orders; name what the collector worked on")
    if version != schema.VERSION:
        raise StoreError(
            f"{db.where} has schema {version}, and this otelkit {schema.VERSION}; "
            "let a collector of this otelkit start on it and stop, then run this again"
        )
