"""The tables of a store, in the words of PostgreSQL and of SQLite."""

from __future__ import annotations

from typing import Final

VERSION: Final = 4
"""Of the tables, and of what :mod:`.packing` puts into them."""

TABLES: Final = """
CREATE TABLE words (num BIGINT PRIMARY KEY, word TEXT NOT NULL);
CREATE TABLE orders (num BIGINT PRIMARY KEY, state BYTEA NOT NULL);
CREATE TABLE names (hash BIGINT NOT NULL, num BIGINT NOT NULL, PRIMARY KEY (hash, num));
CREATE TABLE timeline (entry BIGINT PRIMARY KEY, previous BIGINT NOT NULL, events BYTEA NOT NULL);
CREATE TABLE alarms (
    place BIGINT NOT NULL, instant DOUBLE PRECISION NOT NULL, num BIGINT NOT NULL,
    PRIMARY KEY (place, instant, num)
);
CREATE TABLE tallies (num BIGINT PRIMARY KEY, changes BYTEA NOT NULL);
CREATE TABLE numbers (name TEXT PRIMARY KEY, value DOUBLE PRECISION NOT NULL);
CREATE TABLE quarantine (
    num BIGINT PRIMARY KEY, source TEXT NOT NULL, received DOUBLE PRECISION NOT NULL,
    reason TEXT NOT NULL, body BYTEA NOT NULL
);
CREATE TABLE letters (
    num BIGINT PRIMARY KEY, queue TEXT NOT NULL, source_queue TEXT NOT NULL, reason TEXT NOT NULL,
    arrived DOUBLE PRECISION NOT NULL
);
CREATE TABLE acks (
    num BIGINT PRIMARY KEY, until DOUBLE PRECISION NOT NULL, reason TEXT NOT NULL,
    given DOUBLE PRECISION NOT NULL
);
CREATE INDEX letters_by_queue ON letters (queue, num);
CREATE TABLE policies (
    fingerprint TEXT PRIMARY KEY, process TEXT NOT NULL, terms TEXT NOT NULL,
    first DOUBLE PRECISION NOT NULL
);
CREATE TABLE applied (
    num BIGINT PRIMARY KEY, sla TEXT NOT NULL, fingerprint TEXT NOT NULL, instead TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL
);
CREATE TABLE percentiles (
    objective TEXT NOT NULL, tier TEXT NOT NULL, share DOUBLE PRECISION NOT NULL,
    since DOUBLE PRECISION NOT NULL, seconds DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (objective, tier, share, since)
);
"""
"""As PostgreSQL is told; see :func:`for_sqlite`."""

_NO_ROWID: Final = ("names", "alarms", "numbers", "percentiles")


def for_sqlite(tables: str) -> list[str]:
    """The statements in SQLite's words: numbers are row ids, other keys the table itself."""
    found = []
    for statement in tables.strip().removesuffix(";").split(";\n"):
        told = statement.strip().replace("num BIGINT PRIMARY KEY", "num INTEGER PRIMARY KEY")
        told = told.replace("entry BIGINT PRIMARY KEY", "entry INTEGER PRIMARY KEY")
        told = told.replace("DOUBLE PRECISION", "REAL").replace("BYTEA", "BLOB")
        if told.startswith(tuple(f"CREATE TABLE {name} " for name in _NO_ROWID)):
            told += " WITHOUT ROWID"
        found.append(told)
    return found
