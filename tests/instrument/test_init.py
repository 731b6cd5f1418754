"""``init``: sets up what it can, says what it cannot, and never raises into the service."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import socket
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from wsgiref.util import setup_testing_defaults

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY, CollectorRegistry, Gauge

import otelkit
from instrument.conftest import Init, Spans, StartChild
from instrument.otlp import OtlpEndpoint
from instrument.test_spool import spooled
from otelkit.instrument import runtime
from otelkit.instrument.settings import Settings, from_environment
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
        "otelkit.observe does nothing until otelkit.init(...) is called",
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


def test_spans_are_exported_again_after_a_shutdown_and_a_second_init(
    init: Init, otlp: OtlpEndpoint
) -> None:
    of_a_library = trace.get_tracer("a library that asked for its tracer before")
    for service in ("first", "second"):
        telemetry = init(service=service, endpoint=otlp.url)
        with of_a_library.start_as_current_span(service):
            work()
        telemetry.provider.force_flush()
        assert telemetry.shutdown()
        with of_a_library.start_as_current_span("nobody's") as span:
            assert not span.is_recording()
    told = {(resource["service.name"], span.name) for resource, span in otlp.spans}
    assert told == {("first", "first"), ("first", "work"), ("second", "second"), ("second", "work")}


def test_what_a_service_does_to_the_global_provider_it_does_to_the_current_one(init: Init) -> None:
    exporter = InMemorySpanExporter()
    init()
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    work()
    assert [span.name for span in exporter.get_finished_spans()] == ["work"]


def test_the_standard_variables_say_who_we_are_to_the_endpoint_and_on_each_span(
    init: Init, otlp: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop%20two")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
    given = {"deployment.environment.name": "test", "k8s.pod.name": "shop-1"}
    telemetry = init(headers={"x-tenant": "other", "x-token": "t"}, resource=given)
    work()
    telemetry.shutdown()
    assert telemetry.settings.timeout == 2.5
    ((resource, _),) = otlp.spans
    assert resource["deployment.environment.name"] == "prod"
    assert resource["k8s.pod.name"] == "shop-1"
    assert otlp.headers[0]["x-tenant"] == "shop two"
    assert otlp.headers[0]["x-token"] == "t"


def test_spans_and_logs_may_go_to_endpoints_of_their_own(
    init: Init, otlp: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{otlp.url}/v1/logs")
    with OtlpEndpoint() as tempo:
        telemetry = init(endpoint="http://127.0.0.1:9", traces_endpoint=f"{tempo.url}/v1/traces")
        work()
        logging.getLogger("shop").warning("submitted")
        assert telemetry.shutdown()
    assert [span.name for _, span in tempo.spans] == ["work"]
    assert [record.body.string_value for _, record in otlp.logs] == ["submitted"]
    assert (tempo.logs, otlp.spans) == ([], [])


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
        ("OTEL_EXPORTER_OTLP_HEADERS", "token", "write name=value, and commas between several"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "write seconds above 0, not 'soon'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "otelkit speaks http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "such as http://host (http, https)"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "loki:3100", "such as http://host (http, https)"),
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


def test_a_token_is_what_a_header_can_hold_and_no_log_holds_it(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = init(events="http://127.0.0.1:1", events_token="sec\nret")
    telemetry.shutdown(1)
    assert telemetry.settings.events_token is None
    assert "events_token= has no effect: write a token of ASCII" in sentences(caplog)[0]
    assert "ret" not in caplog.text
    telemetry = init(events="http://127.0.0.1:1", events_token="secret\n")
    assert telemetry.settings.events_token == "secret", "as it stands in a file"


def test_no_list_is_an_empty_one(init: Init, caplog: pytest.LogCaptureFixture) -> None:
    nobody: Any = None  # what a setting may be that nobody has made
    assert init(propagate_to=nobody, instrument=nobody, metrics_port=0).metrics_port
    assert sentences(caplog) == []


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


def test_a_service_without_a_name_is_told_so(init: Init, caplog: pytest.LogCaptureFixture) -> None:
    assert init(service=None).settings.service == "unknown_service"
    assert sentences(caplog) == ["no service name is known; pass service= or set OTEL_SERVICE_NAME"]


@pytest.mark.parametrize("wrong", [{"spool": 5}, {"headers": "token"}, {"registry": "mine"}])
def test_an_argument_of_a_wrong_type_raises_nothing(
    init: Init, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    telemetry = init(**wrong, events="http://127.0.0.1:1", metrics_port=0)
    assert work() == 42
    assert telemetry.shutdown() in {True, False}
    assert "otelkit is off: " in caplog.text
    assert "the service goes on without it" in caplog.text


def test_init_settings_are_all_documented_and_have_their_variable() -> None:
    told = inspect.getdoc(otelkit.init) or ""
    given = set(inspect.signature(otelkit.init).parameters)
    derived = {"disabled", "traces", "lines"}
    assert given == {field.name for field in fields(Settings)} - derived | {"registry"}
    assert [name for name in given if name not in told] == []
    environment = {
        "OTEL_SERVICE_NAME": "crm",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://tempo",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://tempo/v1/traces",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://loki/otlp/v1/logs",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_RESOURCE_ATTRIBUTES": "a=1",
        "OTEL_SDK_DISABLED": "true",
        "OTELKIT_EVENTS": "amqp://host",
        "OTELKIT_EVENTS_TOKEN": "t",
        "OTELKIT_METRICS_PORT": "1",
        "OTELKIT_METRICS_HOST": "::",
        "OTELKIT_PROPAGATE_TO": "mes, *.crm",
        "OTELKIT_INSTRUMENT": "redis",
        "OTELKIT_LOKI": "http://loki",
        "OTELKIT_REDACT": "VIN-\\w+",
        "OTELKIT_SPOOL": "/spool",
        "OTELKIT_SPOOL_LIMIT": "1",
        "OTELKIT_FSYNC": "true",
        "OTELKIT_LOGS": "false",
    }
    usual = Settings(service="shop")
    read, problems = from_environment(usual, environment)
    assert problems == []
    assert read.propagate_to == ("mes", "*.crm")
    unread = [f.name for f in fields(Settings) if getattr(read, f.name) == getattr(usual, f.name)]
    assert unread == []


# --- a telemetry of its own ----------------------------------------------------------------


def test_a_local_telemetry_touches_nothing_outside_of_it(spool: Path) -> None:
    import requests

    root, collected = list(logging.getLogger().handlers), list(gc.callbacks)
    send = requests.adapters.HTTPAdapter.send
    exporter = InMemorySpanExporter()
    registry = CollectorRegistry()
    with otelkit.local(
        service="library", registry=registry, spool=spool, events="http://127.0.0.1:1"
    ) as telemetry:
        telemetry.provider.add_span_processor(SimpleSpanProcessor(exporter))
        with otelkit.order("A-1") as order:
            order.moved_to("priced")
            work()
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        assert runtime.latest() is None
        assert requests.adapters.HTTPAdapter.send is send
        assert logging.getLogger().handlers == root
        assert gc.callbacks == collected
    assert [(s.name, (s.attributes or {})["order.id"]) for s in exporter.get_finished_spans()] == [
        ("work", "A-1")
    ]
    assert [event["data"]["status"] for event in spooled(spool)] == ["priced"]
    count = "otelkit_operation_duration_seconds_count"
    assert REGISTRY.get_sample_value(count, {"operation": "work", "error_type": ""}) is None
    assert runtime.active() is None


def test_local_and_process_stay_apart(init: Init, registry: CollectorRegistry) -> None:
    own = CollectorRegistry()
    local = otelkit.local(service="library", registry=own)
    with runtime.using(local):
        assert init() is not local

    @otelkit.observe(name="of the library", telemetry=local)
    def of_the_library() -> None: ...

    of_the_library()
    work()
    count = "otelkit_operation_duration_seconds_count"
    for here, there, name in ((own, registry, "of the library"), (registry, own, "work")):
        labels = {"operation": name, "error_type": ""}
        assert here.get_sample_value(count, labels) == 1
        assert not there.get_sample_value(count, labels)
    local.shutdown()


def test_a_middleware_may_have_a_telemetry_of_its_own() -> None:
    registry = CollectorRegistry()

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        work()
        return [b"done"]

    local = otelkit.local(service="library", registry=registry)
    served = otelkit.WSGIMiddleware(app, telemetry=local)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body = served(environ, lambda *_: lambda _: None)
    assert b"".join(body) == b"done"
    body.close()  # type: ignore[attr-defined]
    for name, labels in (
        ("otelkit_operation_duration_seconds", {"operation": "work", "error_type": ""}),
        (
            "http_server_request_duration_seconds",
            {
                "http_request_method": "GET",
                "http_route": "",
                "http_response_status_code": "200",
            },
        ),
    ):
        assert registry.get_sample_value(f"{name}_count", labels) == 1
    local.shutdown()


# --- other people's instrumentation --------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An installed package that instruments a redis, a broken one, and a pika of its own."""
    (tmp_path / "of_redis.py").write_text(
        "said = []\n"
        "class Redis:\n"
        "    def instrument(self): said.append('on')\n"
        "    def uninstrument(self): said.append('off')\n"
        "class Broken:\n"
        "    def instrument(self): raise RuntimeError('needs redis 9')\n"
    )
    info = tmp_path / "of_redis-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: of-redis\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\n"
        "redis = of_redis:Redis\n"
        "broken = of_redis:Broken\n"
        "pika = of_redis:Redis\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("of_redis")
    del sys.modules["of_redis"]


