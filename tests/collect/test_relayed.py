"""A table of others where collectors share the orders: one reads it, all of them know how far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from sqlalchemy import text

from collecting import moved, of, publish, scrape, source_up
from jobs import CONFIG, Jobs, secrets
from otelkit import names
from otelkit.collect.sources.exchange import queue_of, shard_of
from otelkit.collect.storage.lease import shard_name
from rigged import LAUNCHER, MID_READING
from shop.databases import MariaDB, PostgreSQL
from shop.services import Collector
from shop.waiting import until

SHARDS = 4
READ_BY = shard_of("erp", SHARDS)
"""The shard whose holder reads the table."""
ORDERS = 150
STEPS = ("submitted", "manufacturing")
BATCH = 50

Start = Callable[..., Collector]


class Fleet:
    """Collectors on one store, and what they say together."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.collectors: list[Collector] = []

    def holder(self) -> Collector | None:
        """Who reads the table."""
        statement = (
            "SELECT url FROM otelkit_leases.shards WHERE shard = %s AND until > clock_timestamp()"
        )
        with closing(psycopg.connect(self.store)) as db:
            urls = [url for (url,) in db.execute(statement, (READ_BY,))]
        return next((one for one in self.collectors if [one.url] == urls), None)

    def running(self) -> list[Collector]:
        return [one for one in self.collectors if one.process.running]

    def shards(self) -> int:
        """How many are at work."""
        return len(self.totals(names.COLLECTOR_TICK.name, "instance") or ())

    def totals(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """A metric over all shards, by these labels; empty while it cannot be told."""
        found: Counter[tuple[str, ...]] = Counter()
        try:
            for one in self.running():
                found.update(of(scrape(one.url), name, *labels))
        except httpx.HTTPError:
            return Counter()
        return found

    def outcomes(self) -> dict[str, float]:
        """Of the events of the table."""
        told = self.totals(names.ORDER_EVENTS.name, "source", "outcome")
        return {outcome: n for (source, outcome), n in told.items() if source == "erp" and n}

    def clocks(self, objective: str = "manufacturing-on-time") -> dict[str, float]:
        """Of one objective, and all corrections."""
        told = self.totals(names.ORDER_CLOCKS.name, "objective", "outcome")
        found = {what: float(n) for (which, what), n in told.items() if which == objective and n}
        corrected = sum(self.totals(names.ORDER_CLOCK_CORRECTIONS.name, "from").values())
        return found if not corrected else {**found, "corrected": corrected}


@pytest.fixture
def fleet(postgresql: PostgreSQL) -> Fleet:
    return Fleet(postgresql.database())


@pytest.fixture
def start(fleet: Fleet, vhost: str, tmp_path: Path) -> Iterator[Start]:
    """``start(jobs, config, env, setting=...)`` starts one more collector of the fleet."""
    common = {
        "amqp": vhost, "store": fleet.store, "shards": str(SHARDS), "lease": "2s",
        "batch": str(BATCH),
    }  # fmt: skip
    with ExitStack() as stack:

        def begin(
            jobs: Jobs | None = None,
            config: str = "",
            env: Mapping[str, str] | None = None,
            **more: str,
        ) -> Collector:
            program = LAUNCHER if env else ()
            settings = common | ({} if jobs is None else secrets(jobs)) | more
            folder = tmp_path / str(len(fleet.collectors))
            one = Collector(folder, settings, config, program=program, env=env)
            fleet.collectors.append(one)
            stack.callback(one.process.kill)
            one.start()
            return one

        yield begin


def test_rows_count_once_and_reach_their_shards_though_their_readers_die_amid_them(
    mariadb: MariaDB, fleet: Fleet, start: Start, tmp_path: Path
) -> None:
    jobs = Jobs(mariadb.database(), "DATETIME(6)", ZoneInfo("Europe/Moscow"))
    # Nearly no overlap: what a watermark that moved too soon would skip is read by no other chance.
    config = CONFIG.replace("overlap: 5m", "overlap: 1s") + "    timezone: Europe/Moscow\n"
    record = tmp_path / "ends"
    with jobs.engine.begin() as connection:
        for number in range(ORDERS):
            for version, status in enumerate(STEPS):
                at = version + number % 7
                jobs.insert(f"A-{number}", status, at, version, within=connection)
    rows = len(STEPS) * ORDERS
    for _ in range(2):
        reader = start(jobs, config, {"RIGGED_END": f"{MID_READING},{rows // BATCH},{record}"})
        assert until(lambda one=reader: not one.process.running, 20), "all but the last page"  # type: ignore[misc]
    assert record.read_text().splitlines() == [MID_READING] * 2
    start(jobs, config)
    start(jobs, config)

    def new() -> float:
        found = fleet.outcomes()
        return found.get("applied", 0) + found.get("late", 0)

    assert until(lambda: new() == rows, 20), fleet.outcomes()
    assert until(lambda: fleet.shards() == SHARDS, 20)
    assert fleet.outcomes()["duplicate"] >= 2 * (rows - BATCH), (
        "what the first had read was read again"
    )
    opened = fleet.totals(names.ORDERS_OPEN.name, "instance", "stage")
    assert sum(opened.values()) == ORDERS
    wanted = Counter(shard_of(f"A-{number}", SHARDS) for number in range(ORDERS))
    assert {instance: n for (instance, _), n in opened.items() if n} == {
        f"shard-{shard_name(shard)}": n for shard, n in wanted.items()
    }
    holder = fleet.holder()
    assert holder is not None
    assert until(lambda: source_up(holder.url, "erp"), 10)
    with closing(psycopg.connect(fleet.store)) as db:
        db.execute(f"SET search_path = otelkit_{shard_name(READ_BY)}")
        (kept,) = db.execute("SELECT value FROM numbers WHERE name = 'watermark:erp'").fetchall()
    assert kept == ((jobs.now + timedelta(seconds=7)).timestamp(),)
    jobs.insert("A-0", "shipped", 20, 9)
    assert until(lambda: new() == rows + 1, 10)
    jobs.engine.dispose()


def test_no_shard_judges_a_deadline_while_the_row_that_meets_it_may_not_have_come_there(
    postgresql: PostgreSQL, vhost: str, fleet: Fleet, start: Start
) -> None:
    url = postgresql.database().replace("postgresql:", "postgresql+psycopg:")
    jobs = Jobs(url, "TIMESTAMP WITH TIME ZONE")
    start(jobs, CONFIG)
    start(jobs, CONFIG)
    assert until(lambda: fleet.shards() == SHARDS and len(fleet.clocks()) == 0, 20)
    jobs.now = jobs.now.now(jobs.now.tzinfo)
    made = [f"A-{number}" for number in range(12)]
    stuck = [f"B-{number}" for number in range(12)]
    with jobs.engine.begin() as connection:
        for order in made:
            jobs.insert(order, "manufacturing", 0, 1, within=connection)
    assert until(lambda: fleet.outcomes() == {"applied": len(made)}, 10)
    with jobs.engine.begin() as busy:  # from here on no reading comes to an end
        busy.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
        for order in made:
            jobs.insert(order, "packed", 1, 2, within=busy)
        tell(vhost, stuck, jobs.now.timestamp())
        lost = fleet.holder()
        assert lost is not None
        lost.process.kill()
        assert until(lambda: fleet.shards() == SHARDS, 10), "the other one has all"
        # The deadlines of all orders pass, in every shard, whose queues are read to their ends.
        passed = jobs.now.timestamp() + 8 + 1 + 2
        until(lambda: time.time() > passed, 20)
        tell(vhost, ["C-1"], time.time())
        assert until(lambda: sum(fleet.totals(names.ORDERS_OPEN.name, "stage").values()) == 25, 10)
        assert fleet.clocks() == {}
    both = {"met": len(made), "breached": len(stuck)}
    assert until(lambda: fleet.clocks() == both, 20), fleet.clocks()
    jobs.engine.dispose()


def test_nor_while_the_event_that_meets_it_waits_to_be_handed_on(
    vhost: str, fleet: Fleet, start: Start, tmp_path: Path
) -> None:
    start()
    assert until(lambda: fleet.shards() == SHARDS, 20)
    made, at = [f"A-{number}" for number in range(12)], time.time()
    tell(vhost, made, at, "submitted")
    assert until(lambda: fleet.totals(names.ORDERS_OPEN.name, "process")[("order",)] == 12, 10)
    fleet.collectors[0].stop()
    # A minute passes. All were shipped in time, says the end of a long queue; others come since.
    repeats = [moved("A-0", "submitted", at)] * 1000
    publish(vhost, [*repeats, *(moved(order, "shipped", at + 10) for order in made)])
    tell(vhost, [f"C-{number}" for number in range(12)], at + 60, "submitted")
    clock = tmp_path / "clock"
    clock.write_text("60")
    start(env={"RIGGED_CLOCK": str(clock)})
    assert until(lambda: fleet.clocks("delivered-on-time"), 20)
    assert until(lambda: sum(fleet.clocks("delivered-on-time").values()) == len(made), 10)
    assert fleet.clocks("delivered-on-time") == {"met": len(made)}


def tell(vhost: str, orders: list[str], at: float, status: str = "manufacturing") -> None:
    """As services do, over RabbitMQ."""
    for shard in range(SHARDS):
        own = [order for order in orders if shard_of(order, SHARDS) == shard]
        publish(vhost, [moved(order, status, at) for order in own], queue_of(shard))
