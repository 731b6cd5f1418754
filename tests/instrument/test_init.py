"""``init``: sets up what it can, says what it cannot, and never raises into the service."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry, Gauge

import otelkit
from instrument.conftest import Init, Spans, StartChild
from otelkit.instrument import runtime
from shop.servers import free_port


@otelkit.observe
def work() -> int:
    return 42


def sentences(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_before_init_everything_does_nothing_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        assert work() == 42
        with otelkit.order("A-1") as order:
            order.moved_to("priced")
    assert sentences(caplog) == [
        "@otelkit.observe does nothing until otelkit.init(...) is called",
        "Order.moved_to does nothing until otelkit.init(...) tells it where events go (events=)",
    ]


def test_one_call_serves_the_metrics_of_the_contract(init: Init) -> None:
    telemetry = init(metrics_port=0)
    work()
    text = urlopen(f"http://127.0.0.1:{telemetry.metrics_port}/metrics").read().decode()
    assert 'otelkit_operation_duration_seconds_count{error_type="",operation="work"} 1.0' in text
    for family in ("http_server_request_duration_seconds", "messaging_process_duration_seconds"):
        assert f"# TYPE {family} histogram" in text
    assert "# TYPE otelkit_telemetry_dropped_total counter" in text


def test_a_second_call_returns_the_first_and_warns(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    first = init()
    assert init(service="other") is first
    assert sentences(caplog) == ["otelkit.init was called before; this call has no effect"]


def test_a_service_may_shut_down_and_begin_again_on_the_same_port(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    for _ in range(2):
        telemetry = init(metrics_port=port, events="http://127.0.0.1:1")
        assert telemetry.metrics_port == port
        work()
        telemetry.shutdown()
    assert "metrics" not in "".join(sentences(caplog))


def test_the_environment_overrides_the_arguments(
    init: Init, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "crm")
    monkeypatch.setenv("OTELKIT_METRICS_PORT", "0")
    monkeypatch.setenv("OTELKIT_SPOOL", str(tmp_path / "other"))
    monkeypatch.setenv("OTELKIT_FSYNC", "yes")
    telemetry = init(service="shop", events="http://127.0.0.1:1", metrics_port=70_000)
    assert telemetry.settings.service == "crm"
    assert telemetry.settings.fsync
    assert telemetry.metrics_port
    assert (tmp_path / "other" / "orders.db").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTELKIT_METRICS_PORT", "ninety", "write a port from 0 to 65535, not 'ninety'"),
        ("OTELKIT_METRICS_PORT", "99999", "write a port from 0 to 65535, not '99999'"),
        ("OTELKIT_SPOOL_LIMIT", "-5", "write a whole number of events above 0, not '-5'"),
        ("OTELKIT_LOGS", "maybe", "write true or false, not 'maybe'"),
        ("OTELKIT_EVENTS", "kafka://u:secret@h/", "write an address such as amqp://host ("),
        ("OTELKIT_EVENTS", "amqp://u:secret@h:port/", "write an address such as amqp://host ("),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "such as http://host (http, https)"),
    ],
)
def test_a_wrong_variable_is_named_in_a_sentence_and_the_argument_holds(
    init: Init,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(variable, value)
    telemetry = init(metrics_port=0, events="http://127.0.0.1:1", endpoint="http://127.0.0.1:1")
    (sentence,) = [s for s in sentences(caplog) if variable in s]
    assert sentence.startswith(f"{variable} has no effect: ")
    assert said in sentence
    assert "secret" not in caplog.text
    assert telemetry.metrics_port
    assert telemetry.events is not None
    assert telemetry.settings.endpoint == "http://127.0.0.1:1"
    assert not telemetry.settings.logs
    assert telemetry.settings.spool_limit > 0


def test_a_wrong_argument_leaves_out_its_part_alone(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = init(metrics_port=0, endpoint="ftp://collector", events="kafka://u:secret@h")
    assert telemetry.metrics_port
    assert sentences(caplog) == [
        "events= has no effect: write an address such as amqp://host (amqp, amqps, http, https)",
        "endpoint= has no effect: write an address such as http://host (http, https)",
    ]
    with telemetry.tracer.start_as_current_span("step") as span:
        assert span.get_span_context().is_valid, "a wrong endpoint must not end tracing"


def test_a_taken_port_is_a_sentence_and_the_rest_works(
    init: Init, caplog: pytest.LogCaptureFixture, registry: CollectorRegistry
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        telemetry = init(metrics_port=taken.getsockname()[1])
    assert telemetry.metrics_port is None
    (sentence,) = sentences(caplog)
    assert sentence.startswith("metrics are off: ")
    assert "Address already in use" in sentence
    assert "the service goes on without them" in sentence
    work()
    count = "otelkit_operation_duration_seconds_count"
    assert registry.get_sample_value(count, {"operation": "work", "error_type": ""}) == 1


def test_a_metric_name_that_the_service_uses_itself_is_a_sentence(
    init: Init, caplog: pytest.LogCaptureFixture, registry: CollectorRegistry
) -> None:
    Gauge("http_server_request_duration_seconds", "the service's own", registry=registry)
    init()
    assert work() == 42
    (sentence,) = sentences(caplog)
    assert "http_server_request_duration_seconds" in sentence
    assert "the service goes on" in sentence


def test_events_whose_spool_cannot_be_opened_go_to_the_log(
    init: Init, caplog: pytest.LogCaptureFixture, registry: CollectorRegistry, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    init(events="http://127.0.0.1:1", spool=tmp_path / "file" / "spool")
    assert "the spool " in sentences(caplog)[0]
    assert "cannot be opened" in sentences(caplog)[0]
    with otelkit.order("A-1") as order:
        order.moved_to("priced")
    (lost,) = [r.getMessage() for r in caplog.records if "not spooled" in r.getMessage()]
    assert json.loads(lost[lost.index("{") :])["subject"] == "A-1"
    dropped = {"signal": "order_events", "reason": "spool_error"}
    assert registry.get_sample_value("otelkit_telemetry_dropped_total", dropped) == 1


def test_otel_sdk_disabled_switches_everything_off_without_a_word(
    init: Init, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    import pika

    publish = pika.channel.Channel.basic_publish
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = init(metrics_port=0, events="http://127.0.0.1:1", logs=True)
    assert work() == 42
    with otelkit.order("A-1") as order:
        order.moved_to("priced")
    assert telemetry.metrics_port is None
    assert not spool.exists()
    assert pika.channel.Channel.basic_publish is publish
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert caplog.records == []


def test_a_tracer_provider_of_the_service_is_adopted_and_left_running(
    init: Init, spans: Spans
) -> None:
    before = trace.get_tracer_provider()
    init(endpoint=f"http://127.0.0.1:{free_port()}")
    assert trace.get_tracer_provider() is before
    with otelkit.order("A-1"):
        work()
    assert (spans()["work"].attributes or {})["order.id"] == "A-1"
    active = runtime.active()
    assert active is not None
    active.shutdown()
    with trace.get_tracer("the service").start_as_current_span("after"):
        pass
    assert "after" in spans()


def test_a_service_serves_on_and_ends_in_time_with_all_of_its_servers_away(
    child: StartChild,
) -> None:
    port = free_port()
    served = child(
        "otelkit.init(service='x', events=sys.argv[0])\n"
        "work = otelkit.observe(lambda: 42)\n"
        "with otelkit.order('A-1') as order: order.moved_to('priced'); print(work())\n",
        OTELKIT_EVENTS=f"amqp://127.0.0.1:{port}/",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTELKIT_LOGS="false",
    )
    assert served.end(10).splitlines() == ["42"]
