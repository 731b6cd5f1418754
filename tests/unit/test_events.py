"""The order event: its JSON Schema and the collector agree on what one is."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from otelkit.collect.clocks.decode import decode
from otelkit.errors import EventError
from otelkit.events import MAX_ALIASES, MAX_BYTES, MAX_ID_LENGTH, ORDER_MOVED, json_schema

SCHEMA = jsonschema.Draft202012Validator(json_schema())
RECEIVED = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def event(**changes: Any) -> dict[str, Any]:
    """A whole event; ``data`` among the changes is merged, and what is ``...`` left out."""
    data = {
        "process": "order", "status": "packed", "tier": "vip", "partner": "acme", "version": 7,
        "aliases": {"mes": "W-77"},
    }  # fmt: skip
    found = {
        "specversion": "1.0", "type": ORDER_MOVED, "source": "mes", "id": "1", "subject": "A-1",
        "time": "2025-12-31T23:00:00+01:00", "datacontenttype": "application/json",
        "data": {k: v for k, v in (data | changes.pop("data", {})).items() if v is not ...},
    }  # fmt: skip
    return {k: v for k, v in (found | changes).items() if v is not ...}


def taken(document: object) -> bool:
    """Whether the collector takes it."""
    try:
        decode(json.dumps(document).encode(), RECEIVED)
    except EventError:
        return False
    return True


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": {"tier": ..., "partner": ..., "version": ..., "aliases": ...}},
        {"data": {"tier": None, "partner": None, "version": None}, "traceparent": None},
        {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
        {"subject": "x" * MAX_ID_LENGTH},
        {"subject": "№ 7, Žižkov, 東京 \U0001d518"},
        {"data": {"aliases": {f"system {n}": "W" for n in range(MAX_ALIASES)}}},
        {"data": {"version": 2**63 - 1}},
        {"another": "extension", "data": {"more": 1}},
        {"time": "2025-12-31T23:59:59.123456Z"},
    ],
)
def test_what_the_schema_allows_the_collector_takes(changes: dict[str, Any]) -> None:
    document = event(**changes)
    SCHEMA.validate(document)
    assert taken(document)


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ...} for name in ("specversion", "type", "source", "id", "subject", "time")),
        *({"data": {name: ...}} for name in ("process", "status")),
        *({"data": {name: ""}} for name in ("process", "status", "tier", "partner")),
        *({"data": {name: "a\tb"}} for name in ("process", "status", "tier", "partner")),
        *({name: "x" * (MAX_ID_LENGTH + 1)} for name in ("source", "id", "subject")),
        *(
            {"subject": f"A{sign}1"}
            for sign in "\x00\n\x1f\x7f\x85\xa0\xad\u200b\u2028\u202e\ue000\ufeff"
        ),
        {"specversion": "0.3"},
        {"type": "io.otelkit.order.moved.v2"},
        {"time": "2025-12-31T23:00:00"},
        {"time": "yesterday"},
        {"time": 1767225600},
        {"data": {"version": -1}},
        {"data": {"version": 2**63}},
        {"data": {"version": "7"}},
        {"data": {"aliases": {"mes": ""}}},
        {"data": {"aliases": {"": "W-77"}}},
        {"data": {"aliases": {"m\nes": "W-77"}}},
        {"data": {"aliases": {"mes": "W\n77"}}},
        {"data": {"aliases": {"mes": 77}}},
        {"data": {"aliases": None}},
        {"data": {"aliases": {f"system {n}": "W" for n in range(MAX_ALIASES + 1)}}},
    ],
    ids=repr,
)
def test_what_the_schema_refuses_the_collector_does_not_take(changes: dict[str, Any]) -> None:
    document = event(**changes)
    assert not SCHEMA.is_valid(document)
    assert not taken(document)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extension": "x" * MAX_BYTES}, f"at most {MAX_BYTES} bytes"),
        ({"time": "1999-12-31T00:00:00Z"}, "since the year 2000"),
        ({"time": "2026-01-02T00:00:01Z"}, "at most a day ahead"),
        ({"data": {"version": 7.0}}, "without a decimal point"),
        ({"subject": "A\u0600"}, "no character that does not show"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_a_schema_cannot_refuse_it_describes(changes: dict[str, Any], said: str) -> None:
    document = event(**changes)
    SCHEMA.validate(document)
    assert not taken(document)
    assert said in json_schema()["description"]
