"""What may be asked of the collector over HTTP; what may not is refused with a sentence."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Annotated, Final, TypedDict, get_args

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from otelkit import spec
from otelkit.collect.api.orders import Kind
from otelkit.collect.clocks.decode import Name
from otelkit.collect.clocks.policies import Terms, terms
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.alarms import BEGINNING, LAST_NUMBER, Alarm
from otelkit.errors import SpecError

MAX_BODY: Final = 8 * 1024 * 1024
MAX_EVENTS: Final = 10_000
"""Events in one request: a transaction, for which scrapes and other senders have to wait."""
MAX_REQUESTS: Final = 16
"""Requests with events at once. Each waits in a thread, of which scrapes need some of the 40."""
MAX_HELD: Final = 32 * 1024 * 1024
"""Bytes of events that wait at once."""
BODY_SECONDS: Final = 30.0
RETRY_AFTER: Final = 1
REFUSED: Final = (400, 408, 413, 429, 503)
"""Answers to events that were not taken: unreadable, slow or too large, or to be sent again."""
MAX_PAGE: Final = 500
MAX_STREAMS: Final = 32
"""Pages that show orders live at once, each of which asks the store every second."""
LONGEST_ACK: Final = 366 * 86_400.0
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Admission:
    """What posted events may hold at once, in memory and in threads, while they wait for a commit.

    For one event loop. Who comes on top of that is told to come again: a sender has a spool, and
    the collector has none.
    """

    def __init__(self) -> None:
        self._requests = 0
        self._bytes = 0
        self._streams = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """All of a body, which counts as held for as long as the block lasts."""
        if self._requests >= MAX_REQUESTS:
            raise _busy()
        self._requests += 1
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    chunks.append(chunk)
                    size += len(chunk)
                    self._bytes += len(chunk)
                    if size > MAX_BODY:
                        raise HTTPException(
                            413, f"more than {MAX_BODY} bytes; send smaller batches"
                        )
                    if self._bytes > MAX_HELD:
                        raise _busy()
            yield b"".join(chunks)
        except TimeoutError:
            raise HTTPException(
                408, f"not complete within {BODY_SECONDS:.0f} s; send it again"
            ) from None
        finally:
            self._requests -= 1
            self._bytes -= size

    def check_streams(self) -> None:
        """Refuse one more stream where there are as many as may be."""
        if self._streams >= MAX_STREAMS:
            raise _busy(f"{MAX_STREAMS} lists are streamed already; ask for one page instead")

    @contextmanager
    def stream(self) -> Iterator[None]:
        """For as long as a stream lasts."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1


def _busy(told: str = "more events wait than may; send them again later") -> HTTPException:
    return HTTPException(429, told, {"Retry-After": str(RETRY_AFTER)})


def refusals() -> Counter[int]:
    """Requests that were refused, by the status of the answer: none yet."""
    return Counter(dict.fromkeys(REFUSED, 0))


def is_batch(body: bytes) -> bool:
    """Whether a body holds a JSON array of events, or one event."""
    return body.lstrip().startswith(b"[")


def split(body: bytes) -> Sequence[bytes]:
    """The events of a body."""
    if not is_batch(body):
        return [body]
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(400, f"no JSON array of events: {error}") from error
    if len(items) > MAX_EVENTS:
        raise HTTPException(413, f"more than {MAX_EVENTS} events; send smaller batches")
    return [bytes(item) for item in items]


class AckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which order somebody knows to be late, until when, and why."""

    order: Name
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


def ack(body: bytes, now: float) -> AckRequest:
    """The request to acknowledge an order."""
    try:
        found = msgspec.json.decode(body, type=AckRequest)
        until = found.until.timestamp()
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise HTTPException(400, f"no acknowledgement: {error}") from error
    if until > now + LONGEST_ACK:
        days = int(LONGEST_ACK / 86_400)
        raise HTTPException(400, f"until is more than {days} days ahead; acknowledge it again then")
    if not found.reason.isprintable():
        raise HTTPException(400, "the reason holds control characters; send it without")
    return found


def sla(body: bytes) -> tuple[str, Terms]:
    """The SLA file that was sent: its text, and what it asks of orders."""
    try:
        text = body.decode("utf-8-sig")
        return text, terms(spec.loads(text, "the SLA file that was sent"))
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the SLA file is not UTF-8: {error}") from error
    except SpecError as error:
        raise HTTPException(400, str(error)) from error


class Question(TypedDict):
    """What :meth:`~otelkit.collect.api.orders.Orders.late` is asked for."""

    kind: Kind
    process: str | None
    objective: str | None
    stage: str | None
    tier: str | None
    partner: str | None
    acknowledged: bool | None
    after: Alarm
    limit: int


def question(request: Request, engine: Engine) -> Question:
    """Which orders are asked for."""
    asked = request.query_params
    kind = asked.get("state", "overdue")
    if kind not in KINDS:
        raise HTTPException(400, f"no such state; ask for one of {', '.join(KINDS)}")
    known = asked.get("acknowledged")
    if known not in {None, "true", "false"}:
        raise HTTPException(400, f"acknowledged={known[:40]!r}; ask for true or false")
    return {
        "kind": kind,
        "process": one_of("process", asked.get("process"), tuple(engine.policies)),
        "objective": one_of("objective", asked.get("objective"), engine.terms.objectives),
        "stage": one_of("stage", asked.get("stage"), engine.terms.stages),
        "tier": one_of("tier", asked.get("tier"), engine.terms.tiers),
        "partner": asked.get("partner"),
        "acknowledged": None if known is None else known == "true",
        "after": cursor(asked.get("after")),
        "limit": limit(request),
    }


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