@pytest.mark.parametrize("wanted", ["redis", "all"])
def test_other_instrumentation_is_picked_up_on_request_and_let_go(
    init: Init, package: Any, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    init().shutdown()
    assert package.said == [], "nobody has asked for it"
    monkeypatch.setenv("OTELKIT_INSTRUMENT", wanted)
    telemetry = init()
    assert package.said == ["on"]
    telemetry.shutdown()
    assert package.said == ["on", "off"]


def test_instrumentation_that_is_broken_missing_or_our_own_is_a_sentence(
    init: Init, package: Any, caplog: pytest.LogCaptureFixture
) -> None:
    init(instrument=["broken", "kafka", "pika"])
    assert package.said == []
    assert sentences(caplog) == [
        "instrument=broken has no effect, its package failed: RuntimeError: needs redis 9",
        "instrument=kafka has no effect: run pip install opentelemetry-instrumentation-kafka",
        "instrument=pika has no effect: otelkit does that itself",
    ]


# --- the network ---------------------------------------------------------------------------

NETWORK = """
import sys, threading
calling = threading.get_ident()
def hook(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.gethostbyname"}:
        if threading.get_ident() == calling:
            print(event, arguments[1:], flush=True)
sys.addaudithook(hook)
import logging, time, otelkit
logging.disable(logging.WARNING)
telemetry = otelkit.init(
    service="shop", metrics_port=0, logs=False, events="OTLP/events", endpoint="OTLP"
)
@otelkit.observe
def work(): logging.getLogger("shop").error("at work")
def app(environ, start_response):
    start_response("200 OK", [])
    work()
    return [b"done"]
with otelkit.order("A-1") as order:
    for n in range(3000):  # more than a queue of spans holds
        work()
    order.moved_to("priced")
list(otelkit.WSGIMiddleware(app)({"REQUEST_METHOD": "GET"}, lambda *_: None))
telemetry.shutdown()
print("end")
"""


@pytest.mark.parametrize("state", ["alive", "hung"])
def test_there_is_no_network_on_the_calling_thread_ever(
    child: StartChild, otlp: OtlpEndpoint, state: str
) -> None:
    otlp.hung = state == "hung"
    served = child(NETWORK.replace("OTLP", otlp.url))
    assert served.end(20).splitlines() == ["end"]
    assert otlp.asked.is_set(), "other threads do talk to it"
