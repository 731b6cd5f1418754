"""The order in hand, and the events that say where it is."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import otelkit
from instrument.conftest import Init, Spans
from instrument.test_spool import spooled, unheard
from otelkit.collect.clocks.decode import decode
from otelkit.events import json_schema
from otelkit.testing import Recording

CHECKER = jsonschema.Draft202012Validator(
    json_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


@otelkit.observe(name="step")
def step() -> str | None:
    order = otelkit.current_order()
    return order.id if order else None


def test_the_order_is_on_every_span_below_and_not_beyond(telemetry: Recording) -> None:
    with otelkit.order("A-1", process="repair", tier="vip", partner="acme"):
        step()
    step()
    assert [span.attributes for span in telemetry.spans] == [
        {
            "order.id": "A-1",
            "order.process": "repair",
            "order.tier": "vip",
            "order.partner": "acme",
        },
        {},
    ]


def test_an_order_within_an_order_is_the_one_in_hand_until_it_ends() -> None:
    with otelkit.order("A-1"):
        with contextlib.suppress(ValueError), otelkit.order("A-2"):
            assert step() == "A-2"
            raise ValueError("the inner block fails")
        assert step() == "A-1"
    assert step() is None


def test_the_order_goes_along_with_tasks_and_with_threads_that_copy_their_context() -> None:
    found: list[str | None] = []

    async def both() -> list[str | None]:
        async def one(id_: str) -> str | None:
            with otelkit.order(id_):
                await asyncio.sleep(0)
                return await asyncio.to_thread(step)

        return list(await asyncio.gather(one("A-1"), one("A-2")))

    with otelkit.order("A-3"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: found.append(step()),))
        thread.start()
        thread.join()
    assert asyncio.run(both()) + found == ["A-1", "A-2", "A-3"]


def test_an_order_may_end_in_another_context_than_it_began_in() -> None:
    """As in a dependency of FastAPI's that is a generator and runs in a pool of threads."""
    block = otelkit.order("A-1")
    contextvars.copy_context().run(block.__enter__)
    contextvars.copy_context().run(block.__exit__, None, None, None)


def test_an_event_holds_all_that_was_said_and_is_one_by_the_schema(init: Init, spool: Path) -> None:
    telemetry = init(events=unheard())
    at = datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=3)))
    with (
        telemetry.tracer.start_as_current_span("pricing") as span,
        otelkit.order("A-1", process="repair", tier="vip", partner="Ромашка") as order,
    ):
        order.also_known_as(mes="W-77")
        order.moved_to("priced", at=at, version=7)
    (event,) = spooled(spool)
    assert re.fullmatch("[0-9a-f]{32}", event.pop("id"))
    context = span.get_span_context()
    assert event == {
        "specversion": "1.0",
        "type": "io.otelkit.order.moved.v1",
        "source": "shop",
        "subject": "A-1",
        "time": "2026-03-29T00:30:00Z",
        "datacontenttype": "application/json",
        "traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-"
        f"{int(context.trace_flags):02x}",
        "data": {
            "process": "repair",
            "status": "priced",
            "tier": "vip",
            "partner": "Ромашка",
            "version": 7,
            "aliases": {"mes": "W-77"},
        },
    }
    CHECKER.validate(event | {"id": "1"})


def test_an_order_moves_without_a_block_too_and_a_block_may_be_entered_again(
    init: Init, spool: Path
) -> None:
    init(events=unheard())
    order = otelkit.order("A-1", tier="vip")
    order.moved_to("priced")
    (event,) = spooled(spool)
    assert (event["subject"], event["data"]["status"], event["data"]["tier"]) == (
        "A-1", "priced", "vip",
    )  # fmt: skip
    assert otelkit.current_order() is None
    with order:
        with order:
            assert step() == "A-1"
        assert step() == "A-1"
    assert step() is None


def test_a_span_says_how_far_its_order_has_come_and_each_step_of_the_way(
    init: Init, spans: Spans
) -> None:
    telemetry = init(events=unheard())
    with telemetry.tracer.start_as_current_span("pricing"), otelkit.order("A-1") as order:
        order.moved_to("submitted")
        order.moved_to("priced")
    span = spans()["pricing"]
    assert span.attributes is not None
    assert span.attributes["order.stage"] == "priced", "what the order journey shows of a trace"
    assert [(moved.name, dict(moved.attributes or {})) for moved in span.events] == [
        ("order.moved", {"order.id": "A-1", "order.stage": "submitted"}),
        ("order.moved", {"order.id": "A-1", "order.stage": "priced"}),
    ]


def say(**given: Any) -> None:
    with otelkit.order(**({"id": "A-1"} | given.get("order", {}))) as order:
        order.also_known_as(**given.get("aliases", {}))
        order.moved_to(**({"status": "priced"} | given.get("moved", {})))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"order": {"tier": "", "partner": ""}},
        {"order": {"id": 1042}},
        {"order": {"id": "A" * 201, "partner": "P" * 201}},
        {"aliases": {"mes": 77, "crm": ""}},
        {"moved": {"at": datetime(2026, 1, 1)}},  # noqa: DTZ001 - what is tried
    ],
    ids=str,
)
def test_whatever_a_service_passes_becomes_an_event_that_schema_and_collector_take(
    init: Init, spool: Path, given: dict[str, Any]
) -> None:
    init(events=unheard())
    say(**given)
    (event,) = spooled(spool)
    CHECKER.validate(event)
    decode(json.dumps(event).encode(), received=time.time())


@pytest.mark.parametrize(
    "given",
    [
        {"moved": {"status": ""}},
        {"moved": {"status": "s" * 201}},
        {"moved": {"version": -1}},
        {"moved": {"version": "7"}},
        {"moved": {"at": "yesterday"}},
        {"moved": {"status": None}},
        {"order": {"id": ""}},
        {"order": {"process": ""}},
    ],
    ids=str,
)
def test_what_no_collector_could_take_is_refused_in_the_log_and_counted(
    init: Init,
    spool: Path,
    given: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    registry: Any,
) -> None:
    init(events=unheard())
    say(**given)
    assert spooled(spool) == []
    (record,) = [r for r in caplog.records if r.name == "otelkit.orders"]
    assert record.levelname == "ERROR"
    assert "is lost: " in record.getMessage()
    assert "; pass " in record.getMessage()
    assert record.exc_info is None
    dropped = {"signal": "order_events", "reason": "invalid"}
    assert registry.get_sample_value("otelkit_telemetry_dropped_total", dropped) == 1


def test_now_is_when_nothing_else_is_said(init: Init, spool: Path) -> None:
    init(events=unheard())
    before = datetime.now(UTC)
    say()
    said = datetime.fromisoformat(spooled(spool)[0]["time"])
    assert before <= said <= datetime.now(UTC)
