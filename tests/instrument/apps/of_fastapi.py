"""Under uvicorn: ``instrument.apps.of_fastapi:app``."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

import otelkit
from instrument.apps import work

work.start()
app = FastAPI()
app.add_middleware(
    otelkit.ASGIMiddleware,
    order_header="X-Order-Id",
    order_parameter="order_id",
    partner_header="X-Partner",
)


@app.get("/orders/{order_id}", response_class=PlainTextResponse)
def order(order_id: str) -> str:  # noqa: ARG001 - the middleware reads it
    return work.look()


@app.get("/take", response_class=PlainTextResponse)
async def take() -> str:
    return work.take()


@app.api_route("/look", methods=["GET", "HEAD"], response_class=PlainTextResponse)
def look() -> str:
    return work.look()


@app.get("/broken")
def broken() -> None:
    raise ValueError("broken")


@app.get("/stream")
def stream() -> StreamingResponse:
    return StreamingResponse(work.parts())
