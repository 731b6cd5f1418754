"""What tests of the collector share: events for it, and what its ``/metrics`` say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
import pika
from prometheus_client.parser import text_string_to_metric_families

from otelkit import events, names
from otelkit.collect.clocks.standing import standing
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.storage.stores import open_store
from otelkit.events import OrderMoved
from shop.servers import RabbitMQ
from shop.services import Collector

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

OTELKIT = str(Path(sys.executable).with_name("otelkit"))

StartCollector = Callable[..., Collector]
"""``start_collector(settings)``: the fixture's type."""

Labels = frozenset[tuple[str, str]]
Scrape = Mapping[tuple[str, Labels], float]


def moved(
    order_id: str,
    status: str,
    at: float,
    *,
    tier: str | None = None,
    partner: str | None = None,
    aliases: Mapping[str, str] | None = None,
) -> bytes:
    """An event as a service sends it; the same order, status and time make the same event."""
    return events.encode(
        OrderMoved(
            source="test",
            id=f"{order_id}-{status}-{at}",
            order_id=order_id,
            at=datetime.fromtimestamp(at, UTC),
            process="order",
            status=status,
            tier=tier,
            partner=partner,
            aliases=aliases or {},
        )
    )


def batch(bodies: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(bodies) + b"]"


_UNCONFIRMED: Final = 1000


def publish(url: str, bodies: Iterable[bytes], queue: str = names.ORDERS_QUEUE) -> None:
    """Puts messages into a queue that exists; returns once the broker has confirmed each."""
    properties = pika.BasicProperties(delivery_mode=2)
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        open_ = _confirming(channel)
        for tag, body in enumerate(bodies, 1):
            open_.add(tag)
            channel.basic_publish("", queue, body, properties)
            while len(open_) >= _UNCONFIRMED:
                connection.process_data_events(0.002)
        while open_:
            connection.process_data_events(0.002)


def _confirming(channel: BlockingChannel) -> set[int]:
    """Has the broker confirm what is published; returns the tags from which it takes those.

    The channel's own way waits for each message before the next, ten times as long.
    """
    open_: set[int] = set()
    ready: list[object] = []

    def confirmed(frame: Any) -> None:
        assert isinstance(frame.method, pika.spec.Basic.Ack), frame
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        open_.difference_update([t for t in open_ if t <= tag] if multiple else [tag])

    channel._impl.confirm_delivery(confirmed, callback=ready.append)
    while not ready:
        channel.connection.process_data_events(0.002)
    return open_


def depth(url: str, queue: str) -> int:
    """Messages that are ready in a queue."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        declared = connection.channel().queue_declare(queue, passive=True)
        return int(declared.method.message_count)


@contextmanager
def mute(rabbitmq: RabbitMQ, vhost: str, queue: str) -> Iterator[None]:
    """A quorum queue that does not answer: the broker says in its place that nothing is in it."""
    process = f"'{urlsplit(vhost).path[1:]}_{queue}'"
    rabbitmq.eval(f"sys:suspend({process}).")
    try:
        yield
    finally:
        rabbitmq.eval(f"sys:resume({process}).")


def scrape(url: str) -> Scrape:
    """The samples of a ``/metrics`` page, by name and labels."""
    answer = httpx.get(f"{url}/metrics", timeout=10)
    answer.raise_for_status()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def overdue(url: str) -> float:
    """Clocks that are, by ``/metrics``."""
    return sum(of(scrape(url), names.ORDERS_OVERDUE.name, "objective").values())


def value(scraped: Scrape, name: str, **labels: str) -> float | None:
    """The one sample with these labels beside ``system``; None where there is none."""
    return scraped.get((name, frozenset({"system": "shop", **labels}.items())))


def of(scraped: Scrape, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Sums of a metric by these labels."""
    sums: dict[tuple[str, ...], float] = {}
    for (sample, given), number in scraped.items():
        if sample == name:
            values = dict(given)
            key = tuple(values[label] for label in labels)
            sums[key] = sums.get(key, 0.0) + number
    return sums


def source_up(url: str, source: str) -> bool:
    return value(scrape(url), names.SOURCE_UP.name, source=source) == 1


def otelkit(
    arguments: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One run of the command line, to its end."""
    return subprocess.run(
        [OTELKIT, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def check_store(place: Path | str) -> None:
    """What it counts is what a count of its orders gives."""
    with closing(open_store(place)) as store:
        recount = Tallies()
        now = store.read_number("tick") or 0.0
        for state in store.following(0, 10**9).values():
            recount.change(standing(state, now))
        assert recount == {key: n for key, n in store.tallies().items() if key in recount}
