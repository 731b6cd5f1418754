"""A store with many open orders, made by the store's own bulk path."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from bench.orders import NOW, SLA, Orders
from otelkit import spec
from otelkit.collect.clocks.clock import replay
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.policies import terms
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.standing import Gauges, settle
from otelkit.collect.clocks.state import mark_of
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.store import Change, Store
from otelkit.collect.storage.stores import open_store

CHUNK: Final = 500_000
"""Orders of one transaction: each touches most pages of the indexes, so few are better."""
_TOLD: Final = 20_000


def fill(place: Path | str, orders: Orders) -> None:
    """Write the open orders as they stand at ``NOW``."""
    (policy,) = terms(spec.loads(SLA, "sla.yaml")).policies.values()
    changes = _told((_opened(policy, story) for story in orders.filled()), orders.size)
    with closing(open_store(place)) as store:
        if isinstance(place, Path):
            store._db.run("PRAGMA synchronous = OFF")  # noqa: SLF001 - nothing is lost that matters
        for _ in range(0, orders.size, CHUNK):
            _write(store, islice(changes, CHUNK))
        with store.transaction():
            store.write_number("tick", NOW)


def _told(changes: Iterable[Change], size: int) -> Iterator[Change]:
    """Says on a terminal how far it is."""
    for done, change in enumerate(changes):
        if done % _TOLD == 0 and sys.stderr.isatty():
            print(f"\r{done:,} of {size:,} orders", end="", file=sys.stderr)
        yield change


def _opened(policy: Policy, story: list[Event]) -> Change:
    state, _ = settle(replay(policy, story), NOW)
    return Change(None, None, state, story, b"".join(map(mark_of, story)))


def _write(store: Store, changes: Iterable[Change]) -> None:
    gauges = Gauges()

    def counted() -> Iterator[Change]:
        for change in changes:
            gauges.change(change.new, NOW, 1.0)
            yield change

    with store.transaction():
        store.put(counted())
        store.add(gauges.tallies(), gauges.minutes)


def engines(place: Path | str) -> Iterator[Engine]:
    """An engine over the store at ``place``, which is closed behind it."""
    with closing(open_store(place)) as store:
        yield Engine(spec.loads(SLA, "sla.yaml"), store)
