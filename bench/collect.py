"""The collector's store at several numbers of open orders; :mod:`bench.orders` tells of the data.

Stores lie in SQLite or in PostgreSQL. Events are consumed from a real RabbitMQ, in turn by a bare
loop of pika that acknowledges in batches and by one that commits each batch before. Scrapes, ticks
and pages are compared with the same at the smallest size.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from bench import consuming
from bench.figure import Figure
from bench.filling import fill
from bench.orders import DUE, NOW, SLA, SPREAD, TICK, TICKS, Orders
from bench.places import Places, files
from otelkit import spec
from otelkit.collect.api.exposition import Exposition
from otelkit.collect.api.orders import Orders as Answers
from otelkit.collect.engine.engine import ALL, Engine
from otelkit.collect.run import look_for_cycles_rarely
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import open_store
from shop.servers import RabbitMQ

SIZES: Final = (10_000, 1_000_000)
"""Ten million are measured on demand: they take half an hour to fill in."""
SHARES: Final = {10_000: 0.6, 1_000_000: 0.5, 10_000_000: 0.35}
"""Of the bare loop's rate, the least that is reached at such a size."""
EVENTS: Final = 60_000
"""Of a round: so many that its beginning and its end count for little."""
ROUNDS: Final = 5
SMALL_LIMITS: Final = {"scrape": 10.0, "tick": 1.0, "page": 20.0}
"""Milliseconds; the slowest percent of pages."""
CAUGHT_UP: Final = 20_000
"""Orders, about, that become late or at risk while the collector is away."""
GROWTH: Final = {"scrape": 1.2, "tick": 2.0, "page": 2.0}
"""What each may take of its time at the smallest size."""


@dataclass(frozen=True, slots=True)
class Held:
    """A store that is open, and what is over it."""

    size: int
    orders: Orders
    store: Store
    engine: Engine
    answers: Answers
    registry: CollectorRegistry


def measure(
    sizes: Sequence[int] = SIZES, lying: Callable[[Path], AbstractContextManager[Places]] = files
) -> Iterator[Figure]:
    """All figures at each size."""
    store = "SQLite" if lying is files else "PostgreSQL"
    first: dict[str, float] = {}
    look_for_cycles_rarely()
    with (
        tempfile.TemporaryDirectory() as name,
        RabbitMQ(Path(name) / "rabbitmq") as broker,
        lying(Path(name)) as places,
    ):
        for size in sizes:
            place = places.make()
            orders = Orders(size)
            fill(place, orders)
            for figure in _of_store(place, orders, places.weigh(place), broker, first):
                yield replace(figure, store=store, size=size)


def _of_store(
    place: Path | str, orders: Orders, weight: int, broker: RabbitMQ, first: dict[str, float]
) -> Iterator[Figure]:
    yield from _at_rest(place, orders.size, weight)
    with closing(open_store(place)) as store:
        engine = Engine(spec.loads(SLA, "sla.yaml"), store)
        answers = Answers(engine, store)
        registry = CollectorRegistry()
        registry.register(Exposition(engine, answers, dict, lambda: NOW))
        held = Held(orders.size, orders, store, engine, answers, registry)
        yield from _answers(held, first)
        yield from _events(held, broker)
        yield from _catching_up(held)


