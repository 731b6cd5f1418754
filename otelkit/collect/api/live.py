"""A list of orders that is sent again whenever it changes, as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from otelkit.collect.api import answers, openapi, orderanswers
from otelkit.collect.api.requests import Admission
from otelkit.errors import StoreError

LOOK_SECONDS: Final = 1.0
SIGN_SECONDS: Final = 15.0
"""A stream on which nothing happens says so, or proxies would cut it."""


def response(
    look: Callable[[], Awaitable[orderanswers.Orders]],
    admission: Admission,
    stopping: Callable[[], bool],
) -> StreamingResponse:
    """What ``look`` finds, until ``stopping``; refused where there are too many streams."""
    admission.check_streams()
    return _Stream(look, admission, stopping)


class _Stream(StreamingResponse):
    """Counts from its first moment: of many that come at once each would find room else."""

    def __init__(
        self,
        look: Callable[[], Awaitable[orderanswers.Orders]],
        admission: Admission,
        stopping: Callable[[], bool],
    ) -> None:
        super().__init__(
            _live(look, stopping),
            headers={"Cache-Control": "no-store"},
            media_type=openapi.EVENT_STREAM,
        )
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._admission.stream():
            await super().__call__(scope, receive, send)


async def _live(
    look: Callable[[], Awaitable[orderanswers.Orders]], stopping: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Events ``orders`` with a page, ``error``, and comments so that it lives."""
    told, told_at = b"", time.monotonic()
    while not stopping():
        try:
            page = await look()
            news, state = _sse("orders", page), _without_age(page)
        except StoreError as error:
            news = state = _sse("error", answers.Refusal(str(error)))
        except HTTPException as error:
            news = state = _sse("error", answers.Refusal(error.detail))
        if state != told or time.monotonic() - told_at >= SIGN_SECONDS:
            yield news if state != told else b": nothing new\n\n"
            told, told_at = state, time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)


def _sse(event: str, answer: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(answer))


def _without_age(page: orderanswers.Orders) -> bytes:
    """A page as it is compared: what only grows older is no news."""
    orders = [replace(order, overdue_seconds=0.0) for order in page.orders]
    return msgspec.json.encode(replace(page, orders=orders))
