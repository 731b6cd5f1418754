"""What may be asked of the collector over HTTP; what may not is refused with a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from otelkit.collect.store import BEGINNING, LAST_NUMBER, Alarm

MAX_BODY: Final = 8 * 1024 * 1024
MAX_EVENTS: Final = 10_000
"""Events in one request: a transaction, for which scrapes and other senders have to wait."""
MAX_PAGE: Final = 500


async def body(request: Request) -> bytes:
    """All of it, as far as it may reach."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise HTTPException(413, f"more than {MAX_BODY} bytes; send smaller batches")
        chunks.append(chunk)
    return b"".join(chunks)


def split(body: bytes) -> Sequence[bytes]:
    """The events of a JSON array."""
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(400, f"no JSON array of events: {error}") from error
    if len(items) > MAX_EVENTS:
        raise HTTPException(413, f"more than {MAX_EVENTS} events; send smaller batches")
    return [bytes(item) for item in items]


def limit(request: Request) -> int:
    """How many are asked for."""
    text = request.query_params.get("limit", "50")
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PAGE))
    if not is_number or not 1 <= int(text) <= MAX_PAGE:
        raise HTTPException(400, f"limit={text[:40]!r}; ask for 1 to {MAX_PAGE}")
    return int(text)


def one_of(name: str, text: str | None, known: Sequence[str]) -> str | None:
    """A misspelt filter must not look as if no order were late."""
    if text is not None and text not in known:
        raise HTTPException(400, f"no {name} {text!r} in the SLA file; it has {', '.join(known)}")
    return text


def cursor(text: str | None) -> Alarm:
    """The last alarm of the page before."""
    if text is None:
        return BEGINNING
    instant, _, number = text.partition(",")
    try:
        found = float(instant), int(number)
    except ValueError:
        found = math.nan, 0
    if not math.isfinite(found[0]) or not 0 <= found[1] <= LAST_NUMBER:
        raise HTTPException(400, f"after={text[:40]!r}; give what `next` said")
    return found
