"""Bytes that nobody should send as an order event. None of them is one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

_NASTY = (
    "'; DROP TABLE orders; --",
    '"} 1\nup 0',
    "{{7*7}}${jndi:ldap://x}",
    "\x00",
    "\ud800",
    "\u202e\u0007",
    "x" * 5000,
    "../../etc/passwd",
    "=cmd|' /C calc'!A0",
)
_HUGE = (
    "1e400",
    "-1e400",
    "9" * 5000,
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "-7",
    "1.5",
    "18446744073709551616",
)
_DEPTH = 30_000
LARGE = b"x" * 10_000_000
_FIELDS = ("subject", "source", "id", "time", "type", "specversion", "data")


def hostile(count: int, seed: int, now: str) -> Iterator[bytes]:
    """So many, some of each kind; one in a thousand has 10 MB. ``now`` is an ISO time."""
    rng = random.Random(seed)
    kinds = (_noise, _deep, _huge_number, _injection, _cut, _wrong_type, _missing)
    for number in range(count):
        yield LARGE if number % 1000 == 500 else rng.choice(kinds)(rng, now)


def _event(now: str, **changed: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "type": "io.otelkit.order.moved.v1",
        "source": "crm",
        "id": "1",
        "subject": "A-1",
        "time": now,
        "data": {"process": "order", "status": "submitted"},
    }
    return event | changed


def _noise(rng: random.Random, _now: str) -> bytes:
    return rng.randbytes(rng.randrange(200))


def _deep(rng: random.Random, _now: str) -> bytes:
    opening = rng.choice((b"[", b'{"data":', b'{"specversion":"1.0","data":{"aliases":{"a":'))
    return opening * rng.randrange(1, _DEPTH // len(opening))


def _huge_number(rng: random.Random, now: str) -> bytes:
    event = _event(now, data={"process": "order", "status": "submitted", "version": "@"})
    return json.dumps(event).replace('"@"', rng.choice(_HUGE)).encode()


def _injection(rng: random.Random, now: str) -> bytes:
    data = {"process": "order", "status": "submitted"}
    data[rng.choice(("process", "status", "tier"))] = rng.choice(_NASTY)
    nasty = {key: rng.choice(_NASTY) for key in ("subject", "source", "id")}
    return json.dumps(_event(now, **nasty, data=data)).encode()


def _cut(rng: random.Random, now: str) -> bytes:
    body = json.dumps(_event(now)).encode()
    return body[: rng.randrange(len(body))]


def _wrong_type(rng: random.Random, now: str) -> bytes:
    value: object = rng.choice((None, True, 7, [], {}, "", "x" * 201, "2026-13-45T99:99:99Z"))
    field = rng.choice(_FIELDS)
    if isinstance(value, str) and value and field in {"subject", "source", "id"}:
        value = None  # a strange name is a name
    return json.dumps(_event(now, **{field: value})).encode()


def _missing(rng: random.Random, now: str) -> bytes:
    event = _event(now)
    del event[rng.choice(_FIELDS)]
    return json.dumps(event).encode()
