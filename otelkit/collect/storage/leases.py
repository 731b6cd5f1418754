"""Who works on which shard: leases in the one database that all collectors share.

All of it goes by the database's clock. A lease bears a *token* that rises with every holder, and
every transaction of a shard's store begins by looking at it: a collector that slept past its lease
can commit nothing afterwards, whatever it believes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from otelkit.collect.storage.lease import Lease, Terms, session_name
from otelkit.collect.storage.postgres import LEASES, connect, refused, where
from otelkit.errors import ConfigError, StoreError

_LOCK: Final = 0x6F746B6D
"""Of the advisory lock under which shards change their holders, one collector after the other."""
_PREPARE: Final = f"""
CREATE SCHEMA IF NOT EXISTS {LEASES};
CREATE TABLE IF NOT EXISTS {LEASES}.collectors (
    holder TEXT PRIMARY KEY, until TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS {LEASES}.shards (
    shard INTEGER PRIMARY KEY, token BIGINT NOT NULL DEFAULT 0,
    holder TEXT, url TEXT, until TIMESTAMPTZ
);
"""
_RENEW: Final = f"""
WITH me AS (
    INSERT INTO {LEASES}.collectors VALUES (%(holder)s, clock_timestamp() + %(lease)s)
    ON CONFLICT (holder) DO UPDATE SET until = excluded.until
), renewed AS (
    UPDATE {LEASES}.shards SET until = clock_timestamp() + %(lease)s
    WHERE holder = %(holder)s RETURNING shard
) SELECT shard FROM renewed
"""  # noqa: S608
_HOLDERS: Final = f"""
SELECT shard, CASE WHEN until > clock_timestamp() THEN url END FROM {LEASES}.shards
"""  # noqa: S608
_EXPIRED: Final = f"""
SELECT shard FROM {LEASES}.shards WHERE until IS NULL OR until < clock_timestamp()
ORDER BY shard LIMIT %s
"""  # noqa: S608
_END_SESSIONS: Final = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()
"""
_TAKE: Final = f"""
UPDATE {LEASES}.shards SET holder = %s, url = %s, token = token + 1,
    until = clock_timestamp() + %s
WHERE shard IN (
    SELECT shard FROM {LEASES}.shards
    WHERE shard = %s AND (until IS NULL OR until < clock_timestamp()) FOR UPDATE SKIP LOCKED
) RETURNING token
"""  # noqa: S608
_CLAIM: Final = f"""
UPDATE {LEASES}.shards SET holder = %s, url = NULL, token = token + 1, until = 'infinity'
RETURNING shard, token
"""  # noqa: S608
_IS_CLAIMED: Final = f"SELECT count(*) FROM {LEASES}.shards WHERE until = 'infinity'"  # noqa: S608
_IS_HELD: Final = f"SELECT count(*) FROM {LEASES}.shards WHERE until > clock_timestamp()"  # noqa: S608
_STORES: Final = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^otelkit_[0-9]{2}$'"
# Not FOR SHARE: renewing a lease must not wait for its holder's work, only a change of holder.
FENCE: Final = f"SELECT 1 FROM {LEASES}.shards WHERE shard = ? AND token = ? FOR KEY SHARE"  # noqa: S608
"""Finds a row while a token holds, and keeps it so until the transaction ends."""


class Leases:
    """Those of one collector, which others know as ``holder`` and reach at ``url``.

    Every method raises :class:`StoreError` if the database refuses. Not for threads.
    """

    def __init__(self, database: str, terms: Terms, holder: str, url: str) -> None:
        self.database = database
        self._terms = terms
        self._holder = holder
        self._url = url
        self._where = where(database)
        self._db: psycopg.Connection[tuple[object, ...]] | None = None

    def prepare(self) -> None:
        """Write the number of shards down, or raise :class:`ConfigError` where it is another."""
        with self._transaction() as db:
            self._prepare(db)
            if self._count(db, _IS_CLAIMED):
                raise StoreError(
                    f"a store is moved into {self._where}, or was for a part; wait for "
                    "otelkit divide to end, or run it again"
                )

    def _prepare(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        db.execute(_PREPARE)
        count = self._count(db, f"SELECT count(*) FROM {LEASES}.shards")  # noqa: S608
        if count == 0:
            db.execute(
                f"INSERT INTO {LEASES}.shards (shard) SELECT generate_series(0, %s)",
                (self._terms.shards - 1,),
            )
        elif count != self._terms.shards:
            raise ConfigError(
                f"{self._where} was divided into {count} shards, and orders cannot move "
                f"between them; set shards to {count}, or give it a database of its own"
            )

    def claim(self) -> list[Lease]:
        """All shards, with empty stores, until they are released: no lease ends, nor begins.

        Whoever claimed them before and was interrupted has left nothing of worth, which is deleted.
        Raises :class:`StoreError` while collectors work there, and where they ever did.
        """
        with self._transaction() as db:
            self._prepare(db)
            stores = [str(name) for (name,) in db.execute(_STORES).fetchall()]
            if self._count(db, _IS_CLAIMED):
                for name in stores:
                    db.execute(f"DROP SCHEMA {name} CASCADE")
            elif self.collectors() or self._count(db, _IS_HELD):
                raise StoreError(
                    f"collectors work on {self._where}; stop them, and wait until their leases end"
                )
            elif stores:
                raise StoreError(
                    f"{self._where} has shards with stores already; name a database without any"
                )
            claimed = db.execute(_CLAIM, (self._holder,)).fetchall()
        return sorted(
            (Lease(int(str(n)), int(str(t))) for n, t in claimed), key=lambda one: one.shard
        )

    @staticmethod
    def _count(db: psycopg.Connection[tuple[object, ...]], statement: str) -> int:
        ((count,),) = db.execute(statement.encode()).fetchall()
        return int(str(count))

    def renew(self) -> set[int]:
        """Say that we live; returns the shards that are still ours."""
        values = {"holder": self._holder, "lease": self._interval}
        with self._connection() as db:
            return {int(str(shard)) for (shard,) in db.execute(_RENEW, values).fetchall()}

    def holders(self) -> dict[int, str | None]:
        """The address of each shard's holder, None while nobody holds it."""
        with self._connection() as db:
            found = db.execute(_HOLDERS).fetchall()
        return {int(str(n)): None if url is None else str(url) for n, url in found}

    def collectors(self) -> int:
        """How many live, ourselves among them once we have renewed."""
        with self._connection() as db:
            ((count,),) = db.execute(
                f"SELECT count(*) FROM {LEASES}.collectors WHERE until > clock_timestamp()"  # noqa: S608
            ).fetchall()
        return int(str(count))

    def take(self, most: int) -> list[Lease]:
        """Shards that nobody holds now. The sessions of those who lost them are ended."""
        taken = []
        with self._transaction() as db:
            for (shard,) in db.execute(_EXPIRED, (most,)).fetchall():
                number = int(str(shard))
                # It may hold rows amid a transaction that it will never be allowed to commit.
                db.execute(_END_SESSIONS, (session_name(number),))
                told = (self._holder, self._url, self._interval, number)
                taken += [Lease(number, int(str(t))) for (t,) in db.execute(_TAKE, told)]
        return taken

    def release(self, leases: Collection[Lease]) -> None:
        """Let others have these, at once."""
        with self._connection() as db:
            for lease in leases:
                db.execute(
                    f"UPDATE {LEASES}.shards SET holder = NULL, url = NULL, until = NULL"  # noqa: S608
                    " WHERE shard = %s AND token = %s",
                    (lease.shard, lease.token),
                )

    def keep(self, shards: Collection[int]) -> None:
        """Let others have all of ours but these."""
        with self._connection() as db:
            db.execute(
                f"UPDATE {LEASES}.shards SET holder = NULL, url = NULL, until = NULL"  # noqa: S608
                " WHERE holder = %s AND shard <> ALL(%s)",
                (self._holder, list(shards)),
            )

    def leave(self) -> None:
        """Count no more among those who live."""
        with self._connection() as db:
            db.execute(
                f"DELETE FROM {LEASES}.collectors"  # noqa: S608
                " WHERE holder = %s OR until < clock_timestamp() - interval '1 day'",
                (self._holder,),
            )

    def close(self) -> None:
        """Let the database go."""
        if self._db is not None:
            self._db.close()

    @property
    def _interval(self) -> str:
        return f"{self._terms.seconds} seconds"

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        try:
            if self._db is None or self._db.closed:
                self._db = connect(self.database, "otelkit leases")
                # Whoever is paused amid a change of holders must not keep others from theirs.
                pause = max(int(self._terms.seconds * 1000 / 3), 1)
                self._db.execute(f"SET idle_in_transaction_session_timeout = {pause}")
            yield self._db
        except psycopg.Error as error:
            raise refused(self._where, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with self._connection() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield db
