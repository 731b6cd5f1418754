"""Opening a store, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from otelkit.collect.storage.database import Database
from otelkit.collect.storage.migrations import prepare
from otelkit.collect.storage.sqlite import SqliteDatabase
from otelkit.collect.storage.store import Store
from otelkit.errors import MissingExtraError

if TYPE_CHECKING:
    from otelkit.collect.storage.lease import Lease


def open_store(place: Path | str) -> Store:
    """The store in a file or at a ``postgresql://`` address, as this version of otelkit has it.

    It is made where there is none, and brought forward where it is older.
    Raises :class:`~otelkit.errors.StoreError` where it cannot be used, and
    :class:`~otelkit.errors.MissingExtraError` for an address without the driver.
    """
    return opened(database(place), prepare)


def open_shard(url: str, lease: Lease, lost: Callable[[], None]) -> Store:
    """The store of a shard; ``lost`` is called once it finds the lease to be another's.

    Raises :class:`~otelkit.errors.StoreError` where it cannot be used.
    """
    from otelkit.collect.storage.fence import ShardDatabase

    return opened(ShardDatabase(url, lease, lost), prepare)


def database(place: Path | str, *, beside: bool = False) -> Database:
    """What a store lies in; one in PostgreSQL may have shards ``beside`` it where that is said."""
    if isinstance(place, Path):
        return SqliteDatabase(place)
    try:
        from otelkit.collect.storage.postgres import PostgresDatabase
    except ImportError as error:
        raise MissingExtraError("a store in PostgreSQL", "postgres") from error
    return PostgresDatabase(place, beside=beside)


def opened(db: Database, check: Callable[[Database], None]) -> Store:
    """The store in a database that ``check`` raises nothing of; else that is closed."""
    try:
        check(db)
        return Store(db)
    except BaseException:
        db.close()
        raise
