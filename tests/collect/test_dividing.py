"""A store with all orders, moved into shards: what goes on there is what went on without them."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from collecting import depth, moved, of, otelkit, publish, scrape
from otelkit import names, spec
from otelkit.collect.clocks.learned import DURATIONS
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
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
from shop.prometheus import Prometheus
from shop.servers import HOST
from shop.services import SLA_FILE, Collector
from shop.waiting import until

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


# --- what Prometheus sees of it ------------------------------------------------------------


class Watched:
    """Collectors, the one before and those after, and a Prometheus that scrapes all of them."""

    def __init__(self, folder: Path, vhost: str, place: Path, database: str) -> None:
        common = {"amqp": vhost, "lateness": "1s"}
        shared = common | {"store": database, "shards": str(SHARDS), "lease": "2s"}
        self.before = Collector(folder / "before", common | {"store": str(place)})
        self.after = [Collector(folder / str(number), shared) for number in range(2)]
        self._targets = folder / "targets.json"
        self.scrape(self.before)
        self.prometheus = Prometheus(
            folder / "prometheus",
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            "  - job_name: otelkit\n"
            "    honor_labels: true\n"
            f"    file_sd_configs: [{{files: [{self._targets}], refresh_interval: 1s}}]\n",
        )

    def scrape(self, *collectors: Collector) -> None:
        """These from now on."""
        targets = [f"{HOST}:{one.port}" for one in collectors]
        made = self._targets.with_suffix(".new")
        made.write_text(json.dumps([{"targets": targets}]))
        made.replace(self._targets)

    def waits(self) -> bool:
        """Whether shards say that they do."""
        told = [httpx.get(f"{one.url}/readyz").text for one in self.after]
        return all("waits to be scraped before it counts" in text for text in told)

    def rises(self, metric: str, label: str) -> Counter[str]:
        """By how much all series of a counter rose from the first value that was seen of each."""
        found: Counter[str] = Counter()
        query = {"query": f"{metric}[10m]"}
        answer = httpx.get(f"{self.prometheus.url}/api/v1/query", params=query).raise_for_status()
        for series in answer.json()["data"]["result"]:
            values = [float(value) for _, value in series["values"]]
            assert values == sorted(values), "no counter falls"
            found[series["metric"][label]] += int(values[-1] - values[0])
        return +found


def test_counters_rise_by_all_that_happens_though_they_move_amid_it(
    vhost: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    place, database = tmp_path / "orders.db", postgresql.database()
    watched = Watched(tmp_path, vhost, place, database)
    events, clocks = names.ORDER_EVENTS.name, names.ORDER_CLOCKS.name
    told = 0

    def tell(orders: range, *statuses: str, ago: float = 0.0) -> None:
        nonlocal told
        at = time.time() - ago
        bodies = [moved(f"A-{n}", s, at + k / 10) for n in orders for k, s in enumerate(statuses)]
        publish(vhost, bodies)
        told += len(bodies)

    def is_seen(breached: int) -> bool:
        wanted = {"applied": told}
        return (
            watched.rises(events, "outcome") == wanted
            and watched.rises(clocks, "outcome").get("breached", 0) == breached
        )

    with ExitStack() as stack:
        for one in (watched.before, *watched.after):
            stack.callback(one.process.kill)
        stack.enter_context(watched.prometheus)
        watched.before.start()
        assert until(lambda: bool(_series(watched, events)), 15)
        tell(range(40), "submitted", "manufacturing", ago=60)
        assert until(lambda: is_seen(80), 20), "two clocks of each are late"
        watched.before.stop()
        tell(range(40, 80), "submitted", "manufacturing", ago=60)  # nobody reads it now
        ran = otelkit(["divide", str(place), database, "--shards", str(SHARDS)])
        assert (ran.returncode, ran.stdout) == (0, "40 orders in 3 shards\n")
        for one in watched.after:
            one.start()
        assert until(watched.waits, 15)
        assert depth(vhost, names.ORDERS_QUEUE) == 80, "nothing is read before the first scrape"
        watched.scrape(*watched.after)
        assert until(lambda: is_seen(160), 30), watched.rises(events, "outcome")
        tell(range(80), "packed", "shipped")
        assert until(lambda: is_seen(160), 20), watched.rises(events, "outcome")
        opened: Counter[tuple[str, ...]] = Counter()
        counted: Counter[tuple[str, ...]] = Counter()
        for one in watched.after:
            opened.update(of(scrape(one.url), names.ORDERS_OPEN.name, "stage"))
            counted.update(of(scrape(one.url), clocks, "outcome"))
            assert "Traceback" not in one.process.log.read_text()
        assert not +opened
        assert +counted == {("breached",): 160}, "what was counted before is among them"


def _series(watched: Watched, metric: str) -> list[object]:
    answer = httpx.get(f"{watched.prometheus.url}/api/v1/query", params={"query": metric})
    found: list[object] = answer.raise_for_status().json()["data"]["result"]
    return found
