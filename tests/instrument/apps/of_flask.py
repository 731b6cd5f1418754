"""Under gunicorn: ``instrument.apps.of_flask:app``."""

from __future__ import annotations

from flask import Flask, Response

import otelkit
from instrument.apps import work

work.start()
app = Flask(__name__)
app.wsgi_app = otelkit.WSGIMiddleware(  # type: ignore[method-assign]
    app.wsgi_app,
    order_header="X-Order-Id",
    order_parameter="order_id",
    partner_header="X-Partner",
)


@app.get("/orders/<order_id>")
def order(order_id: str) -> str:  # noqa: ARG001 - the middleware reads it
    return work.look()


@app.get("/look")
def look() -> str:
    return work.look()


@app.get("/take")
def take() -> str:
    return work.take()


@app.get("/broken")
def broken() -> str:
    raise ValueError("broken")


@app.get("/stream")
def stream() -> Response:
    return Response(work.parts())
