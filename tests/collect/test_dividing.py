"""A store with all orders, moved into shards: what goes on there is what went on without them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from collecting import moved, otelkit
from otelkit import spec
from otelkit.collect.clocks.learned import DURATIONS
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine.batch import Received
from otelkit.collect.engine.engine import Engine
from otelkit.collect.shards.baseline import DIVIDED
from otelkit.collect.shards.dividing import dividing
from otelkit.collect.sources.exchange import order_id_of, shard_of
from otelkit.collect.storage.lease import Terms
from otelkit.collect.storage.leases import Leases
from otelkit.collect.storage.leaving import open_to_leave
from otelkit.collect.storage.ledger import Acknowledgement, DeadLetter
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import open_shard, open_store
from otelkit.errors import StoreError
from shop.databases import PostgreSQL
from shop.services import SLA_FILE

SHARDS = 3
START = 1_800_000_000.0
STATUSES = ("submitted", "priced", "manufacturing", "packed", "shipped", "cancelled")
TABLES = ("orders", "names", "timeline", "alarms", "tallies", "numbers", "quarantine", "letters",
          "acks", "policies", "percentiles", "words")  # fmt: skip


def history(luck: random.Random, orders: Sequence[str], after: float) -> list[bytes]:
    """Events of a minute, some late, some twice, some of them wrong."""
    told = [
        moved(
            luck.choice(orders),
            luck.choice(STATUSES),
            START + after + luck.uniform(0, 60),
            tier=luck.choice(["standard", None]),
            aliases={"mes": f"W-{luck.randrange(50)}"},
        )
        for _ in range(400)
    ]
    return [*told, *luck.sample(told, 20), b"{", moved("A-1", "lost", START + after)]


class Orders:
    """Engines over one store, or over each shard."""

    def __init__(self, stores: Mapping[int, Store]) -> None:
        sla = spec.load(SLA_FILE)
        self.engines = {shard: Engine(sla, store) for shard, store in stores.items()}
        self.stores = stores

    def go_on(self, bodies: Sequence[bytes], until: float) -> None:
        """With these events, and the time that passes behind them."""
        for shard, engine in self.engines.items():
            own = [b for b in bodies if shard_of(order_id_of(b) or "", len(self.stores)) == shard]
            engine.apply([Received("http", body, until) for body in own])
            engine.tick(until)
            engine.forget(timelines=until - 100, orders=until - 150)

    def all(self) -> dict[str, object]:
        """Everything that there is to know, wherever it stands."""
        tallies, orders, timelines = Tallies(), [], {}
        rejected: list[object] = []
        letters: list[object] = []
        acks: list[object] = []
        alarms: Counter[object] = Counter()
        for engine, store in zip(self.engines.values(), self.stores.values(), strict=True):
            tallies.merge(store.tallies())
            found = store.following(0, 10**9)
            for number, state in found.items():
                orders.append((number, replace(state, log=bool(state.log))))
                timelines[state.order_id] = store.timeline(state)
            rejected += store.quarantined(10_000)
            letters += store.letters()
            acks += store.acknowledged()
            words = store._words.texts
            alarms.update(
                (words[place], instant, found[number].order_id)
                for place, instant, number in store._db.rows("SELECT * FROM alarms")
            )
            for alias in (f"W-{number}" for number in range(50)):
                for _, state in store.find_alias(alias):
                    alarms[alias, state.order_id] += 1
            engine.reconcile()
            engine.reconcile()
            assert engine.drift == 0
        learned = {key: n for key, n in tallies.items() if key[0] == DURATIONS}
        by_id = {state.order_id: state for _, state in orders}
        return {
            "tallies": {key: n for key, n in tallies.items() if key[0] != DURATIONS},
            "learned": {key: pytest.approx(n) for key, n in learned.items()},
            "orders": by_id, "timelines": timelines, "alarms": alarms, "acks": len(acks),
            "rejected": sorted(rejected, key=repr), "letters": letters,
        }  # fmt: skip


def rows(store: Store) -> dict[str, list[object]]:
    return {
        table: sorted(store._db.rows(f"SELECT * FROM {table}"), key=repr)  # noqa: S608
        for table in TABLES
    }


@contextmanager
def shards_of(database: str) -> Iterator[Orders]:
    """As a collector opens them that has all."""
    with ExitStack() as stack:
        leases = stack.enter_context(
            closing(Leases(database, Terms(SHARDS, 60), "one", "http://x"))
        )
        leases.prepare()
        taken = leases.take(SHARDS)
        stack.callback(leases.release, taken)
        stores = {
            lease.shard: stack.enter_context(closing(open_shard(database, lease, lambda: None)))
            for lease in taken
        }
        assert len(stores) == SHARDS
        assert {store.read_number(DIVIDED) for store in stores.values()} == {1.0}
        yield Orders(stores)


@pytest.mark.parametrize("kind", ["from a file", "within a database"])
def test_orders_go_on_in_shards_as_they_would_have_without(
    kind: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    database = postgresql.database()
    place: Path | str = tmp_path / "orders.db" if kind == "from a file" else database
    luck = random.Random(kind)
    made = [f"A-{number}" for number in range(150)]
    with closing(open_store(place)) as store:
        before = Orders({0: store})
        for minute in range(3):
            before.go_on(history(luck, made, 60 * minute), START + 60 * minute + 60)
        some = list(store.following(0, 10**9))[::9]
        with store.transaction():
            store.acknowledge((), [Acknowledgement(n, 2 * START, "known", START) for n in some])
        letters = [DeadLetter("dlq", "work", "rejected", START + n) for n in range(5)]
        before.engines[0].letters(letters, {"dlq-depth:dlq": 5.0})
        was = rows(store)
    ran = otelkit(["divide", str(place), database, "--shards", str(SHARDS), "--json"])
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["orders"], sum(told["shards"])) == (len(was["orders"]),) * 2
    assert min(told["shards"]) > 0
    with closing(open_to_leave(place)) as old, shards_of(database) as shards:
        assert rows(old) == was, "the old store stays as it is"
        alone = Orders({0: old})
        assert shards.all() == alone.all()
        for minute in range(3, 5):
            more = history(luck, [*made, *(f"B-{n}" for n in range(50))], 60 * minute)
            for orders in (alone, shards):
                orders.go_on(more, START + 60 * minute + 60)
        assert shards.all() == alone.all()


def cut_off(place: Path, leases: Leases) -> None:
    """A move that ends just before its end."""
    with suppress(KeyboardInterrupt), dividing(place, leases) as division:
        division.run(lambda _: None)
        raise KeyboardInterrupt


def test_a_store_is_moved_as_a_whole_and_while_nobody_works_on_either_side(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    database, place = postgresql.database(), tmp_path / "orders.db"
    refused = partial(otelkit, ["divide", str(place), database, "--shards", str(SHARDS)])
    assert "there is no store" in refused().stderr
    with closing(open_store(place)) as store:
        Orders({0: store}).go_on([moved("A-1", "submitted", START)], START)
        assert "another collector works on" in refused().stderr
    with closing(Leases(database, Terms(SHARDS, 60), "otelkit divide", "")) as leases:
        cut_off(place, leases)
    with pytest.raises(StoreError, match="wait for otelkit divide to end, or run it again"):
        shards_of(database).__enter__()
    ran = refused()
    assert (ran.returncode, ran.stdout) == (0, "1 order in 3 shards\n"), "it begins anew"
    with shards_of(database):
        assert "collectors work on" in refused().stderr
    assert "has shards with stores already; name a database without" in refused().stderr
