"""Leases on shards, in a real PostgreSQL: who holds what, and what the others may not do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from otelkit.collect import settings
from otelkit.collect.settings import Settings
from otelkit.collect.shards.fleet import Fleet, Held
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.storage.lease import Lease, Terms, fair_share
from otelkit.collect.storage.leases import Leases
from otelkit.collect.storage.stores import open_shard, open_store
from otelkit.errors import ConfigError, StoreError
from shop.databases import PostgreSQL
from shop.waiting import until

SECONDS = 0.6
"""Of a lease here."""

Join = Callable[[str], Leases]


@pytest.fixture
def database(postgresql: PostgreSQL) -> str:
    return postgresql.database()


@pytest.fixture
def join(database: str) -> Iterator[Join]:
    """``join(name)`` makes the leases of one more collector on four shards."""
    with ExitStack() as stack:

        def joined(name: str) -> Leases:
            made = Leases(database, Terms(4, SECONDS), name, f"http://{name}:1")
            stack.callback(made.close)
            made.prepare()
            made.renew()
            return made

        yield joined


def nobody() -> None:
    raise AssertionError("the lease holds")


def test_shares_are_fair_and_cover_all_shards() -> None:
    for shards in range(1, 65):
        for collectors in range(1, 10):
            share = fair_share(shards, collectors)
            assert share * collectors >= shards
            assert (share - 1) * collectors < shards
    assert fair_share(16, 0) == 16


def test_a_shard_has_one_holder_until_its_lease_ends_or_is_given_back(join: Join) -> None:
    one, two = join("one"), join("two")
    assert (one.collectors(), two.collectors()) == (2, 2)
    first = one.take(3)
    assert first == [Lease(0, 1), Lease(1, 1), Lease(2, 1)]
    assert two.take(4) == [Lease(3, 1)]
    assert two.holders() == {0: "http://one:1", 1: "http://one:1", 2: "http://one:1",
                             3: "http://two:1"}  # fmt: skip
    one.release([first[0]])
    assert two.take(4) == [Lease(0, 2)], "the token rises with every holder"
    for _ in range(4):
        time.sleep(SECONDS / 3)
        assert two.renew() == {0, 3}
    assert two.holders() == {0: "http://two:1", 1: None, 2: None, 3: "http://two:1"}
    assert one.renew() == {1, 2}, "late, and still his: nobody has taken them"
    two.leave()
    assert one.collectors() == 1


def test_who_has_lost_the_lease_commits_nothing_whatever_he_was_doing(
    join: Join, database: str
) -> None:
    one, two = join("one"), join("two")
    (old,) = one.take(1)
    two.take(3)
    lost = threading.Event()
    with closing(open_shard(database, old, lost.set)) as before:
        with before.transaction():
            before.write_number("known", 1)
        asleep = before.transaction()
        asleep.__enter__()  # and now he sleeps, amid it and with rows in hand
        before.write_number("known", 2)
        (new,) = until(lambda: two.take(1), 5) or []
        with closing(open_shard(database, new, nobody)) as after, after.transaction():
            assert after.read_number("known") == 1
            after.write_number("known", 3)
        with pytest.raises(StoreError):
            before.write_number("known", 4)
        with pytest.raises(StoreError, match="refuses"):
            asleep.__exit__(None, None, None)
        assert not lost.is_set()
        with (
            pytest.raises(StoreError, match="another collector works on shard 00"),
            before.transaction(),
        ):
            raise AssertionError("nothing of it is begun")
        assert lost.is_set()
        assert before.read_number("known") == 3


def test_a_shard_that_cannot_be_given_back_at_once_is_worked_on_all_the_same(database: str) -> None:
    """The database restarts just when the store of a shard that was taken is to be opened."""
    failed: list[Lease] = []

    def make(lease: Lease, _lost: Callable[[], None]) -> Held:
        if not failed:
            failed.append(lease)
            with psycopg.connect(database) as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                    " WHERE application_name = 'otelkit leases'"
                )
            raise StoreError("the database restarts")
        shard: Any = SimpleNamespace(
            start=list, stop=lambda _: None, store=SimpleNamespace(close=list),
            stopping=threading.Event(),
        )  # fmt: skip
        return Held(lease, shard, app=cast("Any", None), metrics=cast("Any", None), until=0.0)

    terms = Terms(2, SECONDS)
    fleet = Fleet(
        terms, lambda: Leases(database, terms, "a", "http://a:1"), make, Sources(),
        threading.Event(),
    )  # fmt: skip
    fleet.start()
    try:
        assert until(lambda: all(fleet.held(shard) for shard in fleet.shards), 5)
    finally:
        fleet.stop()
    assert failed


def test_renewing_waits_for_no_work_in_hand(join: Join, database: str) -> None:
    one = join("one")
    (lease,) = one.take(1)
    with closing(open_shard(database, lease, nobody)) as store, store.transaction():
        store.write_number("known", 1)
        began = time.monotonic()
        assert one.renew() == {0}
        assert time.monotonic() - began < SECONDS


def test_another_number_of_shards_is_refused(join: Join, database: str) -> None:
    join("one")
    with (
        closing(Leases(database, Terms(8, SECONDS), "two", "http://two:1")) as other,
        pytest.raises(ConfigError, match=r"divided into 4 shards, and orders cannot move .* to 4,"),
    ):
        other.prepare()


def test_a_collector_without_shards_keeps_off_a_database_that_has_some(
    join: Join, database: str
) -> None:
    join("one")
    with pytest.raises(StoreError, match=r"collectors share .* in shards; set shards as they do"):
        open_store(database)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"STORE": "orders.db"}, "set store to the address of a PostgreSQL database"),
        ({"STORE": "postgresql://db/orders", "AMQP": ""}, "set amqp, or leave shards out"),
        ({"STORE": "postgresql://db/orders", "LISTEN": "0.0.0.0:9465", "TOKEN": "t"},
         "set advertise to its address, such as http://collector-1:9465"),
        ({"SHARDS": "65"}, "65 is out of range; write 1 to 64"),
        ({"LEASE": "500ms"}, "500ms"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_shared_are_refused(given: dict[str, str], told: str) -> None:
    every = {"SHARDS": "16", "AMQP": "amqp://rabbitmq", **given}
    with pytest.raises(ConfigError, match=told):
        settings.load(None, {f"OTELKIT_COLLECTOR_{key}": value for key, value in every.items()})


def test_others_find_a_collector_where_it_listens_unless_it_says_otherwise() -> None:
    assert Settings(listen=("::1", 9465)).url == "http://[::1]:9465"
    assert Settings(advertise="http://collector-1:9465").url == "http://collector-1:9465"
