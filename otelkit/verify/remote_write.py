"""Prometheus remote write 1.0: series as the bytes of one request.

Written out by hand, since it needs four message types and no compression: snappy allows literals.
https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Points = Sequence[tuple[float, float | None]]
"""Unix seconds and values in order of time; None says that the series ended (a stale marker)."""

_STALE: Final = (0x7FF0000000000002).to_bytes(8, "little")
"""Not a float of Python: which NaN it is would not survive on every machine."""
_LITERAL: Final = 1 << 16
"""The longest literal whose length snappy writes in two bytes."""


def request(series: Iterable[tuple[Mapping[str, str], Points]]) -> bytes:
    """The body of one request; labels include ``__name__``."""
    return _snappy(b"".join(_field(1, _series(labels, points)) for labels, points in series))


def _series(labels: Mapping[str, str], points: Points) -> bytes:
    pairs = (
        _field(1, _field(1, name.encode()) + _field(2, labels[name].encode()))
        for name in sorted(labels)
    )
    return b"".join([*pairs, *(_field(2, _sample(at, value)) for at, value in points)])


def _sample(at: float, value: float | None) -> bytes:
    double = _STALE if value is None else struct.pack("<d", value)
    return b"\x09" + double + b"\x10" + _varint(round(at * 1000))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number, its length, and they themselves."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _snappy(data: bytes) -> bytes:
    found = [_varint(len(data))]
    for at in range(0, len(data), _LITERAL):
        literal = data[at : at + _LITERAL]
        found += [b"\xf4", struct.pack("<H", len(literal) - 1), literal]
    return b"".join(found)
