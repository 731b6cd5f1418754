"""Order events from the wire: bytes become an :class:`Event`, or a sentence why they cannot."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from otelkit.errors import EventError
from otelkit.events import MAX_ALIASES, MAX_BYTES, MAX_ID_LENGTH, ORDER_MOVED

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
"""An event from before this comes from a clock that was never set."""
FUTURE_SECONDS: Final = 86_400.0
"""An event from further ahead than this comes from a clock that is wrong."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event as the collector keeps it. ``at`` and ``received`` are Unix seconds."""

    source: str
    id: str
    order_id: str
    at: float
    process: str
    status: str
    tier: str | None
    partner: str | None
    version: int | None
    aliases: dict[str, str]
    trace_id: str | None
    received: float


class _Data(msgspec.Struct, gc=False):
    process: Name
    status: Name
    tier: Name | None = None
    partner: Name | None = None
    version: Version | None = None
    aliases: dict[Name, Name] = {}


class _Envelope(msgspec.Struct, gc=False):
    specversion: str
    type: str
    source: Name
    id: Name
    subject: Name
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: _Data
    traceparent: str | None = None


_traceparent: Final = re.compile("[^-]*-([0-9a-f]{32})-[^-]*-").match
_decoder: Final = msgspec.json.Decoder(_Envelope)


def decode(body: bytes, received: float) -> Event:
    """The event in a CloudEvents JSON document. Raises :class:`EventError`."""
    if len(body) > MAX_BYTES:
        raise EventError(f"{len(body)} bytes are too many; an event has at most {MAX_BYTES}")
    try:
        found = _decoder.decode(body)
        at = found.time.timestamp()
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise EventError(f"not an order event: {error}") from error
    if found.specversion != "1.0" or found.type != ORDER_MOVED:
        raise EventError(f"not an order event: type {found.type!r}; send {ORDER_MOVED!r}")
    if at < EARLIEST or at > received + FUTURE_SECONDS:
        where = "long past" if at < EARLIEST else "ahead of us"
        raise EventError(f"its time {found.time.isoformat()} is {where}; set the sender's clock")
    if len(found.data.aliases) > MAX_ALIASES:
        raise EventError(f"more than {MAX_ALIASES} aliases; send the ones people search for")
    data = found.data
    event = Event(
        found.source, found.id, found.subject, at, data.process, data.status, data.tier,
        data.partner, data.version, data.aliases, _trace_id(found.traceparent), received,
    )  # fmt: skip
    if not _is_plain(body):
        _check_text(event)
    return event


def _is_plain(body: bytes) -> bool:
    """Whether no name in it can hold what does not show, as in nearly every event.

    JSON has control characters escaped, all but one.
    """
    return body.isascii() and b"\\" not in body and b"\x7f" not in body


def _check_text(event: Event) -> None:
    """Names end up in metrics, logs and pages: control characters have no business there."""
    texts = (event.source, event.id, event.order_id, event.process, event.status)
    optional = (event.tier or "", event.partner or "")
    every = (*texts, *optional, *event.aliases, *event.aliases.values())
    if "".join(every).isprintable():
        return
    text = next(text for text in every if not text.isprintable())
    raise EventError(f"the name {text!r} holds control characters; send it without")


def _trace_id(traceparent: str | None) -> str | None:
    found = None if traceparent is None else _traceparent(traceparent)
    return None if found is None else found[1]
