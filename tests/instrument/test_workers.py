"""Several workers behind one /metrics: their totals are those of their customers."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from instrument.conftest import StartChild
from shop.load import orders
from shop.servers import HOST, free_port
from shop.services import EXAMPLES
from shop.waiting import until

SERVERS = {
    "uvicorn": ["uvicorn", "--factory", "shop.api:serve", "--workers", "2", "--port", "{port}"],
    "gunicorn": [
        *("gunicorn", "shop.api:serve()", "--workers", "2", "--bind", f"{HOST}:{{port}}"),
        *("--worker-class", "uvicorn.workers.UvicornWorker"),
    ],
}
ORDERS = 25


class Shop:
    """The shop's API with two workers, and what its customers have counted."""

    def __init__(self, server: str, folder: Path) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.files = folder / "metrics"
        command = [sys.executable, "-m", *SERVERS[server]]
        env = {
            "PROMETHEUS_MULTIPROC_DIR": str(self.files),
            "OTELKIT_METRICS_PORT": str(self.metrics_port),
            "OTELKIT_SPOOL": str(folder / "spool"),
            "OTELKIT_EVENTS": f"http://{HOST}:{free_port()}",
            "SHOP_LINE": str(folder / "line.db"),
        }
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                env=os.environ | env | {"PYTHONPATH": str(EXAMPLES)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.answered: Counter[str] = Counter()
        self.ids: list[str] = []
        self._orders = orders("7")

    def workers(self) -> set[int]:
        """The processes that count, alive."""
        pids = {int(f.stem.rpartition("_")[2]) for f in self.files.glob("counter_*.db")}
        return {child.pid for child in psutil.Process(self.process.pid).children()} & pids

    def place(self, count: int) -> None:
        """Orders, each over a connection of its own, so that both workers get some."""
        for order in itertools.islice(self._orders, count):
            answer = httpx.post(f"http://{HOST}:{self.port}/orders", json=order, timeout=10)
            self.answered[str(answer.status_code)] += 1
            self.ids += [answer.json()["id"]] if answer.status_code == 201 else []

    def counted(self) -> dict[str, float]:
        """Requests by status, as /metrics has them."""
        text = httpx.get(f"http://{HOST}:{self.metrics_port}/metrics", timeout=10).text
        found: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "http_server_request_duration_seconds_count":
                    found[sample.labels["http_response_status_code"]] += sample.value
                if sample.name == "shop_checkouts_total":
                    found[sample.labels["outcome"]] += sample.value
        return {name: value for name, value in found.items() if value}

    def expected(self) -> dict[str, float]:
        outcomes = {"accepted": self.answered["201"], "refused": self.answered["422"]}
        return {k: v for k, v in {**self.answered, **outcomes}.items() if v}


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


@pytest.fixture(params=SERVERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(request.param, tmp_path)
    try:
        assert until(lambda: len(made.workers()) == 2, 30), made.log.read_text()
        assert until(lambda: listens(made.port) and listens(made.metrics_port), 20)
        yield made
    finally:
        made.process.terminate()
        made.process.wait(20)


def test_totals_are_those_that_customers_counted_also_after_a_worker_is_killed_and_replaced(
    shop: Shop,
) -> None:
    shop.place(ORDERS)
    assert until(lambda: shop.counted() == shop.expected(), 5), (shop.counted(), shop.expected())
    ended, scrapes = threading.Event(), [shop.counted()]

    def scrape() -> None:
        while not ended.wait(0.02):
            scrapes.append(shop.counted())

    scraping = threading.Thread(target=scrape)
    killed = min(shop.workers())
    psutil.Process(killed).kill()
    # A scrape that waits at the killed worker's socket is lost with it, and is tried again.
    assert until(lambda: killed not in shop.workers() and len(shop.workers()) == 2, 20)
    scraping.start()
    shop.place(ORDERS)
    assert until(lambda: shop.counted() == shop.expected(), 5), (shop.counted(), shop.expected())
    ended.set()
    scraping.join()
    for before, after in itertools.pairwise(scrapes):
        assert all(after.get(name, 0) >= value for name, value in before.items())
    assert not list(shop.files.glob(f"*_{killed}.db")), "its files are added up"
    assert len(set(shop.ids)) == len(shop.ids), "no worker gives an order the id of another's"


COUNT = """
import prometheus_client as p
telemetry = otelkit.init(service="shop", logs=False)
counter = p.Counter("made", "Things made.")
seconds = p.Histogram("took", "Seconds.", buckets=[1, 10])
best = p.Gauge("best", "Of all.", multiprocess_mode="max")
mine = p.Gauge("mine", "Of this one.")
def count(n):
    counter.inc(n); seconds.observe(n); best.set(n); mine.set(n)
"""


def scraped(port: int) -> dict[str, float]:
    text = httpx.get(f"http://{HOST}:{port}/metrics").text
    return {
        sample.name + sample.labels.get("le", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith(("otelkit_", "http_", "messaging_"))
    }


def test_files_of_the_dead_are_added_up_into_one_of_each_kind(
    child: StartChild, tmp_path: Path
) -> None:
    folder, port = tmp_path / "files", free_port()
    code = f"""{COUNT}
for n in range(1, 41):
    if (pid := os.fork()) == 0:
        count(n)
        os._exit(0)
    os.waitpid(pid, 0)
print("ready", flush=True); input()
"""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "OTELKIT_METRICS_PORT": str(port)}
    parent = child(code, **env)
    assert parent.line() == "ready"
    assert len(list(folder.glob("*.db"))) > 160
    expected = {"made_total": 820, "took_sum": 820, "took_count": 40, "best": 40} | {
        "took_bucket1.0": 1,
        "took_bucket10.0": 10,
        "took_bucket+Inf": 40,
    }
    for _ in range(2):
        found = scraped(port)
        assert {name: found[name] for name in expected} == expected
    assert len(list(folder.glob("*.db"))) <= 8, "three of the dead, four of the parent"
    assert found["mine"] == 0, "a gauge of its own ends with its process"
    parent.tell()
    parent.end()


def test_a_scraper_killed_while_it_adds_up_counts_nothing_twice_and_loses_nothing(
    child: StartChild, tmp_path: Path
) -> None:
    code = f"""{COUNT}
from pathlib import Path
from otelkit.instrument import workers

def forked(work):
    if (pid := os.fork()) == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def die_at(step, after):
    real, calls = getattr(Path, step), []
    def dying(*given, **named):
        calls.append(step)
        if len(calls) > after: os._exit(9)
        return real(*given, **named)
    setattr(Path, step, dying)
    list(workers.Workers(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])).collect())

for step in ("write_text", "replace", "unlink"):
    for after in range(3):
        forked(lambda: count(7))
        print(forked(lambda: die_at(step, after)), flush=True)
input()
"""
    port = free_port()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "OTELKIT_METRICS_PORT": str(port)}
    parent = child(code, **env)
    ends = [parent.line() for _ in range(9)]
    assert ends.count("9") >= 7, "it was killed at most steps"
    found = scraped(port)
    assert (found["made_total"], found["took_count"]) == (63, 9)
    parent.tell()
    parent.end()


def test_a_folder_that_cannot_be_made_is_a_sentence_and_the_process_counts_alone(
    child: StartChild, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    wrong = str(tmp_path / "file" / "metrics")
    code = """
import logging; logging.basicConfig(stream=sys.stdout)
telemetry = otelkit.init(service="shop", logs=False)
work = otelkit.observe(lambda: 42)
print(work())
"""
    said, number = child(code, PROMETHEUS_MULTIPROC_DIR=wrong).end().splitlines()
    assert f"PROMETHEUS_MULTIPROC_DIR={wrong} cannot be used: Not a directory" in said
    assert number == "42"
