"""A collector that is killed while it works, and what the next one finds."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pika
import pytest
from msgspec.structs import replace

from collecting import Scrape, StartCollector, depth, moved, mute, of, overdue, publish, scrape
from otelkit import names, spec
from otelkit.collect.api.answers import instant
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.state import Run, State
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import APPLIED, DUPLICATE, LATE, Received
from otelkit.collect.sources.rabbitmq import NAME
from otelkit.collect.storage.stores import open_store
from rigged import LAUNCHER, MID_TICK, POINTS
from shop.servers import RabbitMQ
from shop.services import SLA_FILE, Collector
from shop.waiting import until

BATCH = 200
LATENESS = 5.0
AGAIN = 50
"""Of so many events one is sent twice."""


@dataclass(frozen=True)
class Story:
    """What happens to an order, in seconds after it began, and what its clocks make of it."""

    steps: tuple[tuple[float, str], ...]
    making: str | None
    """The outcome of ``manufacturing-on-time`` (8 s), None where it never started."""
    whole: str
    """The outcome of ``delivered-on-time`` (20 s)."""


STORIES = {
    "quick": Story(
        (
            (0, "submitted"), (1, "priced"), (2, "manufacturing"), (4, "packed"), (5, "shipped"),
        ),
        "met", "met",
    ),
    "slow": Story(
        (
            (0, "submitted"), (1, "priced"), (2, "manufacturing"), (30, "packed"), (31, "shipped"),
        ),
        "breached", "breached",
    ),
    "waits": Story(
        (
            (0, "submitted"), (15, "priced"), (17, "manufacturing"), (19, "packed"),
            (25, "shipped"),
        ),
        "met", "breached",
    ),
    "cancelled": Story(((0, "submitted"), (2, "cancelled")), None, "cancelled"),
    "stuck": Story(
        ((0, "submitted"), (1, "priced"), (2, "manufacturing")), "breached", "breached"
    ),
}  # fmt: skip
STEPS = sum(len(story.steps) for story in STORIES.values())


def history(start: float, rounds: int) -> list[bytes]:
    """Each story in each round, one round a second.

    Those of every third round arrive out of order, though within the lateness, and some twice.
    """
    luck = random.Random(rounds)
    told = []
    for number in range(rounds):
        for name, story in STORIES.items():
            for after, status in story.steps:
                at = start + number + after
                body = moved(f"{name}-{number}", status, at)
                arrives = at + (luck.uniform(0, 0.8 * LATENESS) if number % 3 == 0 else 0)
                told.append((arrives, body))
                if luck.random() < 1 / AGAIN:
                    told.append((arrives + luck.uniform(0, LATENESS), body))
    return [body for _, body in sorted(told, key=lambda one: one[0])]


# --- kills ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kills", "events"), [(5, 12_000), pytest.param(100, 200_000, marks=pytest.mark.soak)]
)
def test_collectors_killed_amid_events_lose_none_and_count_none_twice(
    vhost: str,
    place: Path | str,
    tmp_path: Path,
    start_collector: StartCollector,
    kills: int,
    events: int,
) -> None:
    rounds = events // STEPS
    bodies = history(time.time() - rounds - 3600, rounds)
    settings = {
        "amqp": vhost, "store": str(place), "batch": str(BATCH), "lateness": f"{LATENESS:.0f}s"
    }  # fmt: skip
    leave_backlog(vhost, bodies)
    luck = random.Random(kills)
    points = [*POINTS] * (kills // len(POINTS))
    luck.shuffle(points)
    for point in points:
        passage = luck.randint(1, 20 if point == MID_TICK else 6)
        kill(tmp_path, settings, point, passage)
    hits = Counter((tmp_path / "kills").read_text().splitlines())
    assert hits == Counter(points)
    assert depth(vhost, names.ORDERS_QUEUE) > 0, "even the last was killed amid its work"

    collector = start_collector(settings)
    assert until(lambda: overdue(collector.url) == 2 * rounds, 60 + events / 1000), "all is judged"
    assert depth(vhost, names.ORDERS_QUEUE) == 0
    scraped = scrape(collector.url)
    assert_clocks(scraped, rounds)
    expected = replayed(bodies, tmp_path)
    assert_scraped(scraped, expected)
    assert_told(collector, expected)
    collector.stop()
    found = Kept.read(place)
    again = found.tallies.pop(REPEATS) - expected.tallies.pop(REPEATS)
    assert 0 <= again <= kills * BATCH, "of each killed collector one batch at most"
    assert found.tallies == expected.tallies
    assert found.states == expected.states
    assert found.timelines == expected.timelines


@pytest.mark.parametrize("silence", ["broker", "queue"])
def test_silence_amid_a_backlog_makes_no_order_late(
    rabbitmq: RabbitMQ, vhost: str, start_collector: StartCollector, silence: str
) -> None:
    rounds = 2500
    bodies = history(time.time() - rounds - 3600, rounds)
    leave_backlog(vhost, bodies)
    collector = start_collector({"amqp": vhost, "batch": "200", "lateness": f"{LATENESS:.0f}s"})
    assert until(lambda: applied(collector) >= 2_000, 30, interval=0.01)
    with frozen(rabbitmq) if silence == "broker" else mute(rabbitmq, vhost, names.ORDERS_QUEUE):
        began = applied(collector)
        every = STEPS * rounds
        assert until(lambda: applied(collector) == every, 1.5) is None, "for more than a tick"
    assert began < every
    assert until(lambda: overdue(collector.url) == 2 * rounds, 60), "all deadlines are judged"
    assert_clocks(scrape(collector.url), rounds)


@contextmanager
def frozen(rabbitmq: RabbitMQ) -> Iterator[None]:
    """The whole broker."""
    assert rabbitmq.process.pid is not None
    os.kill(rabbitmq.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(rabbitmq.process.pid, signal.SIGCONT)


def leave_backlog(url: str, bodies: Sequence[bytes]) -> None:
    """Fills the queue before there ever was a collector, which might have judged by its lull."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_declare(
            names.ORDERS_QUEUE, durable=True, arguments=names.ORDERS_QUEUE_ARGUMENTS
        )
    publish(url, bodies)
    assert until(lambda: depth(url, names.ORDERS_QUEUE) == len(bodies), 30)


