"""The pytest plugin, as the tests of a service use it."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from prometheus_client import REGISTRY

import otelkit
from otelkit.testing import Recording, recorded
from otelkit.testing.clock import BEGINNING

log = logging.getLogger("shop")
pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


@otelkit.observe
def price(model: str) -> int:
    if not model:
        raise ValueError("no model")
    log.info("priced %s", model)
    return 42


def sell(order_id: str, model: str) -> None:
    with otelkit.order(order_id, tier="vip", partner="acme") as order:
        price(model)
        order.moved_to("priced", version=7)


def test_a_span_has_its_order_and_its_outcome(telemetry: Recording) -> None:
    sell("A-1", "desk")
    span = telemetry.span("price")
    assert span.attributes["order.id"] == "A-1"
    assert (span.kind, span.failed, span.parent) == ("internal", False, None)
    with pytest.raises(ValueError, match="no model"):
        sell("A-2", "")
    assert telemetry.span("price", {"order.id": "A-2"}).failed


def test_the_same_test_makes_the_same_ids_and_times(telemetry: Recording) -> None:
    with trace.get_tracer("service").start_as_current_span("outer"):
        telemetry.clock.advance(1.5)
        sell("A-1", "desk")
    outer, inner = telemetry.span("outer"), telemetry.span("price")
    assert (inner.parent, inner.trace_id) == ("outer", "0" * 31 + "1")
    assert (outer.seconds, inner.seconds) == (1.5, 0)
    move = telemetry.move("A-1", "priced")
    assert (move.id, move.at) == ("event-1", BEGINNING + timedelta(seconds=1.5))
    assert move.traceparent == f"00-{'0' * 31}1-{'0' * 15}1-01"


def test_ids_count_from_1_also_where_otelkits_own_span_is_the_first(telemetry: Recording) -> None:
    sell("A-1", "desk")
    assert telemetry.span("price").trace_id == "0" * 31 + "1"
    assert telemetry.line("priced desk").fields["span_id"] == "0" * 15 + "1"


def test_metrics_moves_and_log_lines_are_there_to_read(telemetry: Recording) -> None:
    sell("A-1", "desk")
    count = "otelkit_operation_duration_seconds_count"
    assert telemetry.metric(count, operation="price", error_type="") == 1
    assert telemetry.moves == [("A-1", "priced")]
    line = telemetry.line("priced desk")
    assert (line.level, line.logger) == ("INFO", "shop")
    assert line.fields["order_id"] == "A-1"
    assert line.fields["trace_id"] == telemetry.span("price").trace_id


def test_what_an_outbox_forwards_is_an_order_event_like_any_other(telemetry: Recording) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        otelkit.outbox.create(database)
        with otelkit.order("A-1", tier="vip") as order:
            order.also_known_as(mes="W-7")
            otelkit.outbox.moved_to(database, order, "priced", version=7)
            order.moved_to("priced", version=7)
        database.commit()
        assert otelkit.outbox.forward(database) == 1
    direct, forwarded = telemetry.moved
    assert replace(forwarded, id=direct.id) == direct


def test_what_is_not_there_is_told_with_what_there_is(telemetry: Recording) -> None:
    sell("A-1", "desk")
    with pytest.raises(AssertionError, match="span 'prize': not at all; there is \\['price'\\]"):
        telemetry.span("prize")
    with pytest.raises(AssertionError, match="move of 'A-1' to 'shipped': not at all; there is"):
        telemetry.move("A-1", "shipped")
    with pytest.raises(AssertionError, match=r"sample nothing_total: not at all; there .*otelkit_"):
        telemetry.metric("nothing_total")
    price("chair")
    with pytest.raises(AssertionError, match="span 'price': 2 times"):
        telemetry.span("price")


def test_other_threads_are_recorded_and_init_in_the_service_changes_nothing(
    telemetry: Recording,
) -> None:
    assert otelkit.init(service="shop", metrics_port=0) is telemetry
    thread = threading.Thread(target=sell, args=("A-1", "desk"))
    thread.start()
    thread.join()
    assert telemetry.moves == [("A-1", "priced")]
    assert REGISTRY.get_sample_value("otelkit_telemetry_dropped_total") is None


def test_a_recording_within_another_gives_way_to_it_again(telemetry: Recording) -> None:
    with recorded() as inner:
        sell("A-1", "desk")
    sell("A-2", "desk")
    assert inner.moves == [("A-1", "priced")]
    assert telemetry.moves == [("A-2", "priced")]
    with pytest.raises(AssertionError, match="'outside': not at all"):
        inner.span("outside")


def test_an_invalid_move_is_counted_and_logged_as_in_the_service(telemetry: Recording) -> None:
    with otelkit.order("A-1") as order:
        order.moved_to("")
    assert telemetry.moves == []
    dropped = telemetry.metric(
        "otelkit_telemetry_dropped_total", signal="order_events", reason="invalid"
    )
    assert dropped == 1
    assert "is lost" in telemetry.line("event that order A-1 reached").message


def test_afterwards_nothing_of_it_is_left() -> None:
    with recorded():
        price("desk")
    assert trace.get_tracer("x").start_span("late").is_recording() is False
    original = httpx.HTTPTransport.handle_request
    with recorded():
        assert httpx.HTTPTransport.handle_request is not original
    assert httpx.HTTPTransport.handle_request is original


def test_the_example_of_the_page_holds_and_fails_where_it_is_wrong(
    pytester: pytest.Pytester,
) -> None:
    """In a pytest of its own, which has to find the plugin by itself."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    wrong = example.replace('[("A-1042", "priced")]', '[("A-1042", "shipped")]')
    pytester.makepyfile(test_right=example, test_wrong=wrong)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*('A-1042', 'priced')*"])
