"""Connections to SQLite whose errors are the collector's own, mapped here and nowhere else."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from otelkit.errors import StoreError


class Connection(sqlite3.Connection):
    """To the file at ``path``. Every statement that fails raises :class:`StoreError`."""

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        try:
            super().__init__(path, **options)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*statement)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def executemany(self, *statement: Any) -> sqlite3.Cursor:
        try:
            return super().executemany(*statement)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StoreError:
        # Its base class is for files that are damaged or something else, a subclass for the rest.
        if type(error) is sqlite3.DatabaseError:
            advice = "restore it, or give the collector another file"
        else:
            advice = "see to its disk, and that no other program has it open"
        return StoreError(f"the store {self._path} refuses: {error}; {advice}")