def kill(folder: Path, settings: Mapping[str, str], point: str, passage: int) -> None:
    """Lets one work until it has passed a point so often."""
    end = {"RIGGED_END": f"{point},{passage},{folder / 'kills'}"}
    collector = Collector(folder, settings, program=LAUNCHER, env=end)
    collector.process.start()
    try:
        ended = until(lambda: not collector.process.running, 60, interval=0.02)
        assert ended, f"it never comes {point}"
    finally:
        collector.process.kill()


def applied(collector: Collector) -> float:
    """Events that were new."""
    events = of(scrape(collector.url), names.ORDER_EVENTS.name, "source", "outcome")
    return events[NAME, APPLIED] + events[NAME, LATE]


def assert_clocks(scraped: Scrape, rounds: int) -> None:
    """As the stories say."""
    expected: Counter[tuple[str, ...]] = Counter()
    for story in STORIES.values():
        expected["delivered-on-time", story.whole] += rounds
        if story.making is not None:
            expected["manufacturing-on-time", story.making] += rounds
    assert +Counter(of(scraped, names.ORDER_CLOCKS.name, "objective", "outcome")) == expected
    assert sum(of(scraped, names.ORDER_CLOCK_CORRECTIONS.name, "from").values()) == 0
    assert +Counter(of(scraped, names.ORDERS_OPEN.name, "stage")) == {("manufacturing",): rounds}


# --- the replay ----------------------------------------------------------------------------

REPEATS = (names.ORDER_EVENTS.name, NAME, DUPLICATE)
TOLD = (
    names.ORDERS_OPEN, names.ORDERS_PAUSED, names.ORDERS_AT_RISK,
    names.ORDER_CLOCKS, names.ORDER_CLOCK_CORRECTIONS, names.ORDER_EVENTS,
)  # fmt: skip
"""Metrics that are what is counted."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Kept:
    """All that a store holds of orders, by process and id."""

    tallies: Tallies
    states: dict[Key, State]
    timelines: dict[Key, list[Event]]

    @classmethod
    def read(cls, place: Path | str) -> Kept:
        with closing(open_store(place)) as store:
            states = store.following(0, 10**9).values()
            # When an event was received, and where it lies, is not the same twice.
            timelines = {
                (s.process, s.order_id): [replace(e, received=0.0) for e in store.timeline(s)]
                for s in states
            }
            return cls(
                store.tallies(),
                {(s.process, s.order_id): replace(s, log=0) for s in states},
                timelines,
            )


def replayed(bodies: Sequence[bytes], folder: Path) -> Kept:
    """What one collector makes of the same, undisturbed and with time standing still."""
    place = folder / "replayed.db"
    now = time.time()
    with closing(open_store(place)) as store:
        engine = Engine(spec.load(SLA_FILE), store)
        for first in range(0, len(bodies), 5000):
            engine.apply([Received(NAME, body, now) for body in bodies[first : first + 5000]])
        engine.tick(now)
    return Kept.read(place)


def assert_scraped(scraped: Scrape, expected: Kept) -> None:
    """``/metrics`` say what the replay counts, but for what came twice."""
    for metric in TOLD:
        own = {key[1:]: n for key, n in expected.tallies.items() if key[0] == metric.name and n}
        told = {key: n for key, n in of(scraped, metric.name, *metric.labels[1:]).items() if n}
        assert {k: n for k, n in told.items() if k != REPEATS[1:]} == {
            k: n for k, n in own.items() if k != REPEATS[1:]
        }, metric.name


def assert_told(collector: Collector, expected: Kept) -> None:
    """``GET /orders/{id}`` tells what happened to an order, and when."""
    some = random.Random(1).sample(sorted(expected.states), 500)
    with httpx.Client(base_url=collector.url) as api:
        for process, order_id in some:
            (order,) = api.get(f"/orders/{order_id}").json()["orders"]
            state, events = (
                expected.states[process, order_id],
                expected.timelines[process, order_id],
            )
            assert (order["status"], order["stage"]) == (state.status, state.stage)
            assert [(step["at"], step["status"], step["id"]) for step in order["timeline"]] == [
                (instant(e.at), e.status, e.id) for e in sorted(events, key=lambda e: e.at)
            ]
            assert [
                (c["objective"], c["started"], c["deadline"], c["ended"]) for c in order["clocks"]
            ] == [
                (r.objective, *(None if at is None else instant(at) for at in times(r)))
                for r in state.runs
            ]
            story = STORIES[order_id.rpartition("-")[0]]
            clocks = {clock["objective"]: clock["state"] for clock in order["clocks"]}
            stuck = state.open
            assert clocks.pop("delivered-on-time") == ("overdue" if stuck else story.whole)
            making = clocks.pop("manufacturing-on-time", None)
            assert making == ("overdue" if stuck else story.making)
            assert not clocks


def times(run: Run) -> tuple[float | None, ...]:
    return run.started, run.deadline, run.ended
