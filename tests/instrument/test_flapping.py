"""A service under load whose OTLP endpoint comes and goes: alive, dead, alive, hung."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from instrument.otlp import FlappingEndpoint
from shop.servers import HOST, free_port
from shop.waiting import until

SIGNALS: Final = ("spans", "logs")
PHASES: Final = ("alive", "dead", "alive", "hung")
CLIENTS: Final = 4
PAUSE: Final = 0.02
"""Seconds between two requests of a client: some 150 a second in all."""
QUEUE: Final = 200
"""Small, so that a phase without an endpoint overflows it."""
MIB: Final = 1024 * 1024


@dataclass
class Load:
    """What clients saw, by the phase in which they asked."""

    phase: str = "alive"
    seconds: dict[str, list[float]] = field(default_factory=lambda: {p: [] for p in PHASES})
    wrong: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def client(self, port: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        number = 0
        while not self.done.wait(PAUSE):
            number += 1
            phase, start = self.phase, time.perf_counter()
            connection.request("GET", f"/work/{number}")
            answer = connection.getresponse()
            body = answer.read()
            self.seconds[phase].append(time.perf_counter() - start)
            if (answer.status, body) != (200, str(number).encode()):
                self.wrong.append(f"{answer.status} {body!r}")
        connection.close()


@contextmanager
def service(endpoint: FlappingEndpoint) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    queues = {
        f"{p}_{n}": str(QUEUE) for p in ("OTEL_BSP", "OTEL_BLRP") for n in ("MAX_QUEUE_SIZE",)
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--log-level", "error", "--port", str(port),
         "instrument.apps.flapping:app"],
        cwd=Path(__file__).parents[1],
        env=os.environ | queues | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url},
    )  # fmt: skip
    try:
        assert until(lambda: ask(port, "/work/0") == 0, 30, interval=0.05)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


@dataclass(frozen=True)
class Seen:
    """What a run has shown. ``memory`` is MiB at the end of each phase in which all was well."""

    load: Load
    account: dict[str, Any]
    received: dict[str, int]
    memory: list[float]


def run(seconds: float, rounds: int) -> Seen:
    """Each round goes through all phases, of so many seconds; then all is well for a while."""
    load, memory = Load(), []
    with FlappingEndpoint() as endpoint, service(endpoint) as (port, process):
        clients = [threading.Thread(target=load.client, args=(port,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for phase in (*PHASES * rounds, "alive"):
                endpoint.become(phase)
                load.phase = phase
                time.sleep(seconds)
                if phase == "alive":
                    memory.append(process.memory_info().rss / MIB)
        finally:
            load.done.set()
            for client in clients:
                client.join()
        account: dict[str, Any] = {}

        def balanced() -> bool:
            # The span of a request ends a moment after its answer.
            account.update(ask(port, "/account"))
            return all(
                endpoint.received[signal] + account["dropped"][signal] == account["made"][signal]
                for signal in SIGNALS
            )

        until(balanced, 10)
        return Seen(load, account, endpoint.received, memory)


def check(seen: Seen) -> None:
    """What holds however short the run is."""
    assert seen.load.wrong == []
    assert seen.account["flushed"]
    for signal in SIGNALS:
        made, dropped = seen.account["made"][signal], seen.account["dropped"][signal]
        assert dropped > 0, "the endpoint was away for long, and the queue is small"
        assert seen.received[signal] + dropped == made, signal
    threads = [name for name in seen.account["connecting"] if not name.startswith("otelkit-")]
    assert threads == [], "a calling thread has talked to the endpoint"


def test_a_minute_with_an_endpoint_that_comes_and_goes_loses_nothing_uncounted() -> None:
    check(run(seconds=6, rounds=2))


@pytest.mark.soak
def test_ten_minutes_of_it_cost_the_callers_no_time_and_the_process_no_memory(
    record_property: Callable[[str, object], None],
) -> None:
    seen = run(seconds=25, rounds=6)
    check(seen)
    healthy = _p999(seen.load.seconds["alive"])
    for phase in ("dead", "hung"):
        ratio = _p999(seen.load.seconds[phase]) / healthy
        record_property(f"p99.9 while {phase}, beside while alive", ratio)
        assert ratio <= 1.25, phase
    warm, *_, last = seen.memory[2:]
    grown = (last - warm) / (25 * 2 * (len(seen.memory) - 3) / 60)
    record_property("MiB a minute after the first round", grown)
    assert grown < 1


def _p999(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=1000)[-1]