def _at_rest(place: Path | str, size: int, weight: int) -> Iterator[Figure]:
    at = f"{size:,} open orders"
    each = weight / size
    yield Figure(
        f"disk, {at}", "an order of two events", each, 260, f"{each:.0f} bytes", "bytes", "disk"
    )
    opened = subprocess.run(
        [sys.executable, "-m", "bench.opening", str(place)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, resident = map(float, opened.stdout.split())
    yield Figure(f"start-up, {at}", "its limit", seconds, 2, f"{seconds:.2f} s", "s")
    megabytes = resident / 1e6
    yield Figure(
        f"memory, {at}", "its limit", megabytes, 500, f"{megabytes:.0f} MB", "MB", "memory"
    )


def _answers(held: Held, first: dict[str, float]) -> Iterator[Figure]:
    at = f"{held.size:,} open orders"
    engine = held.engine
    steps = iter(range(1, 1000))
    idle = _milliseconds(lambda: engine.tick(NOW + next(steps) * 1e-4), 100)
    yield from _growing("tick", f"tick with nothing due, {at}", idle, first)
    began = time.process_time()
    for n in range(1, TICKS + 1):
        engine.tick(NOW + n * TICK)
    each = (time.process_time() - began) / (TICKS * DUE) * 1e6
    what = f"tick per crossing clock, {at}"
    yield Figure(what, "its limit", each, 50, f"{each:.0f} us", "us", "crossing")
    samples = sum(not line.startswith(b"#") for line in generate_latest(held.registry).split(b"\n"))
    scrapes = _milliseconds(lambda: generate_latest(held.registry), 30)
    yield from _growing("scrape", f"scrape of {samples:,} samples, {at}", scrapes, first)
    pages = _milliseconds(lambda: held.answers.late("overdue"), 100)
    yield from _growing("page", f"page of 50 overdue orders, {at}", pages, first)


def _milliseconds(work: Callable[[], object], times: int) -> list[float]:
    work()
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) * 1e3)
    return sorted(found)


def _growing(kind: str, what: str, took: list[float], first: dict[str, float]) -> Iterator[Figure]:
    median = statistics.median(took)
    slow = took[int(len(took) * 0.99)] if kind == "page" else median
    limit = SMALL_LIMITS[kind]
    yield Figure(what, "its limit", slow, limit, f"median {median:.2f} ms", "ms", kind)
    small = first.setdefault(kind, median)
    if small != median:
        told = f"{median:.2f} ms against {small:.2f} ms"
        yield Figure(what, "the smallest size", median / small, GROWTH[kind], told)


def _events(held: Held, broker: RabbitMQ) -> Iterator[Figure]:
    url = broker.vhost(f"bench-{held.size}")
    collecting = consuming.Collecting(url, held.engine)
    pairs = []
    for _ in range(ROUNDS + 1):
        bodies = held.orders.traffic(EVENTS)
        took = []
        for consume in (collecting.consume, partial(consuming.consume, url)):
            consuming.publish(url, bodies)
            took.append(consume(EVENTS))
        pairs.append(took)
    ratios = [ours.wall / bare.wall for ours, bare in pairs[1:]]
    rates = [statistics.median(1 / pair[side].wall for pair in pairs[1:]) for side in (0, 1)]
    ours, bare = (
        statistics.median(pair[side].processor for pair in pairs[1:]) * 1e6 for side in (0, 1)
    )
    yield Figure(
        f"time of an event, committed, {held.size:,} open orders",
        "a bare pika loop",
        statistics.median(ratios),
        1 / SHARES.get(held.size, min(SHARES.values())),
        f"{rates[0]:,.0f} against {rates[1]:,.0f} a second; of processor time "
        f"{ours:.0f} us against {bare:.0f} us",
        curve="event",
    )


def _catching_up(held: Held) -> Iterator[Figure]:
    """Last of all, since time goes on by as much as it takes for so many to be due."""
    at, engine = f"{held.size:,} open orders", held.engine
    until = engine.watermark + SPREAD * CAUGHT_UP / held.size
    due = len(held.store.due(engine.watermark, until, ALL)[1])
    chunks, began = list[float](), time.process_time()
    while engine.watermark < until:
        start = time.perf_counter()
        engine._advance(until)  # noqa: SLF001 - a chunk of a tick
        chunks.append((time.perf_counter() - start) * 1e3)
    each = (time.process_time() - began) / due * 1e6
    what = f"catching up with {due:,} orders that fell due, {at}"
    yield Figure(what, "its limit", each, 20, f"{1e6 / each:,.0f} a second", "us")
    longest = max(chunks)
    yield Figure(f"longest chunk of it, {at}", "its limit", longest, 200, f"{longest:.0f} ms", "ms")
