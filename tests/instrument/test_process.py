"""What a process says of itself: threads, garbage collection, event loops, and the usual."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import otelkit
from instrument.conftest import Init
from otelkit import names
from otelkit.instrument.process import LAG_INTERVAL, ProcessMetrics


@pytest.fixture
def process(init: Init) -> ProcessMetrics:
    found = init().process
    assert found is not None
    return found


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"no sample {name}"
    return found


@pytest.mark.usefixtures("process")
def test_a_registry_of_ones_own_has_processor_time_memory_and_files_too(
    registry: CollectorRegistry,
) -> None:
    for metric in (names.PROCESS_CPU, names.PROCESS_MEMORY, names.PROCESS_OPEN_FILES):
        assert value(registry, metric.name) > 0


def test_the_default_registry_has_them_once(init: Init) -> None:
    init(registry=REGISTRY)
    text = generate_latest(REGISTRY).decode()
    assert text.count(f"\n{names.PROCESS_CPU.name} ") == 1


class Failing(Collector):
    """A collector of the service's own, before what it asks can be reached."""

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("stock", "Parts in stock.")

    def collect(self) -> Iterator[Metric]:
        raise ConnectionRefusedError


def test_a_collector_of_the_service_that_fails_costs_no_other_metric_at_init(
    init: Init, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing()
    registry.register(failing)
    init()
    registry.unregister(failing)
    assert value(registry, names.PROCESS_CPU.name) > 0
    assert value(registry, names.PROCESS_THREADS.name) > 0
    assert caplog.text == ""


@pytest.mark.usefixtures("process")
def test_threads_are_counted_as_they_come_and_go(registry: CollectorRegistry) -> None:
    before, done = value(registry, names.PROCESS_THREADS.name), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert value(registry, names.PROCESS_THREADS.name) == before + 1
    done.set()
    thread.join()


class Slow:
    """An object whose end takes some time, in a cycle that only a collection ends."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(0.05)


@pytest.mark.usefixtures("process")
def test_the_pause_of_a_collection_is_counted_for_its_generation(
    registry: CollectorRegistry,
) -> None:
    gc.collect()
    name, before = names.GC_PAUSES.name, {}
    for generation in "012":
        before[generation] = value(registry, name, generation=generation)
    Slow()
    gc.collect(1)
    assert value(registry, name, generation="1") - before["1"] >= 0.05
    assert value(registry, name, generation="2") == before["2"]


@pytest.mark.usefixtures("process")
def test_a_child_does_not_count_the_pauses_of_its_parent(registry: CollectorRegistry) -> None:
    Slow()
    gc.collect()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(value(registry, names.GC_PAUSES.name, generation="2")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert float(os.read(read, 100)) == 0
    os.close(read)
    os.close(write)


def test_a_busy_event_loop_shows_as_lag(
    process: ProcessMetrics, registry: CollectorRegistry
) -> None:
    busy = 0.3

    async def serve() -> None:
        process.watch_loop()
        process.watch_loop()  # by every request: it is measured once
        time.sleep(LAG_INTERVAL + busy)  # the mistake that the metric shows
        await asyncio.sleep(0)

    asyncio.run(serve())
    name = names.EVENT_LOOP_LAG.name
    assert value(registry, f"{name}_count") == 1
    assert value(registry, f"{name}_sum") >= busy


def test_after_a_shutdown_nothing_of_it_is_left(init: Init, registry: CollectorRegistry) -> None:
    before = len(gc.callbacks)
    telemetry: otelkit.Telemetry = init()
    assert len(gc.callbacks) == before + 1
    telemetry.shutdown()
    assert len(gc.callbacks) == before
    assert generate_latest(registry) == b""
