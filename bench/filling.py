"""A store with many open orders, made by the store's own bulk path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bench.orders import NOW, SLA, Orders
from otelkit import spec
from otelkit.collect.clock import Policy, mark_of, replay
from otelkit.collect.decode import Event
from otelkit.collect.engine import Engine
from otelkit.collect.policies import terms
from otelkit.collect.standing import settle, standing
from otelkit.collect.store import Change, Store
from otelkit.collect.stores import open_store
from otelkit.collect.tallies import Tallies

CHUNK: Final = 20_000
"""Orders of one transaction."""


def fill(place: Path | str, orders: Orders) -> None:
    """Write the open orders as they stand at ``NOW``."""
    (policy,) = terms(spec.loads(SLA, "sla.yaml")).policies.values()
    stories = orders.filled()
    with closing(open_store(place)) as store:
        done = 0
        while changes := [_opened(policy, story) for story in islice(stories, CHUNK)]:
            _write(store, changes)
            done += len(changes)
            if sys.stderr.isatty():
                print(f"\r{done:,} of {orders.size:,} orders", end="", file=sys.stderr)
        with store.transaction():
            store.write_number("tick", NOW)


def _opened(policy: Policy, story: list[Event]) -> Change:
    state, _ = settle(replay(policy, story), NOW)
    return Change(None, None, replace(state, seen=b"".join(map(mark_of, story))), story)


def _write(store: Store, changes: list[Change]) -> None:
    tallies = Tallies()
    for change in changes:
        tallies.change(standing(change.new, NOW))
    with store.transaction():
        store.put(changes)
        store.add(tallies)


def engines(place: Path | str) -> Iterator[Engine]:
    """An engine over the store at ``place``, which is closed behind it."""
    with closing(open_store(place)) as store:
        yield Engine(spec.loads(SLA, "sla.yaml"), store)
