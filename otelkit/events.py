"""The order event: a CloudEvent 1.0 that says an order has moved to a status.

Services write it (``otelkit.instrument``), the collector reads it (``otelkit.collect``), and a
service in any other language can send one by the JSON Schema of :func:`json_schema`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zlib import crc32

ORDER_MOVED: Final = "io.otelkit.order.moved.v1"
CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"

MAX_ID_LENGTH: Final = 200
"""Longest order id, source, event id, status, tier, partner or alias, in characters."""
MAX_ALIASES: Final = 20
MAX_BYTES: Final = 64 * 1024
"""Largest event, as UTF-8."""
SLOTS: Final = 64
"""Parts of all orders that collectors may share among them; a shard has one of them or more."""

_PRINTABLE: Final = (
    r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\ue000-\uf8ff\ufeff]*$"
)
"""In the syntax that Python and ECMA-262 share; further characters that do not show are rare."""


@dataclass(frozen=True, slots=True)
class OrderMoved:
    """One order has reached a status.

    ``source`` and ``id`` together are unique: the same pair is the same event, however often it
    arrives. ``order_id`` is the CloudEvents ``subject``. ``at`` is when the status was reached
    (aware), not when the event was sent. ``version``, where a source has one, decides which of
    two events is the newer; else ``at`` does. ``aliases`` are other names of the order by the
    system that uses them, such as ``{"mes": "W-77"}``.
    """

    source: str
    id: str
    order_id: str
    at: datetime
    process: str
    status: str
    tier: str | None = None
    partner: str | None = None
    version: int | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None


def encode(event: OrderMoved) -> bytes:
    """The event as structured-mode CloudEvents JSON, UTF-8. Absent optional fields are left out."""
    data: dict[str, Any] = {"process": event.process, "status": event.status}
    if event.tier is not None:
        data["tier"] = event.tier
    if event.partner is not None:
        data["partner"] = event.partner
    if event.version is not None:
        data["version"] = event.version
    if event.aliases:
        data["aliases"] = dict(event.aliases)
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "type": ORDER_MOVED,
        "source": event.source,
        "id": event.id,
        "subject": event.order_id,
        "time": event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }
    if event.traceparent is not None:
        envelope["traceparent"] = event.traceparent
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def slot_of(order_id: str) -> int:
    """The slot of an order, for ever: senders and collectors have to agree on it."""
    return crc32(order_id.encode()) % SLOTS


def slot_key(slot: int) -> str:
    """The second routing key (``CC``) of an event of that slot."""
    return f"slot.{slot}"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the order event."""
    name = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ID_LENGTH,
        "pattern": _PRINTABLE,
    }
    optional = {"type": ["string", "null"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "otelkit order event",
        "description": (
            "A CloudEvent 1.0 that says an order has reached a status. Beyond what is stated here: "
            f"at most {MAX_BYTES} bytes; a time since the year 2000 and at most a day ahead; "
            "a version without a decimal point; no character that does not show, of whatever "
            "script, but the space."
        ),
        "type": "object",
        "required": ["specversion", "type", "source", "id", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": ORDER_MOVED},
            "source": name | {"description": "Who sends; unique together with id."},
            "id": name | {"description": "Repeat it and the event counts once."},
            "subject": name | {"description": "The order id."},
            "time": {
                "type": "string",
                "format": "date-time",
                # Most validators only note a format.
                "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$",
                "description": "When the status was reached, with its offset from UTC.",
            },
            "datacontenttype": {"const": "application/json"},
            "traceparent": {
                "type": ["string", "null"],
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            },
            "data": {
                "type": "object",
                "required": ["process", "status"],
                "properties": {
                    "process": name,
                    "status": name,
                    "tier": name | optional,
                    "partner": name | optional,
                    "version": {
                        "type": ["integer", "null"],
                        "minimum": 0,
                        "maximum": 2**63 - 1,
                        "description": "The newer of two events has the higher one.",
                    },
                    "aliases": {
                        "type": "object",
                        "maxProperties": MAX_ALIASES,
                        "propertyNames": name,
                        "additionalProperties": name,
                        "description": "Other names of the order, by the system that uses them.",
                    },
                },
            },
        },
    }
