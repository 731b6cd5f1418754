"""Collectors of a service's own on ``/metrics``: one that fails costs its own families alone."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from instrument.conftest import Init, StartChild
from shop.servers import free_port

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
FORMATS: Final = {"text": CONTENT_TYPE_PLAIN_0_0_4, "openmetrics": OPENMETRICS}


class Stock(Collector):
    """Two families of a collector: the first is whole, the second is ``bolts``, if anything."""

    def __init__(self, *bolts: Any, error: Exception | None = None) -> None:
        self.bolts = bolts
        self.error = error
        self.asked = 0

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("stock_nuts", "Nuts in stock.")
        yield GaugeMetricFamily("stock_bolts", "Bolts in stock.")

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        yield GaugeMetricFamily("stock_nuts", "Nuts in stock.", value=7)
        bolts = GaugeMetricFamily("stock_bolts", "Bolts in stock.", labels=["size"])
        yield bolts
        for size, value in self.bolts:
            bolts.add_metric([size], value)
        if self.error is not None:
            raise self.error


FAILURES: Final = {
    "after a sample": (
        Stock(("M4", 1), error=ConnectionRefusedError(111, "Connection refused")),
        "ConnectionRefusedError: [Errno 111] Connection refused",
    ),
    "with many lines": (Stock(error=RuntimeError("no stock\nSELECT 1")), "RuntimeError: no stock"),
    "with a value that is none": (Stock(("M4", 1), ("M5", None)), "stock_bolts cannot be written"),
    "with a label that is no text": (Stock((4, 1)), "stock_bolts cannot be written"),
}


class Page:
    """``/metrics`` of a service, as a Prometheus asks for it."""

    def __init__(self, port: int | None) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"

    def samples(self, accept: str = "", query: str = "") -> dict[str, float]:
        """By name, of several the sum; the text must be valid."""
        answer = httpx.get(self.url, params=query, headers={"Accept": accept})
        assert answer.status_code == 200
        parse: Any = text_string_to_metric_families
        if answer.headers["Content-Type"].startswith("application/openmetrics-text"):
            parse = openmetrics.text_string_to_metric_families
        found: dict[str, float] = {}
        for family in parse(answer.text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0) + sample.value
        return found


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.fixture
def page(init: Init) -> Page:
    return Page(init(metrics_port=0).metrics_port)


LOST: Final = "otelkit_telemetry_dropped_total"


@pytest.mark.parametrize("accept", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("stock", "why"), FAILURES.values(), ids=FAILURES)
def test_a_collector_that_fails_costs_its_own_families_is_counted_and_said_once(
    page: Page,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    stock: Stock,
    why: str,
    accept: str,
) -> None:
    registry.register(stock)
    Counter("sold", "Sold before and after.", registry=registry).inc(3)
    for scrape in range(3):
        found = page.samples(accept)
        assert found["sold_total"] == 3
        assert found["process_cpu_seconds_total"] > 0
        assert [name for name in found if name.startswith("stock")] == []
        assert found[LOST] in {scrape, scrape + 1}, "it may be read before the collector is asked"
    (sentence,) = said(caplog)
    begin = f"/metrics goes on without the collector {__name__}.Stock (stock_nuts)"
    assert sentence.startswith(f"{begin}, which failed: ")
    assert why in sentence
    assert "\n" not in sentence


def test_a_collector_that_works_again_is_there_again(
    page: Page, registry: CollectorRegistry
) -> None:
    stock = Stock(("M4", 1), ("M5", 2), error=TimeoutError())
    registry.register(stock)
    assert "stock_bolts" not in page.samples()
    stock.error = None
    assert page.samples()["stock_bolts"] == 3


def test_a_gauge_whose_function_fails_costs_itself_alone(
    page: Page, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    Gauge("depth", "Of a queue.", registry=registry).set_function(lambda: 1 / 0)
    assert "depth" not in page.samples()
    (sentence,) = said(caplog)
    assert "prometheus_client.metrics.Gauge (depth), which failed: ZeroDivisionError" in sentence


def test_a_scrape_of_some_names_asks_their_collectors_alone(
    page: Page, registry: CollectorRegistry
) -> None:
    stock, broken = Stock(("M4", 1)), Gauge("depth", "Of a queue.", registry=registry)
    broken.set_function(lambda: 1 / 0)
    registry.register(stock)
    registry.set_target_info({"site": "north"})
    wanted = "name[]=depth&name[]=target_info&name[]="
    assert page.samples(query=f"{wanted}process_thread_count").keys() == {
        "target_info",
        "process_thread_count",
    }
    assert stock.asked == 0
    assert page.samples(query=f"{wanted}stock_bolts") == {"target_info": 1, "stock_bolts": 1}


def test_workers_whose_folder_is_gone_answer_an_error_and_say_so_once(
    child: StartChild, tmp_path: Path
) -> None:
    folder, port = tmp_path / "files", free_port()
    served = child(
        "import logging; logging.basicConfig(stream=sys.stdout)\n"
        "telemetry = otelkit.init(service='shop', logs=False)\n"
        "print('ready', flush=True); input(); print('end')\n",
        PROMETHEUS_MULTIPROC_DIR=str(folder),
        OTELKIT_METRICS_PORT=str(port),
    )
    assert served.line() == "ready"
    shutil.rmtree(folder)
    for _ in range(2):
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert (answer.status_code, "log of the service" in answer.text) == (500, True)
    served.tell()
    sentence, end = served.end().splitlines()
    assert "/metrics cannot be read: " in sentence
    assert str(folder) in sentence
    assert end == "end"
