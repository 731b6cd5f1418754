"""Queues are bounded, never wait, and account for all that was put in."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from instrument.conftest import Init
from instrument.otlp import OtlpEndpoint
from otelkit.errors import UnavailableError
from otelkit.instrument.queues import Limits, Refused, SendQueue
from shop.waiting import until


class Backend:
    """Keeps what it gets; ``fails`` is raised instead, ``gate`` is waited for before."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.fails: Exception | None = None
        self.attempts = 0
        self.gate = threading.Event()
        self.gate.set()

    def send(self, batch: Sequence[int], _: float) -> None:
        self.attempts += 1
        self.gate.wait()
        if self.fails is not None:
            raise self.fails
        self.got += batch


class Account:
    """A queue of ten items, in batches of four, before a backend; what it drops by reason."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.dropped: Counter[str] = Counter()
        self.queue = SendQueue[int](
            "spans", lambda: self.backend.send, self._drop, Limits(10, 4, 0.05, 5)
        )

    def _drop(self, _: str, reason: str, count: int) -> None:
        self.dropped[reason] += count

    def put(self, count: int) -> None:
        for n in range(count):
            self.queue.put(n)


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    yield made
    made.backend.gate.set()
    made.queue.stop(1)


def test_what_is_put_in_arrives_in_order(account: Account) -> None:
    account.put(10)
    assert account.queue.flush(2)
    assert account.backend.got == list(range(10))


def test_a_full_queue_drops_the_oldest_and_counts_them(account: Account) -> None:
    account.backend.gate.clear()
    account.put(4)
    assert until(lambda: account.backend.attempts == 1, 5, interval=0.01), "a batch in hand"
    account.put(25)
    assert account.dropped == {"queue_full": 15}
    account.backend.gate.set()
    assert account.queue.stop(2)
    assert account.backend.got == [0, 1, 2, 3, *range(15, 25)]


@pytest.mark.parametrize("threads", [4])
def test_what_is_made_is_sent_or_dropped_while_the_backend_comes_and_goes(
    account: Account, threads: int
) -> None:
    makers = [threading.Thread(target=account.put, args=(500,)) for _ in range(threads)]
    for n, maker in enumerate(makers):
        account.backend.fails = UnavailableError("away") if n % 2 else None
        maker.start()
        account.queue.flush(0.05)
    for maker in makers:
        maker.join()
    account.backend.fails = None
    account.queue.flush(2)
    account.backend.gate.clear()
    account.put(7)
    account.queue.stop(0.1)
    account.put(3)
    account.backend.gate.set()
    assert account.dropped["shutdown"] == 10
    assert len(account.backend.got) + account.dropped.total() in (2010, 2010 + 4), (
        "the request without an answer counts as dropped, and may yet arrive"
    )


def test_what_a_server_refuses_for_good_is_dropped_and_the_rest_goes_on(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.backend.fails = Refused("it answered 404")
    account.put(6)
    assert not account.queue.flush(2), "flush does not call it delivered"
    assert account.dropped == {"export_failed": 6}
    account.backend.fails = None
    account.put(1)
    assert account.queue.flush(2)
    assert [r.getMessage() for r in caplog.records] == ["4 spans are dropped: it answered 404"]


def test_an_outage_is_waited_for_with_nothing_lost_and_told_of_once(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.backend.fails = UnavailableError("the server did not answer")
    account.put(5)
    assert not account.queue.flush(2)
    assert not account.queue.flush(2)
    account.backend.fails = None
    assert account.queue.flush(2)
    assert account.backend.got == list(range(5))
    assert account.dropped == {}
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        "the server did not answer; spans wait in memory and are tried again",
        "spans are delivered again",
    ]


@pytest.mark.parametrize("end", ["flush", "stop"])
def test_a_server_that_refuses_connections_is_tried_once_and_given_up_at_once(
    account: Account, end: str
) -> None:
    account.backend.fails = UnavailableError("away")
    account.put(9)
    assert until(lambda: account.backend.attempts > 0, 5, interval=0.01)
    attempts, start = account.backend.attempts, time.monotonic()
    assert not getattr(account.queue, end)(10)
    assert time.monotonic() - start < 2
    assert account.backend.attempts == attempts + 1
    assert account.dropped == ({} if end == "flush" else {"export_failed": 9})


def test_a_full_queue_is_counted_on_metrics_where_the_sdk_says_nothing(
    otlp: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch, init: Init, registry: CollectorRegistry
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    otlp.hung = True
    telemetry = init(endpoint=otlp.url)
    for _ in range(100):
        telemetry.tracer.start_span("step").end()
    labels = {"signal": "spans", "reason": "queue_full"}
    assert 80 <= (registry.get_sample_value("otelkit_telemetry_dropped_total", labels) or 0) <= 90
