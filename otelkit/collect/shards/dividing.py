"""Moving a store that holds all orders into the shards of a PostgreSQL.

Each order keeps its number and goes to its shard with its clocks, names, timeline and
acknowledgement, and with what it counts in as it stands. Counters, and arrivals in dead-letter
queues, go to one shard, so that sums over all are what they were. All of it counts once it is
whole: until then no collector is let at the shards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from otelkit.collect.clocks.learned import DURATIONS
from otelkit.collect.clocks.standing import GAUGES, Gauges
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.shards.baseline import DIVIDED
from otelkit.collect.sources.exchange import order_id_of, shard_of
from otelkit.collect.storage.alarms import WATERMARK
from otelkit.collect.storage.leases import Leases
from otelkit.collect.storage.leaving import open_to_leave
from otelkit.collect.storage.ledger import QUARANTINE_KEEPS
from otelkit.collect.storage.store import Change, Store
from otelkit.collect.storage.stores import open_shard

_CHUNK: Final = 5000
"""Orders that are read at once."""
_FIRST: Final = 0
"""The shard of what belongs to no order."""

T = TypeVar("T")


@contextmanager
def dividing(place: Path | str, leases: Leases) -> Iterator[Division]:
    """A division that counts once the block has come to its end.

    Raises :class:`StoreError` while a collector works on either side.
    """
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_to_leave(place)))
        claimed = leases.claim()
        shards = {
            lease.shard: stack.enter_context(
                closing(open_shard(leases.database, lease, lambda: None))
            )
            for lease in claimed
        }
        yield Division(store, shards)
        leases.release(claimed)


class Division:
    """Of a store's orders among shards. Not for threads."""

    def __init__(self, store: Store, shards: Mapping[int, Store]) -> None:
        self._store = store
        self._shards = shards
        self._acks = {ack.number: ack for ack in store.acknowledged()}
        self._until = store.read_number(WATERMARK) or 0.0
        self._gauges = {shard: Gauges() for shard in shards}

    @property
    def last(self) -> int:
        """The number of the last order."""
        return self._store.last("orders", "num")

    def run(self, advance: Callable[[float], None]) -> Counter[int]:
        """Fill the shards; returns how many orders each has.

        ``advance`` is told how many numbers of orders are done besides.
        """
        counted: Counter[int] = Counter()
        done = 0
        while orders := self._store.following(done, _CHUNK):
            for shard, some in self._divided(orders.items(), lambda one: one[1].order_id):
                self._move(shard, dict(some))
                counted[shard] += len(some)
            before, done = done, max(orders)
            advance(done - before)
        self._finish()
        return counted

    def _divided(
        self, every: Iterable[T], order_id: Callable[[T], str]
    ) -> list[tuple[int, list[T]]]:
        found: defaultdict[int, list[T]] = defaultdict(list)
        for one in every:
            found[shard_of(order_id(one), len(self._shards))].append(one)
        return list(found.items())

    def _move(self, shard: int, orders: Mapping[int, State]) -> None:
        store = self._shards[shard]
        told = self._store.timelines(orders.values())
        for state in orders.values():
            self._gauges[shard].change(state, self._until, 1.0)
        with store.transaction():
            store.put(
                Change(number, None, replace(state, log=0), events, state.seen)
                for (number, state), events in zip(orders.items(), told, strict=True)
            )
            store.acknowledge((), [self._acks[n] for n in orders if n in self._acks])

    def _finish(self) -> None:
        """What is no order."""
        old, shards = self._store, self._shards
        tallies = {k: n for k, n in old.counts()[0].items() if k[0] not in GAUGES}
        # Each goes on learning from its share, as one that never knew the others does.
        learned = Tallies({k: n / len(shards) for k, n in tallies.items() if k[0] == DURATIONS})
        counters = Tallies({k: n for k, n in tallies.items() if k[0] != DURATIONS})
        rejected = reversed(old.quarantined(QUARANTINE_KEEPS))
        quarantine = dict(self._divided(rejected, lambda one: order_id_of(one.body) or ""))
        applied = old.last_applied()
        for shard, store in shards.items():
            with store.transaction():
                for name, value in {**old.numbers(), DIVIDED: 1.0}.items():
                    store.write_number(name, value)
                store.keep_policies(old.known_policies())
                store.keep_percentiles(old.percentiles())
                if applied is not None:
                    store.keep_applied(applied)
                store.add(self._gauges[shard].tallies(), self._gauges[shard].minutes)
                store.add(learned)
                store.quarantine(quarantine.get(shard, []))
                if shard == _FIRST:
                    store.add(counters)
                    store.arrived(old.letters())
