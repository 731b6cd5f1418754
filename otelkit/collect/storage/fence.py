"""The database of a shard's store: nothing is committed there without the lease."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from otelkit.collect.storage.database import Row
from otelkit.collect.storage.lease import Lease, session_name, shard_name
from otelkit.collect.storage.leases import FENCE
from otelkit.collect.storage.postgres import PostgresDatabase
from otelkit.errors import StoreError


class ShardDatabase(PostgresDatabase):
    """A schema of its own for each shard. Who has lost the lease is told by ``lost``.

    A transaction then raises :class:`StoreError` before it has done anything.
    """

    def __init__(self, url: str, lease: Lease, lost: Callable[[], None]) -> None:
        self._lease = lease
        self._lost = lost
        self._schema = f"otelkit_{shard_name(lease.shard)}"
        self._session = session_name(lease.shard)
        super().__init__(url)

    def _take(self, db: psycopg.Connection[Row]) -> None:
        """The lease says who works here."""

    def _begun(self) -> None:
        if not self.rows(FENCE, (self._lease.shard, self._lease.token)):
            self._lost()
            name = shard_name(self._lease.shard)
            raise StoreError(f"another collector works on shard {name}; ask that one")
