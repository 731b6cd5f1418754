"""``otelkit divide``: a store without shards into those of a PostgreSQL."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from otelkit.cli.output import INTERRUPTED, Json, Stop, note, plural, print_json, progress
from otelkit.errors import ConfigError, MissingExtraError
from otelkit.events import SLOTS

EXAMPLE: Final = (
    "Example: otelkit divide otelkit-collector.db postgresql://otelkit@postgresql/otelkit "
    "--shards 16"
)


def divide(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A SQLite file, or a postgresql:// address.")
    ],
    database: Annotated[
        str, typer.Argument(metavar="DATABASE", help="Of the shards: a postgresql:// address.")
    ],
    shards: Annotated[int, typer.Option(metavar="N", min=1, max=SLOTS, help="How many, for good.")],
    as_json: Json = False,
) -> None:
    """Move the store of one collector into shards.

    Several collectors can share these. No collector may work on either meanwhile. All of it is
    moved, or nothing counts: after an interruption, run it again. STORE stays as it is, also where
    DATABASE is the same.
    """
    if not database.startswith(("postgresql://", "postgres://")):
        # It may hold a password, so it is not repeated.
        raise ConfigError("DATABASE is no address; write such as postgresql://user@host/name")
    try:
        moved = _moved(store, database, shards, quiet=as_json)
    except KeyboardInterrupt:
        note("stopped; collectors are kept from the shards until it is run again to its end")
        raise Stop(INTERRUPTED) from None
    if as_json:
        print_json({"orders": moved.total(), "shards": [moved[n] for n in range(shards)]})
    else:
        print(f"{plural(moved.total(), 'order')} in {plural(shards, 'shard')}")


def _moved(store: str, database: str, shards: int, *, quiet: bool) -> Counter[int]:
    try:
        from otelkit.collect.shards.dividing import dividing
        from otelkit.collect.storage.lease import Terms
    except ImportError as error:
        raise MissingExtraError("the collector", "collector") from error
    try:
        from otelkit.collect.storage.leases import Leases
    except ImportError as error:
        raise MissingExtraError("a store in PostgreSQL", "postgres") from error
    leases = Leases(database, Terms(shards, 15.0), "otelkit divide", "")
    place = store if "://" in store else Path(store)
    with (
        closing(leases),
        dividing(place, leases) as division,
        progress("moving orders", division.last, quiet=quiet) as advance,
    ):
        return division.run(advance)
