"""Under uvicorn: ``instrument.apps.of_starlette:app``."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import otelkit
from instrument.apps import work

work.start()


async def look(_: Request) -> Response:
    return PlainTextResponse(work.look())


async def take(_: Request) -> Response:
    return PlainTextResponse(work.take())


def broken(_: Request) -> Response:
    raise ValueError("broken")


def stream(_: Request) -> Response:
    return StreamingResponse(work.parts())


app = Starlette(
    routes=[
        Route("/orders/{order_id}", look),
        Route("/look", look),
        Route("/take", take),
        Route("/broken", broken),
        Route("/stream", stream),
    ],
    middleware=[
        Middleware(
            otelkit.ASGIMiddleware,
            order_header="X-Order-Id",
            order_parameter="order_id",
            partner_header="X-Partner",
        )
    ],
)
