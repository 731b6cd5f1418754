"""How a store of an older otelkit becomes one of this, in one transaction at its first opening."""

from __future__ import annotations

import logging

from otelkit import names
from otelkit.collect.clocks.standing import POLICY
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.storage import schema
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.older import OLDER, Older
from otelkit.collect.storage.store import Store
from otelkit.errors import StoreError

log = logging.getLogger(__name__)


def prepare(db: Database) -> None:
    """Make the tables of an empty database, or bring older ones forward.

    Raises :class:`StoreError` for those of a newer otelkit, and touches nothing.
    """
    version = db.version()
    if version > schema.VERSION:
        raise StoreError(
            f"{db.where} was written by a newer otelkit (schema {version}, this one knows "
            f"{schema.VERSION}); install that version, or give this one another store"
        )
    if version == schema.VERSION:
        return
    with db.transaction():
        if version == 0:
            db.define(schema.TABLES, schema.VERSION)
        else:
            log.info("%s is brought from schema %s to %s", db.where, version, schema.VERSION)
            _bring_forward(db, OLDER[version])


def _bring_forward(db: Database, older: Older) -> None:
    """Write all orders anew, as this version packs them."""
    db.run("DROP INDEX letters_by_queue")
    for table in (*older.copied, *older.read):
        db.run(f"ALTER TABLE {table} RENAME TO old_{table}")
    db.define(schema.TABLES, schema.VERSION)
    for table in older.copied:
        db.run(f"INSERT INTO {table} SELECT * FROM old_{table}")  # noqa: S608
    store = Store(db)
    for orders in older.orders(db):
        store.put(orders)
    counted = older.tallies(db)
    store.add(counted)
    store.add(_policies(counted))
    store.keep_words()
    for table in (*older.copied, *older.read):
        db.run(f"DROP TABLE old_{table}")


def _policies(counted: Tallies) -> Tallies:
    """Of open orders, none of which has a policy yet, by what is counted of them."""
    found = Tallies()
    for (metric, process, *_), count in counted.items():
        if metric == names.ORDERS_OPEN.name:
            found.change([(POLICY, process, "")], count)
    return found
