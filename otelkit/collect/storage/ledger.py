"""What the collector keeps beside orders: numbers, and what is no order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otelkit.collect.clocks.learned import Percentile
from otelkit.collect.clocks.policies import Known
from otelkit.collect.storage.database import Database

QUARANTINE_KEEPS: Final = 10_000
APPLIED_KEEPS: Final = 100
LETTERS_KEEP: Final = 100_000
"""Arrivals remembered, of all dead-letter queues together."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that are no order event, kept to be looked at."""

    source: str
    received: float
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One arrival in a dead-letter queue; the message itself stays where it is."""

    queue: str
    source_queue: str
    reason: str
    arrived: float


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody knows that the order of this number is late. Instants are Unix seconds."""

    number: int
    until: float
    reason: str
    given: float


@dataclass(frozen=True, slots=True)
class Applied:
    """An SLA file that was applied: its text and fingerprint.

    ``instead`` is the fingerprint of the one that the collector was started with, empty once it was
    started with another.
    """

    sla: str
    fingerprint: str
    instead: str
    at: float


class Ledger:
    """Over a database. Not for threads.

    Every method raises :class:`~otelkit.errors.StoreError` if the database refuses.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    # --- numbers ---------------------------------------------------------------------------

    def read_number(self, name: str) -> float | None:
        """A number of the collector's own, such as the last tick."""
        rows = self._db.rows("SELECT value FROM numbers WHERE name = ?", (name,))
        return float(rows[0][0]) if rows else None

    def write_number(self, name: str, value: float) -> None:
        """Remember one."""
        self._db.run(
            "INSERT INTO numbers VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def numbers(self) -> dict[str, float]:
        """All of them."""
        return {name: float(n) for name, n in self._db.rows("SELECT name, value FROM numbers")}

    # --- policies --------------------------------------------------------------------------

    def known_policies(self) -> list[Known]:
        """Every policy that ever was in force, the first first."""
        rows = self._db.rows("SELECT fingerprint, process, terms, first FROM policies")
        return sorted((Known(*row) for row in rows), key=lambda known: known.first)

    def keep_policies(self, policies: Iterable[Known]) -> None:
        """Remember policies; those that are known stay as they are."""
        self._db.each(
            "INSERT INTO policies VALUES (?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
            [(known.fingerprint, known.process, known.terms, known.first) for known in policies],
        )

    def last_applied(self) -> Applied | None:
        """The SLA file that was applied last."""
        rows = self._db.rows(
            "SELECT sla, fingerprint, instead, at FROM applied ORDER BY num DESC LIMIT 1"
        )
        return Applied(*rows[0]) if rows else None

    def keep_applied(self, applied: Applied) -> None:
        """Remember one; the oldest give way."""
        row = (applied.sla, applied.fingerprint, applied.instead, applied.at)
        self._keep("applied", [row], APPLIED_KEEPS)

    def percentiles(self) -> list[Percentile]:
        """All that were learned."""
        rows = self._db.rows("SELECT objective, tier, share, since, seconds FROM percentiles")
        return [Percentile(*row) for row in rows]

    def keep_percentiles(self, learned: Sequence[Percentile]) -> None:
        """Remember some more."""
        self._db.load("percentiles", learned)

    # --- acknowledgements ------------------------------------------------------------------

    def acknowledged(self) -> list[Acknowledgement]:
        """All of them, also those that have run out."""
        rows = self._db.rows("SELECT num, until, reason, given FROM acks")
        return [Acknowledgement(*row) for row in rows]

    def acknowledge(self, gone: Iterable[int], fresh: Iterable[Acknowledgement]) -> None:
        """Forget the acknowledgements of some orders, and keep those of others."""
        self._db.each("DELETE FROM acks WHERE num = ?", [(number,) for number in gone])
        self._db.load("acks", [(a.number, a.until, a.reason, a.given) for a in fresh])

    # --- what is no order ------------------------------------------------------------------

    def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keep what is no event; the oldest give way."""
        self._keep(
            "quarantine", [(r.source, r.received, r.reason, r.body) for r in rejected],
            QUARANTINE_KEEPS,
        )  # fmt: skip

    def quarantined(self, limit: int) -> list[Rejected]:
        """The latest first."""
        rows = self._db.rows(
            "SELECT source, received, reason, body FROM quarantine ORDER BY num DESC LIMIT ?",
            (limit,),
        )
        return [Rejected(*row) for row in rows]

    def forget_rejected(self, name: str) -> None:
        """Delete what was rejected and holds this name, as it is or as JSON may write it."""
        escaped = json.dumps(name)[1:-1]
        capital = re.sub(r"(?<=\\u)....", lambda digits: digits[0].upper(), escaped)
        written = {name, escaped, capital}
        written |= {text.replace("/", "\\/") for text in written}
        every = b"|".join(re.escape(text.encode()) for text in written)
        # Not within another name: A-1 is not A-10.
        holds = re.compile(b"(?<![0-9A-Za-z])(?:" + every + b")(?![0-9A-Za-z])")
        found = self._db.rows("SELECT num, body FROM quarantine")
        self._db.each(
            "DELETE FROM quarantine WHERE num = ?",
            [(num,) for num, body in found if holds.search(body)],
        )

    def arrived(self, letters: Iterable[DeadLetter]) -> None:
        """Remember arrivals in dead-letter queues; the oldest give way."""
        rows = [(a.queue, a.source_queue, a.reason, a.arrived) for a in letters]
        self._keep("letters", rows, LETTERS_KEEP)

    def letters(self) -> list[DeadLetter]:
        """The arrivals that are remembered, the first first."""
        rows = self._db.rows(
            "SELECT queue, source_queue, reason, arrived FROM letters ORDER BY num"
        )
        return [DeadLetter(*row) for row in rows]

    def _keep(self, table: str, rows: Sequence[tuple[object, ...]], most: int) -> None:
        if not rows:
            return
        last = self.last(table, "num")
        self._db.load(table, [(last + n, *row) for n, row in enumerate(rows, 1)])
        self._db.run(f"DELETE FROM {table} WHERE num <= ?", (last + len(rows) - most,))  # noqa: S608

    def nth_latest_arrival(self, queue: str, n: int) -> float | None:
        """When the ``n``-th latest message arrived, counted from 1.

        The earliest that is remembered where there are fewer; None where there is none.
        """
        rows = self._db.rows(
            "SELECT arrived FROM"
            " (SELECT num, arrived FROM letters WHERE queue = ? ORDER BY num DESC LIMIT ?) AS last"
            " ORDER BY num LIMIT 1",
            (queue, n),
        )
        return float(rows[0][0]) if rows else None

    def last(self, table: str, key: str) -> int:
        """The highest key of a table; 0 for none."""
        ((last,),) = self._db.rows(f"SELECT coalesce(max({key}), 0) FROM {table}")  # noqa: S608
        return int(last)
