"""A copy of a store in SQLite, as it is at one moment, whoever writes to it meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from otelkit.collect.storage.connection import Connection
from otelkit.collect.storage.sqlite import APPLICATION_ID
from otelkit.errors import StoreError


def backup(store: Path, target: Path) -> int:
    """Copy the store to ``target``, in place of what is there; returns how many bytes it has.

    Raises :class:`StoreError` where there is no store, or the copy cannot be written.
    """
    if not store.exists():
        raise StoreError(f"there is no store {store}; name the file that the collector works on")
    _check(store, target)
    partial = target.with_name(target.name + ".partial")
    try:
        _copy(store, partial)
        partial.replace(target)
        return target.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write {target}: {error}; choose another place") from error
    finally:
        partial.unlink(missing_ok=True)


def _check(store: Path, target: Path) -> None:
    """Raises :class:`StoreError` where a copy would take the place of what somebody works on."""
    if target.is_dir():
        raise StoreError(f"{target} is a folder; name a file in it for the copy")
    if target.exists() and target.samefile(store):
        raise StoreError(f"{target} is the store itself; name another file for the copy")
    log = target.with_name(target.name + "-wal")
    if log.exists():  # SQLite would take what stands there for a part of the copy
        raise StoreError(
            f"{log} says that a program works on {target}, or was killed while it did; "
            "name another file for the copy"
        )


def _copy(store: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with closing(Connection(store)) as source:
        (application,) = source.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise StoreError(f"{store} is no store of a collector; name the file it works on")
        # In one step: a copy in several would begin anew with each commit of the collector.
        with closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
