"""A lease: the right of one collector to work on a shard, a fixed part of all orders."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a shard until somebody has a higher token."""

    shard: int
    token: int


@dataclass(frozen=True, slots=True)
class Terms:
    """Of all collectors that share a database: how many shards there are, numbered from 0, and for
    how many seconds a lease holds that is not renewed."""

    shards: int
    seconds: float


def fair_share(shards: int, collectors: int) -> int:
    """The most shards that one of so many collectors holds."""
    return ceil(shards / max(collectors, 1))


def shard_name(shard: int) -> str:
    """``07``: of its queue, its schema and its instance."""
    return f"{shard:02}"


def session_name(shard: int) -> str:
    """The ``application_name`` of a shard's session, by which one that lost its lease is ended."""
    return f"otelkit shard {shard_name(shard)}"
