"""Log lines on standard output, and the same records over OTLP."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import pickle
import queue
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

import otelkit
from instrument.conftest import Init
from instrument.otlp import Attributes, OtlpEndpoint, attributes
from otelkit.testing import Recording
from shop.waiting import until

log = logging.getLogger("shop.orders")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_json_with_trace_order_extras_and_exception(
    init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = init(logs=True)
    with (
        telemetry.tracer.start_as_current_span("step") as span,
        otelkit.order("A-1", tier="vip", partner="acme"),
    ):
        try:
            raise ValueError("too dear")
        except ValueError:
            log.exception("цена %d", 7, extra={"customer": "Ромашка", "parts": {1, 2}})
    (line,) = lines(capsys)
    context = span.get_span_context()
    assert line.pop("time").endswith("+00:00")
    assert line.pop("exception").endswith("ValueError: too dear")
    assert line == {
        "level": "ERROR",
        "logger": "shop.orders",
        "message": "цена 7",
        "service": "shop",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "order_id": "A-1",
        "order_process": "order",
        "order_tier": "vip",
        "order_partner": "acme",
        "customer": "Ромашка",
        "parts": "{1, 2}",
    }


def test_an_extra_cannot_hide_what_the_line_is_about(
    init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    init(logs=True)
    with otelkit.order("A-1"):
        log.info("hello", extra={"order_id": "B-2", "level": "mine", "service": "other", "x": 1})
    (line,) = lines(capsys)
    assert (line["order_id"], line["level"], line["service"], line["x"]) == (
        "A-1",
        "INFO",
        "shop",
        1,
    )


def test_lines_outside_of_orders_and_spans_hold_no_empty_ids(
    init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    init(logs=True)
    log.info("hello")
    log.debug("not at this level")
    (line,) = lines(capsys)
    assert sorted(line) == ["level", "logger", "message", "service", "time"]


@pytest.fixture
def sent(init: Init, otlp: OtlpEndpoint) -> tuple[Attributes, LogRecord]:
    """The resource and the record of one error logged within a span and an order."""
    telemetry = init(endpoint=otlp.url)
    with telemetry.tracer.start_as_current_span("step"), otelkit.order("A-1", partner="acme"):
        try:
            raise ValueError("too dear")
        except ValueError:
            log.exception("price %d", 7, extra={"amount": 12.5, "parts": {1}})
    assert telemetry.shutdown()
    assert until(lambda: bool(otlp.spans and otlp.logs), 5)
    (found,) = otlp.logs
    return found


def test_the_record_over_otlp_holds_what_the_line_holds_and_its_body_the_message_alone(
    sent: tuple[Attributes, LogRecord], otlp: OtlpEndpoint
) -> None:
    _, record = sent
    span = otlp.named("step")
    assert record.body.string_value == "price 7"
    assert record.severity_text == "ERROR"
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    found = attributes(record.attributes)
    assert found.pop("exception.stacktrace").endswith("ValueError: too dear")
    assert found == {
        "amount": 12.5,
        "parts": "{1}",
        "order.id": "A-1",
        "order.process": "order",
        "order.partner": "acme",
        "exception.type": "ValueError",
        "exception.message": "too dear",
    }
    assert attributes(span.attributes)["order.id"] == "A-1"


def test_the_resource_names_the_service_and_no_instance(
    sent: tuple[Attributes, LogRecord], otlp: OtlpEndpoint
) -> None:
    for resource in (sent[0], otlp.spans[0][0]):
        assert resource["service.name"] == "shop"
        assert "service.instance.id" not in resource


def test_ids_keep_their_leading_zeros(telemetry: Recording) -> None:
    with otelkit.order("A-1") as order, otelkit.observe("step"):
        log.warning("priced")
        order.moved_to("priced")
    trace_id = "0" * 31 + "1"  # for a Tempo's search leaves them out
    assert telemetry.line("priced").fields["trace_id"] == trace_id
    assert str(telemetry.move("A-1", "priced").traceparent).split("-")[1] == trace_id


@pytest.fixture
def formatted(init: Init) -> Iterator[io.StringIO]:
    """What a handler and formatter of the service's own have written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(order_id)s %(message)s"))
    init()
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_a_formatter_of_the_service_can_name_trace_span_and_order(formatted: io.StringIO) -> None:
    with trace.get_tracer("x").start_as_current_span("step") as span, otelkit.order("A-1"):
        log.warning("inside")
    log.warning("outside")
    context = span.get_span_context()
    assert formatted.getvalue().splitlines() == [
        f"{context.trace_id:032x} {context.span_id:016x} A-1 inside",
        "   outside",
    ]


def test_a_record_knows_its_order_in_another_thread_and_another_process(init: Init) -> None:
    init()
    kept: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(kept)
    log.addHandler(handler)
    try:
        with otelkit.order("A-1"):
            log.warning("hello %s", "you")
    finally:
        log.removeHandler(handler)
    formatter = logging.Formatter("%(order_id)s %(message)s")
    record = kept.get()
    assert formatter.format(record) == "A-1 hello you"
    assert formatter.format(pickle.loads(pickle.dumps(record))) == "A-1 hello you"  # noqa: S301
    assert b"otelkit." not in pickle.dumps(record), "it is read without otelkit"


def test_extras_called_like_the_ids_raise_nothing_into_the_service(
    formatted: io.StringIO,
) -> None:
    log.warning("hello", extra={"order_id": "B-2", "trace_id": "mine", "span_id": 7})
    assert formatted.getvalue() == "mine 7 B-2 hello\n"


def test_a_record_factory_of_the_service_stays_at_work(init: Init) -> None:
    class Own(logging.LogRecord):
        color = "red"

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Own)
    try:
        telemetry = init()
        with otelkit.order("A-1"):
            record = log.makeRecord("x", logging.INFO, "", 1, "hello", (), None)
        telemetry.shutdown()
        assert logging.getLogRecordFactory() is Own
    finally:
        logging.setLogRecordFactory(before)
    assert isinstance(record, Own)
    assert logging.Formatter("%(order_id)s %(message)s").format(record) == "A-1 hello"


def test_structlog_gets_the_same_ids_and_the_same_redaction(init: Init) -> None:
    telemetry = init()
    with telemetry.tracer.start_as_current_span("step") as span, otelkit.order("A-1", tier="vip"):
        event = structlog.testing.CapturingLogger()
        bound = structlog.wrap_logger(event, processors=[otelkit.structlog_processor])
        bound.info("paid by bob@example.com", password="x", order_id="B-2", parts=[1, 2])
    context = span.get_span_context()
    assert event.calls[0].kwargs == {
        "event": "paid by [redacted]",
        "password": "[redacted]",
        "parts": [1, 2],
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "order_id": "A-1",
        "order_process": "order",
        "order_tier": "vip",
    }


def test_what_delivers_telemetry_makes_no_records_that_have_to_be_delivered(
    init: Init, otlp: OtlpEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = init(endpoint=f"{otlp.url}/wrong", loki=f"{otlp.url}/wrong", logs=True)
    log.warning("hello")
    for _ in range(3):
        telemetry.flush()
    said = [line["message"] for line in lines(capsys)]
    assert len(said) == 3, "each of the two queues says once that it is refused"
    counts = [telemetry.metrics.dropped.labels(s, "export_failed") for s in ("logs", "loki")]
    assert [count._value.get() for count in counts] == [1, 1]
