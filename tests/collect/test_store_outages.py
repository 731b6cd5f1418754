"""The store fails while events come in: nothing is lost, nothing counted twice, health says why."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx

from collecting import StartCollector, check_store, moved, of, otelkit, publish, scrape, source_up
from otelkit import names
from otelkit.collect.storage.stores import open_store
from shop.databases import PostgreSQL
from shop.services import Collector
from shop.waiting import until

ORDERS = 600
STEPS = ("submitted", "priced", "manufacturing")
NOW = time.time()


def events(first: int, last: int) -> Iterator[bytes]:
    """Three of each order, whose clock on manufacturing is long overdue."""
    for number in range(first, last):
        for after, status in enumerate(STEPS):
            yield moved(f"A-{number}", status, NOW - 3600 + after)


def taken(collector: Collector) -> float:
    """Events that were new; what a broker delivers anew may come late."""
    try:
        outcomes = of(scrape(collector.url), names.ORDER_EVENTS.name, "source", "outcome")
    except httpx.HTTPError:
        return -1  # no metrics without a store
    return outcomes["rabbitmq", "applied"] + outcomes["rabbitmq", "late"]


def why_down(collector: Collector) -> str:
    """What ``/readyz`` says of a store that refuses; empty while it does not."""
    told = httpx.get(f"{collector.url}/readyz", timeout=20).json()["sources"]
    whys = (str(source.get("why", "")) for source in told.values())
    return next((why for why in whys if " refuses: " in why), "")


def fails_amid_events(
    collector: Collector, url: str, fail: Callable[[], None], mend: Callable[[], None]
) -> str:
    """Half of the orders before a failure and half of them amid it; returns what health said."""
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)
    publish(url, events(0, ORDERS // 2))
    assert until(lambda: taken(collector) > 0, 20, interval=0.02)
    fail()
    publish(url, events(ORDERS // 2, ORDERS))
    said = until(lambda: why_down(collector), 30)
    assert said
    mend()
    assert until(lambda: not why_down(collector), 60)
    every = len(STEPS) * ORDERS
    assert until(lambda: taken(collector) >= every, 60, interval=0.2)
    assert until(lambda: source_up(collector.url, "rabbitmq"), 40)
    return said


def check_counts(collector: Collector) -> None:
    """Each event and each breach is counted once, and orders are what their events say."""
    breaches = 2 * ORDERS  # of the stage and of the whole

    def counted() -> Counter[tuple[str, ...]]:
        found = of(scrape(collector.url), names.ORDER_CLOCKS.name, "outcome")
        return +Counter(found)

    assert until(lambda: counted() == {("breached",): breaches}, 30), counted()
    assert taken(collector) == len(STEPS) * ORDERS
    opened = +Counter(of(scrape(collector.url), names.ORDERS_OPEN.name, "stage"))
    assert opened == {("manufacturing",): ORDERS}
    with httpx.Client(base_url=collector.url) as api:
        for number in (0, ORDERS // 2 - 1, ORDERS // 2, ORDERS - 1):
            (order,) = api.get(f"/orders/A-{number}").json()["orders"]
            assert [step["status"] for step in order["timeline"]] == list(STEPS)


def test_a_full_disk_loses_no_event_and_health_says_so(
    vhost: str, start_collector: StartCollector, tmp_path: Path
) -> None:
    place = tmp_path / "orders.db"
    collector = start_collector({"amqp": vhost, "batch": "100", "store": str(place)})
    pid = collector.process.pid
    assert pid is not None

    def limit(size: int) -> None:
        """Files of the collector cannot grow beyond, as if the disk were full."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    log = place.with_name("orders.db-wal")
    said = fails_amid_events(
        collector,
        vhost,
        fail=lambda: limit(log.stat().st_size + 50_000),
        mend=lambda: limit(resource.RLIM_INFINITY),
    )
    assert "orders.db refuses: " in said
    assert "see to its disk" in said
    check_counts(collector)
    collector.stop()
    check_store(place)


def test_a_database_that_is_killed_and_comes_back_loses_no_event_and_health_says_so(
    vhost: str, own_postgresql: PostgreSQL, start_collector: StartCollector
) -> None:
    place = own_postgresql.database()
    collector = start_collector({"amqp": vhost, "batch": "100", "store": place})
    said = fails_amid_events(collector, vhost, fail=own_postgresql.kill, mend=own_postgresql.start)
    assert f"the store postgresql://127.0.0.1:{own_postgresql.port}/" in said
    assert "shop:shop" not in said, "no password is told"
    check_counts(collector)
    collector.stop()
    check_store(place)


def test_a_copy_of_a_store_at_work_is_a_store(
    start_collector: StartCollector, tmp_path: Path
) -> None:
    place, copy = tmp_path / "orders.db", tmp_path / "copy.db"
    collector = start_collector({"store": str(place)})
    body = b"[" + b",".join(events(0, 200)) + b"]"
    httpx.post(f"{collector.url}/events", content=body, timeout=20).raise_for_status()
    ran = otelkit(["backup", str(place), str(copy)])
    assert (ran.returncode, ran.stderr) == (0, f"{copy}: {copy.stat().st_size:,} bytes\n")
    httpx.post(f"{collector.url}/events", content=next(events(200, 201))).raise_for_status()
    with closing(open_store(copy)) as store:
        assert len(store.following(0, 1000)) == 200
    check_store(copy)
    ran = otelkit(["backup", str(place), str(copy)])
    assert ran.returncode == 0, "an older copy is replaced"
    (tmp_path / "same.db").symlink_to(place)
    (tmp_path / "killed.db-wal").touch()
    for wrong, why in {
        place: "is the store itself",
        tmp_path / "same.db": "is the store itself",
        tmp_path / "killed.db": "killed.db-wal says that a program works on ",
        tmp_path: "is a folder",
        Path("/"): "is a folder",
    }.items():
        ran = otelkit(["backup", str(place), str(wrong)])
        assert (ran.returncode, why in ran.stderr) == (1, True)
    httpx.post(f"{collector.url}/events", content=next(events(201, 202))).raise_for_status()
    collector.stop()
    with closing(open_store(place)) as store:
        assert len(store.following(0, 1000)) == 202
    ran = otelkit(["backup", str(tmp_path / "none.db"), str(copy)])
    assert ran.returncode == 1
    assert ran.stderr.endswith("none.db; name the file that the collector works on\n")
