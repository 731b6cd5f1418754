"""How a store of an older otelkit becomes one of this, in one transaction at its first opening."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from otelkit import names
from otelkit.collect import schema
from otelkit.collect.clock import REMEMBERED, State, mark_of
from otelkit.collect.database import Database
from otelkit.collect.decode import Event
from otelkit.collect.standing import POLICY
from otelkit.collect.store import Change, Store
from otelkit.collect.tallies import Tallies
from otelkit.errors import StoreError

log = logging.getLogger(__name__)

_CHUNK: Final = 1000


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
            _FORWARD[version](db)


def _from_1(db: Database) -> None:
    """Words in full, names as text, and a row for each event became what is packed and hashed."""
    tables = ("orders", "timeline", "tallies", "numbers", "quarantine", "letters")
    db.run("DROP INDEX letters_by_queue")
    for table in (*tables, "alarms", "aliases"):
        db.run(f"ALTER TABLE {table} RENAME TO old_{table}")
    db.define(schema.TABLES, schema.VERSION)
    for table in ("numbers", "quarantine", "letters"):
        db.run(f"INSERT INTO {table} SELECT * FROM old_{table}")  # noqa: S608
    store = Store(db)
    for orders in _orders_of_1(db):
        store.put(orders)
    store.add({tuple(json.loads(k)): n for k, n in db.rows("SELECT key, value FROM old_tallies")})
    _count_policies(store)
    store.keep_words()
    for table in (*tables, "alarms", "aliases"):
        db.run(f"DROP TABLE old_{table}")


def _orders_of_1(db: Database) -> Iterator[list[Change]]:
    decode = msgspec.msgpack.Decoder(State).decode
    last = 0
    while rows := db.rows(
        f"SELECT num, state FROM old_orders WHERE num > ? ORDER BY num LIMIT {_CHUNK}",  # noqa: S608
        (last,),
    ):
        yield [_order_of_1(db, decode(packed)) for _, packed in rows]
        last = rows[-1][0]


def _order_of_1(db: Database, state: State) -> Change:
    decode = msgspec.msgpack.Decoder(Event).decode
    events: list[Event] = []
    entry = state.log
    while entry:
        ((entry, packed),) = db.rows(
            "SELECT previous, event FROM old_timeline WHERE entry = ?", (entry,)
        )
        events.insert(0, decode(packed))
    seen = tuple(mark_of(event) for event in events)[-REMEMBERED:]
    return Change(None, None, replace(state, seen=seen, log=0), events)


def _from_2(db: Database) -> None:
    """Orders bear the fingerprint of their policy; those of before are known to have none."""
    db.define(schema.SINCE_3, schema.VERSION)
    _count_policies(Store(db))


def _count_policies(store: Store) -> None:
    """Of open orders, none of which has a policy yet, by what is counted of them."""
    counted = Tallies()
    for (metric, process, *_), count in store.tallies().items():
        if metric == names.ORDERS_OPEN.name:
            counted.change([(POLICY, process, "")], count)
    store.add(counted)


_FORWARD: Final[Mapping[int, Callable[[Database], None]]] = {1: _from_1, 2: _from_2}
"""By the version that they start from, each to the present one."""
