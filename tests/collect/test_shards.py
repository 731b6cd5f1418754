"""Three collectors on one RabbitMQ and one PostgreSQL, which are killed in turn amid events."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pika
import psycopg
import pytest

from collecting import batch, moved, of, otelkit, scrape, source_up
from conftest import enter
from otelkit import events, names
from otelkit.collect.storage.lease import shard_name
from rigged import LAUNCHER, MID_HAND_OVER
from shop.databases import PostgreSQL
from shop.prometheus import Prometheus
from shop.servers import HOST, RabbitMQ
from shop.services import SLA_FILE, Collector
from shop.waiting import until

SHARDS = 6
LEASE = 2.0
LATENESS = 6.0
"""More than RabbitMQ takes to miss a collector that sleeps."""
ROUNDS_A_SECOND = 12
STEPS = {
    "quick": ((0.0, "submitted"), (0.2, "priced"), (0.4, "manufacturing"), (1, "packed"),
              (1.2, "shipped")),
    "cancelled": ((0.0, "submitted"), (1.5, "cancelled")),
    "slow": ((0.0, "submitted"), (0.5, "manufacturing"), (11, "packed"), (11.5, "shipped")),
    "stuck": ((0.0, "submitted"), (0.2, "manufacturing")),
}  # fmt: skip
OUTCOMES = {
    "quick": {"manufacturing-on-time": "met", "delivered-on-time": "met"},
    "cancelled": {"delivered-on-time": "cancelled"},
    "slow": {"manufacturing-on-time": "breached", "delivered-on-time": "met"},
    "stuck": {"manufacturing-on-time": "breached", "delivered-on-time": "breached"},
}
"""Of ``manufacturing-on-time`` (8 s) and ``delivered-on-time`` (20 s)."""
RARE = {"slow": 5, "stuck": 10}
"""Only every so many rounds, and of the first only: the others need not wait for their ends."""
FIRST_ROUNDS = 10 * ROUNDS_A_SECOND


# --- what they share -----------------------------------------------------------------------


@dataclass
class Fleet:
    """The collectors, where they find their servers, and what they agreed on."""

    settings: Mapping[str, str]
    collectors: list[Collector]
    prometheus: Prometheus | None = None

    def holders(self) -> dict[int, str]:
        """The address of each shard's holder, by the leases."""
        with closing(psycopg.connect(self.settings["store"])) as db:
            return dict(
                db.execute(
                    "SELECT shard, url FROM otelkit_leases.shards WHERE until > clock_timestamp()"
                ).fetchall()
            )

    def exposed(self, collector: Collector) -> set[str]:
        """The shards that a collector has on its ``/metrics``."""
        try:
            ticks = of(scrape(collector.url), names.ORDERS_OPEN.name, "instance")
        except httpx.HTTPError:
            return set()
        return {instance for (instance,) in ticks}

    def is_shared_by(self, collectors: list[Collector]) -> bool:
        """Whether these hold all shards, fairly, and no other does."""
        counts = Counter(self.holders().values())
        share = -(-SHARDS // len(collectors))
        fair = all(0 < counts[one.url] <= share for one in collectors)
        return fair and sum(counts[one.url] for one in collectors) == SHARDS

    def totals(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """A metric over all shards, by these labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for collector in self.collectors:
            found.update(of(scrape(collector.url), name, *labels))
        return found

    def ask(self, query: str) -> dict[tuple[str, ...], float]:
        """What Prometheus says now, by the values of the labels in their order."""
        assert self.prometheus is not None
        answer = httpx.get(f"{self.prometheus.url}/api/v1/query", params={"query": query})
        return {
            tuple(value for _, value in sorted(one["metric"].items())): float(one["value"][1])
            for one in answer.raise_for_status().json()["data"]["result"]
        }


def start_all(collectors: list[Collector]) -> None:
    """At once, since each takes a second or two."""
    threads = [threading.Thread(target=one.start) for one in collectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def fleet(
    rabbitmq: RabbitMQ, postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Three collectors that share all shards fairly, and a Prometheus that has seen each."""
    folder = tmp_path_factory.mktemp("shards")
    settings = {
        "amqp": rabbitmq.vhost("shards"), "store": postgresql.database(), "token": "secret",
        "shards": str(SHARDS), "lease": f"{LEASE:.0f}s", "lateness": f"{LATENESS:.0f}s",
        "batch": "200",
    }  # fmt: skip
    made = Fleet(settings, [Collector(folder / str(n), settings) for n in range(3)])
    targets = [f"{HOST}:{one.port}" for one in made.collectors]
    with ExitStack() as stack:
        for one in made.collectors:
            stack.callback(one.process.kill)
        start_all(made.collectors)
        made.prometheus = enter(stack, lambda: Prometheus(folder / "prometheus", config(targets)))
        assert until(lambda: made.is_shared_by(made.collectors), 30)
        seen = f"count(count by (instance) ({names.COLLECTOR_TICK.name}))"
        assert until(lambda: made.ask(seen).get(()) == SHARDS, 30)
        yield made


def config(targets: list[str]) -> str:
    return (
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: otelkit-collector\n"
        "    honor_labels: true\n"
        f"    static_configs: [{{targets: {targets}}}]\n"
    )


def client(collector: Collector) -> httpx.Client:
    return httpx.Client(
        base_url=collector.url, headers={"Authorization": "Bearer secret"}, timeout=20
    )


# --- answers -------------------------------------------------------------------------------


def test_a_source_of_any_shard_that_is_down_is_told_by_the_shards_holder(fleet: Fleet) -> None:
    holder = next(one for one in fleet.collectors if one.url == fleet.holders()[0])
    assert until(lambda: httpx.get(f"{holder.url}/readyz").status_code == 503, 20)
    sources = httpx.get(f"{holder.url}/readyz").json()["sources"]
    down = {name: source["why"] for name, source in sources.items() if not source["up"]}
    assert down.keys() == {"dlq:orders.dlq"}
    assert down["dlq:orders.dlq"].startswith("shard 00: there is no queue 'orders.dlq'")
    assert not source_up(holder.url, "dlq:orders.dlq")
    for other in fleet.collectors:
        assert source_up(other.url, "rabbitmq")
        assert other is holder or httpx.get(f"{other.url}/readyz").status_code == 200


def test_any_collector_answers_for_all_shards(fleet: Fleet, tmp_path: Path) -> None:
    first, second, third = (client(one) for one in fleet.collectors)
    orders, start = [f"A-{number}" for number in range(60)], time.time() - 600
    told = [
        moved(order, status, start + number % 7 + after, aliases={"mes": f"W-{order}"})
        for number, order in enumerate(orders)
        for after, status in enumerate(("submitted", "manufacturing"))
    ]
    with first, second, third:
        answer = first.post("/events", content=batch([*told, b"{}"]))
        assert (answer.status_code, answer.json()) == (202, {"accepted": len(told) + 1})
        query = {"objective": "manufacturing-on-time", "limit": "7"}
        assert until(lambda: len(listed(second, query)) == len(orders), 30)
        found = listed(third, query)
        deadlines = [str(one["deadline"]) for one in found]
        assert deadlines == sorted(deadlines)
        assert sorted(str(one["id"]) for one in found) == sorted(orders)
        (rejected,) = third.get("/quarantine").json()["events"]
        assert (rejected["source"], rejected["body"]) == ("http", "{}")

        for api, order in ((first, "A-1"), (second, "A-1"), (third, "A-1")):
            (known,) = api.get(f"/orders/W-{order}").json()["orders"]
            assert known["id"] == order
        unknown = second.get("/orders/B-1")
        assert (unknown.status_code, unknown.json()["orders"]) == (404, [])
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        ack = {"order": "A-1", "until": later, "reason": "known"}
        for api in (first, second, third):
            (known,) = api.post("/acks", json=ack).json()["orders"]
            assert known["acknowledged"]["reason"] == "known"
        assert second.request("DELETE", "/orders/A-1").json() == {"orders": 1}
        assert third.get("/orders/W-A-1").status_code == 404, "its name elsewhere is forgotten"
        assert third.get("/orders", params={"state": "late"}).status_code == 400
        assert {third.get(f"/shards/{name}").status_code for name in ("", "63", "x")} == {421}
        plan(second, third, len(orders))
    ends = tmp_path / "ends.jsonl"
    ends.write_bytes(b"\n".join(moved(order, "shipped", time.time()) for order in orders))
    address = ["--collector", fleet.collectors[2].url, "--token", "secret"]
    ran = otelkit(["orders", "load", str(ends), *address])
    assert (ran.returncode, ran.stdout) == (0, f"{ends}: {len(orders)} accepted\n")
    assert until(lambda: opened(fleet) == 0, 30), "all is done for the next test"


def plan(one: httpx.Client, other: httpx.Client, orders: int) -> None:
    """What another SLA file would change is told of all shards together."""
    stricter = SLA_FILE.read_text().replace("{allow: 8s}", "{allow: 7s}")
    one.post("/clocks/plan", content=stricter).raise_for_status()

    def work() -> dict[str, int]:
        found: dict[str, int] = other.get("/clocks").raise_for_status().json()["changeover"]
        return found

    assert until(lambda: work()["finished"], 20)
    assert (work()["orders"], work()["changed"]) == (orders, orders)
    assert one.post("/clocks/plan", content="version: 1").status_code == 400


def listed(api: httpx.Client, query: Mapping[str, str]) -> list[dict[str, object]]:
    """All pages of a list."""
    found: list[dict[str, object]] = []
    after: dict[str, str] = {}
    while True:
        page = api.get("/orders", params={**query, **after}).raise_for_status().json()
        found += page["orders"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def opened(fleet: Fleet) -> float:
    return sum(fleet.totals(names.ORDERS_OPEN.name, "stage").values())


# --- kills ---------------------------------------------------------------------------------


@dataclass
class Publisher:
    """Tells of orders as they move, until it is stopped, and remembers what it told."""

    url: str
    told: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The body of a thread. Ends once all that began has gone on to its end."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            channel = connection.channel()
            begun, number, due = time.time(), 0, list[tuple[float, str, str]]()
            while due or not self._stopping.is_set():
                now = time.time()
                while not self._stopping.is_set() and now >= begun + number / ROUNDS_A_SECOND:
                    due += self._round(number, now)
                    number += 1
                ready = sorted(step for step in due if step[0] <= now)
                due = [step for step in due if step[0] > now]
                for at, order, status in ready:
                    self._publish(channel, order, status, at)
                connection.sleep(0.02)

    def _round(self, number: int, now: float) -> list[tuple[float, str, str]]:
        return [
            (now + after, f"{story}-{number}", status)
            for story, steps in STEPS.items()
            if story not in RARE or (number < FIRST_ROUNDS and number % RARE[story] == 0)
            for after, status in steps
        ]

    def _publish(self, channel: object, order: str, status: str, at: float) -> None:
        # Some as a sender does that knows nothing of slots.
        headers = {} if order.endswith("7") else {"CC": [events.slot_key(events.slot_of(order))]}
        properties = pika.BasicProperties(delivery_mode=2, headers=headers)
        body = moved(order, status, at)
        channel.basic_publish(names.ORDERS_EXCHANGE, "order", body, properties)  # type: ignore[attr-defined]
        self.told.setdefault(order, []).append(status)
        self.count += 1

    def stop(self) -> None:
        self._stopping.set()


@contextmanager
def publishing(url: str) -> Iterator[Publisher]:
    publisher = Publisher(url)
    thread = threading.Thread(target=publisher.run)
    thread.start()
    try:
        yield publisher
    finally:
        publisher.stop()
        thread.join()


def moves(fleet: Fleet, lost: Collector, seconds: float) -> None:
    """Whatever one collector held is held by others within so long."""

    def moved_on() -> bool:
        holders = fleet.holders()
        return len(holders) == SHARDS and lost.url not in holders.values()

    assert until(moved_on, seconds, interval=0.05), fleet.holders()
    others = [one for one in fleet.collectors if one is not lost]
    instances = {f"shard-{shard_name(shard)}" for shard in range(SHARDS)}
    # And they are at work there; a scrape takes a moment on a busy machine.
    assert until(lambda: set().union(*map(fleet.exposed, others)) == instances, 5)


@pytest.mark.parametrize("hand_overs", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_collectors_that_die_sleep_and_leave_in_turn_lose_nothing_and_count_nothing_twice(
    fleet: Fleet, tmp_path: Path, hand_overs: int
) -> None:
    first, second, third = fleet.collectors
    counted = fleet.totals(names.ORDER_CLOCKS.name, "objective", "outcome")
    taken = fleet.totals(names.ORDER_EVENTS.name, "source", "outcome")
    name = names.ORDER_CLOCKS.name
    known = f"sum by (objective, outcome) ({name})"
    assert until(lambda: Counter(fleet.ask(known)) == counted, 20), "all is seen so far"
    began = time.time()
    with publishing(fleet.settings["amqp"]) as publisher:
        for one in (first, second, third):
            one.process.kill()
            refuses_meanwhile(fleet)
            moves(fleet, one, 2 * LEASE)
            one.start()
            assert until(lambda: fleet.is_shared_by(fleet.collectors), 20)
        put_to_sleep(fleet, second)
        record = tmp_path / "ends"
        end = {"RIGGED_END": f"{MID_HAND_OVER},1,{record}"}
        dying = Collector(tmp_path, fleet.settings, program=LAUNCHER, env=end)
        try:
            for _ in range(hand_overs):
                dies_amid_a_hand_over(fleet, dying)
        finally:
            dying.process.kill()
    assert record.read_text().splitlines() == [MID_HAND_OVER] * hand_overs

    clocks = counted + clocks_of(publisher)
    ends = time.time() + 20 + LATENESS + 15
    assert until(
        lambda: fleet.totals(names.ORDER_CLOCKS.name, "objective", "outcome") >= clocks,
        ends - time.time(),
        interval=0.5,
    ), fleet.totals(names.ORDER_CLOCKS.name, "objective", "outcome")
    assert +fleet.totals(names.ORDER_CLOCKS.name, "objective", "outcome") == clocks
    assert not +fleet.totals(names.ORDER_CLOCK_CORRECTIONS.name, "from")
    outcomes = fleet.totals(names.ORDER_EVENTS.name, "source", "outcome") - taken
    outcomes.pop(("rabbitmq", "duplicate"), None)
    # What a broker delivers anew may come late.
    assert sum(outcomes.values()) == outcomes["rabbitmq", "applied"] + outcomes["rabbitmq", "late"]
    assert sum(outcomes.values()) == publisher.count
    assert opened(fleet) == sum(order.startswith("stuck") for order in publisher.told)
    check_orders(fleet, publisher)
    check_prometheus(fleet, clocks - counted, began)


def refuses_meanwhile(fleet: Fleet) -> None:
    """A list that would lack a shard is not given, nor an order that may be there missed."""
    asked = next(one for one in fleet.collectors if one.process.running)
    with client(asked) as api:
        for path in ("/orders", "/orders/B-1"):
            answer = api.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "no collector answers for shard 0" in answer.json()["error"]


def put_to_sleep(fleet: Fleet, collector: Collector) -> None:
    """One that sleeps past its lease, and wakes up."""
    pid = collector.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        moves(fleet, collector, 2 * LEASE)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert until(
        lambda: "its lease had ended; giving it up" in collector.process.log.read_text(), 5
    )
    assert until(lambda: fleet.is_shared_by(fleet.collectors), 20)


def dies_amid_a_hand_over(fleet: Fleet, dying: Collector) -> None:
    """It shares all with one other; a third joins, and it dies as it lets go of a shard."""
    first, second, third = fleet.collectors
    for one in (first, second):
        one.stop()
        moves(fleet, one, LEASE)
        assert "Traceback" not in one.process.log.read_text()
    dying.start()
    assert until(lambda: fleet.is_shared_by([third, dying]), 20)
    first.start()
    assert until(lambda: not dying.process.running, 20)
    dying.process.kill()  # what is left of it
    moves(fleet, dying, 2 * LEASE)
    second.start()
    assert until(lambda: fleet.is_shared_by(fleet.collectors), 20)


def clocks_of(publisher: Publisher) -> Counter[tuple[str, ...]]:
    """What the clocks of all orders make of it."""
    found: Counter[tuple[str, ...]] = Counter()
    for order in publisher.told:
        found.update(OUTCOMES[order.partition("-")[0]].items())
    return found


def check_orders(fleet: Fleet, publisher: Publisher) -> None:
    """Each is where its events brought it, by way of all of them."""
    with client(fleet.collectors[0]) as api:
        for order, statuses in list(publisher.told.items())[::9]:
            (found,) = api.get(f"/orders/{order}").json()["orders"]
            assert [step["status"] for step in found["timeline"]] == statuses, order


def check_prometheus(fleet: Fleet, clocks: Mapping[tuple[str, ...], int], began: float) -> None:
    """No counter fell, and each rose by what is true, whoever had its shard."""
    window = f"{int(time.time() - began) + 1}s"
    counters = (names.ORDER_CLOCKS.name, names.ORDER_EVENTS.name)
    for counter in counters:
        assert set(fleet.ask(f"resets({counter}[{window}])").values()) == {0.0}
    name = names.ORDER_CLOCKS.name
    # The last that was seen: a scrape that a busy machine misses leaves a hole.
    last = f"last_over_time({name}[30s])"
    rise = f"sum by (objective, outcome) ({last} - {last[:-1]} @ {began:.3f}))"
    assert until(lambda: +Counter(fleet.ask(rise)) == dict(clocks), 10), fleet.ask(rise)
    # increase() stretches what it saw to the ends of its window, by less than a scrape at each.
    grown = fleet.ask(f"sum by (objective, outcome) (increase({name}[{window}]))")
    for labels, count in clocks.items():
        assert grown[labels] == pytest.approx(count, rel=0.05, abs=1)
