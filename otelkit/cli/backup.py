"""``otelkit backup``: a copy of a collector's store while the collector works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from otelkit.cli.output import note
from otelkit.errors import ConfigError, MissingExtraError

EXAMPLE: Final = "Example: otelkit backup otelkit-collector.db /backup/orders.db"


def backup(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The collector's SQLite file.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
) -> None:
    """Copy a store while its collector goes on working.

    The copy is the store as it was at one moment, and a collector can start from it. An older copy
    in FILE is replaced once the new one is whole. A store in PostgreSQL is copied by pg_dump
    --schema=otelkit.
    """
    if "://" in store:
        raise ConfigError(
            "only a store in a file is copied here; run pg_dump --schema=otelkit for PostgreSQL"
        )
    try:
        from otelkit.collect.storage import backup as collect
    except ImportError as error:
        raise MissingExtraError("the collector", "collector") from error
    size = collect.backup(Path(store), target)
    note(f"{target}: {size:,} bytes")
