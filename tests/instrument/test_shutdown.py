"""Shutdown and exit: three seconds in all, and the truth about what was delivered."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import otelkit
from instrument.conftest import Init, StartChild
from instrument.otlp import OtlpEndpoint
from otelkit.instrument.lifecycle import SHUTDOWN_SECONDS
from shop.servers import free_port

IN_TIME = SHUTDOWN_SECONDS + 0.7
"""With room for a busy machine: the SDK's own shutdown takes 10 to 30 seconds here."""


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def busy(telemetry: otelkit.Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1") as order:
        logging.getLogger("shop").warning("hello")
        order.moved_to("priced")


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
    assert [record.body.string_value for _, record in otlp.logs] == ["hello"]
    assert telemetry.shutdown(), "a second call repeats the answer"


@pytest.mark.parametrize("scheme", ["amqp", "http"])
def test_backends_that_accept_and_never_answer_hold_it_up_for_three_seconds_in_all(
    init: Init, silent: int, scheme: str
) -> None:
    address = f"127.0.0.1:{silent}"
    telemetry = init(events=f"{scheme}://{address}/", endpoint=f"http://{address}", metrics_port=0)
    busy(telemetry)
    delivered, seconds = timed_shutdown(telemetry)
    assert not delivered
    assert seconds < IN_TIME
    assert not telemetry.shutdown(), "a second call repeats the answer"


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
