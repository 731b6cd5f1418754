"""Log lines on standard output, and the same records over OTLP."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

import otelkit
from instrument.conftest import Init
from instrument.otlp import Attributes, OtlpEndpoint, attributes
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


def test_the_record_over_otlp_holds_what_the_line_holds(
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
