"""Shutdown and exit: three seconds in all, and the truth about what was delivered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

import otelkit
from instrument.conftest import Init, StartChild
from instrument.otlp import OtlpEndpoint
from instrument.servers import dead, full, silent
from otelkit.instrument.lifecycle import SHUTDOWN_SECONDS
from shop.servers import free_port

IN_TIME = SHUTDOWN_SECONDS + 0.7
"""With room for a busy machine: the SDK's own shutdown takes 10 to 30 seconds here."""


def busy(telemetry: otelkit.Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1") as order:
        logging.getLogger("shop").warning("hello")
        order.moved_to("priced")


def hellos(otlp: OtlpEndpoint) -> int:
    """Records of :func:`busy`; a publisher of a test before may yet say that its broker hung."""
    return sum(record.body.string_value == "hello" for _, record in otlp.logs)


def timed_shutdown(telemetry: otelkit.Telemetry) -> tuple[bool, float]:
    start = time.monotonic()
    return telemetry.shutdown(), time.monotonic() - start


def test_all_is_delivered_and_shutdown_says_so(init: Init, vhost: str, otlp: OtlpEndpoint) -> None:
    telemetry = init(events=vhost, endpoint=otlp.url, metrics_port=0)
    busy(telemetry)
    delivered, seconds = timed_shutdown(telemetry)
    assert delivered
    assert seconds < SHUTDOWN_SECONDS
    assert [span.name for _, span in otlp.spans] == ["step"]
    assert hellos(otlp) == 1
    assert telemetry.shutdown(), "a second call repeats the answer"


@pytest.mark.parametrize(
    ("server", "scheme"), [(silent, "http"), (full, "amqp")], ids=["never answers", "backlog full"]
)
def test_hung_backends_hold_it_up_for_three_seconds_in_all(
    init: Init, server: Callable[[], AbstractContextManager[int]], scheme: str
) -> None:
    with server() as port:
        http = f"http://127.0.0.1:{port}"
        telemetry = init(
            events=f"{scheme}://127.0.0.1:{port}/", endpoint=http, loki=http, metrics_port=0
        )
        busy(telemetry)
        delivered, seconds = timed_shutdown(telemetry)
        assert not delivered
        assert seconds < IN_TIME
        assert {signal for signal, _ in dropped(telemetry)} == {"spans", "logs", "loki"}
        assert not telemetry.shutdown(), "a second call repeats the answer"


def test_dead_backends_are_given_up_after_one_attempt(init: Init) -> None:
    with dead() as port:
        http = f"http://127.0.0.1:{port}"
        telemetry = init(events=http, endpoint=http, loki=http)
        busy(telemetry)
        delivered, seconds = timed_shutdown(telemetry)
    assert not delivered
    assert seconds < 1
    # What was said of the dead collector for events came too late for the queues of logs.
    assert {(s, "export_failed") for s in ("spans", "logs", "loki")} <= dropped(telemetry)


def test_flush_delivers_all_and_telemetry_goes_on(
    init: Init, vhost: str, otlp: OtlpEndpoint
) -> None:
    telemetry = init(events=vhost, endpoint=otlp.url)
    for n in (1, 2):
        busy(telemetry)
        assert telemetry.flush()
        assert (len(otlp.spans), hellos(otlp)) == (n, n)


@pytest.mark.parametrize(("server", "at_most"), [(silent, 1.0), (dead, 0.9)])
def test_flush_keeps_its_time_and_loses_nothing_where_backends_are_away(
    init: Init, server: Callable[[], AbstractContextManager[int]], at_most: float
) -> None:
    with server() as port:
        telemetry = init(events=f"http://127.0.0.1:{port}", endpoint=f"http://127.0.0.1:{port}")
        busy(telemetry)
        start = time.monotonic()
        assert not telemetry.flush(1.0)
        assert time.monotonic() - start < at_most + 0.3
        assert dropped(telemetry) == set()


def dropped(telemetry: otelkit.Telemetry) -> set[tuple[str, str]]:
    """Signals and reasons of what was dropped."""
    return {
        (sample.labels["signal"], sample.labels["reason"])
        for family in telemetry.metrics.dropped.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def test_events_left_in_the_spool_are_not_called_delivered(init: Init) -> None:
    telemetry = init(events=f"amqp://127.0.0.1:{free_port()}/")
    busy(telemetry)
    delivered, seconds = timed_shutdown(telemetry)
    assert not delivered
    assert seconds < IN_TIME


def test_spans_and_records_that_were_refused_are_counted_and_not_called_delivered(
    init: Init, otlp: OtlpEndpoint
) -> None:
    telemetry = init(endpoint=f"{otlp.url}/wrong")
    with telemetry.tracer.start_as_current_span("step"):
        logging.getLogger("shop").warning("hello")
    dropped = telemetry.metrics.dropped
    assert not telemetry.shutdown()
    for signal in ("spans", "logs"):
        assert dropped.labels(signal, "export_failed")._value.get() == 1


def test_a_process_ends_within_the_same_three_seconds(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    otlp.hung = True
    code = """
telemetry = otelkit.init(service="shop", logs=False)
with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1") as order:
    order.moved_to("priced")
print("done", flush=True)
"""
    env = {"OTELKIT_EVENTS": otlp.url, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}
    ending = child(code, **env, OTELKIT_METRICS_PORT="0")
    assert ending.line() == "done"
    start = time.monotonic()
    ending.end()
    assert time.monotonic() - start < IN_TIME
    assert otlp.asked.is_set()


def test_threads_that_work_on_while_it_shuts_down_meet_no_exception(
    init: Init, otlp: OtlpEndpoint
) -> None:
    telemetry = init(endpoint=otlp.url, events=f"http://127.0.0.1:{free_port()}", metrics_port=0)
    ended, failures = threading.Event(), []

    @otelkit.observe
    def work() -> None:
        try:
            busy(telemetry)
        except Exception as error:
            failures.append(error)

    def working() -> None:
        while not ended.is_set():
            work()

    threads = [threading.Thread(target=working) for _ in range(3)]
    for thread in threads:
        thread.start()
    telemetry.shutdown()
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
