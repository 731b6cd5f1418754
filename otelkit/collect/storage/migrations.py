"""How a store of an older otelkit becomes one of this, in one transaction at its first opening."""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from otelkit import names
from otelkit.collect.clocks.standing import ANYWHERE, AT_RISK, COMING, OVERDUE, POLICY, Gauges
from otelkit.collect.clocks.state import Run, State
from otelkit.collect.clocks.tallies import Minutes, Tallies
from otelkit.collect.storage import schema
from otelkit.collect.storage.alarms import BEGINNING, WATERMARK
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.older import OLDER, Older
from otelkit.collect.storage.store import Change, Store
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
            if version in OLDER:
                _rewrite(db, OLDER[version])
            else:
                _without_stages(db)


def _without_stages(db: Database) -> None:
    """From version 3, whose alarms all name a stage: what is not overdue does no more.

    Minutes were texts in its tallies.
    """
    db.define("", schema.VERSION)
    store = Store(db)
    counted = store.counts()
    db.run("DELETE FROM tallies")
    store = Store(db)
    store.add(*counted)
    now = store.read_number(WATERMARK) or 0.0
    _move_alarms(db, store, now)
    gauges, last = Gauges(), 0
    while orders := store.following(last, _CHUNK):
        for state in orders.values():
            gauges.change(state, now, 1.0)
        store.put(
            Change(number, _uncounted(state), state)
            for number, state in orders.items()
            if any(_is_counted_ahead(run, now) for run in state.runs)
        )
        last = max(orders)
    store.add({}, _coming(gauges))
    store.keep_words()


def _move_alarms(db: Database, store: Store, now: float) -> None:
    for kind, after in ((AT_RISK, BEGINNING[0]), (OVERDUE, now)):
        for objective, stage, tier in store.places(kind):
            before, instead = (kind, objective, stage, tier), (kind, objective, ANYWHERE, tier)
            db.run(
                "UPDATE alarms SET place = ? WHERE place = ? AND instant > ?",
                (store.word(instead), store.word(before), after),
            )


def _coming(gauges: Gauges) -> Minutes:
    """Deadlines to come, which no version before 4 has counted."""
    return Minutes({series: own for series, own in gauges.minutes.items() if series[0] == COMING})


def _is_counted_ahead(run: Run, now: float) -> bool:
    """Whether it was counted as overdue by a clock that was set back behind its deadline since."""
    is_counted = run.ended is None and run.counted == names.OUTCOME_BREACHED
    return is_counted and run.deadline is not None and run.deadline > now


def _uncounted(state: State) -> State:
    return replace(state, runs=tuple(replace(run, counted="") for run in state.runs))


def _rewrite(db: Database, older: Older) -> None:
    """Write all orders anew, as this version packs them."""
    db.run("DROP INDEX letters_by_queue")
    for table in (*older.copied, *older.read):
        db.run(f"ALTER TABLE {table} RENAME TO old_{table}")
    db.define(schema.TABLES, schema.VERSION)
    for table in older.copied:
        db.run(f"INSERT INTO {table} SELECT * FROM old_{table}")  # noqa: S608
    store = Store(db)
    gauges, now = Gauges(), store.read_number(WATERMARK) or 0.0
    for orders in older.orders(db):
        store.put(orders)
        for change in orders:
            gauges.change(change.new, now, 1.0)
    counted = older.tallies(db)
    store.add(counted)
    store.add(_policies(counted), _coming(gauges))
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
