"""The collector over HTTP: metrics, health, posted events, and answers about orders."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from otelkit.collect import answers, clockanswers, openapi, requests
from otelkit.collect.acks import MOST
from otelkit.collect.batch import QUARANTINED, Received
from otelkit.collect.changeover import Changeover
from otelkit.collect.engine import Engine
from otelkit.collect.exposition import HTTP
from otelkit.collect.openapi import OPEN_PATHS
from otelkit.collect.orders import Orders
from otelkit.collect.sources import Sources
from otelkit.errors import ConfigError, StoreError

STREAM_LOOK_SECONDS: Final = 1.0
STREAM_SIGN_SECONDS: Final = 15.0
"""A stream on which nothing happens says so, or proxies would cut it."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the endpoints need. ``alive`` tells whether deadlines are still looked for, ``stopping``
    whether streams shall end."""

    engine: Engine
    orders: Orders
    changeover: Changeover
    sources: Sources
    registry: CollectorRegistry
    token: str | None
    alive: Callable[[], bool]
    stopping: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    admission: requests.Admission = field(default_factory=requests.Admission)
    refused: Counter[int] = field(default_factory=requests.refusals)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/metrics", self.metrics),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/openapi.json", self.openapi),
            Route("/events", self.post_events, methods=["POST"]),
            Route("/orders", self.list_orders),
            Route("/orders/{order_id:path}", self.order),
            Route("/orders/{order_id:path}", self.erase, methods=["DELETE"]),
            Route("/acks", self.acknowledge, methods=["POST"]),
            Route("/quarantine", self.quarantine),
            Route("/clocks", self.clocks),
            Route("/clocks/plan", self.plan, methods=["POST"]),
            Route("/clocks/apply", self.apply, methods=["POST"]),
        ]
        guard = [Middleware(_Guard, token=self.token)] if self.token is not None else []
        handlers: Any = {
            HTTPException: self.refuse,
            StoreError: self.store_refuses,
            ClientDisconnect: _gone,
        }
        return Starlette(routes=routes, middleware=guard, exception_handlers=handlers)

    # --- itself ----------------------------------------------------------------------------

    def metrics(self, request: Request) -> Response:
        """In the format that the scraper asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type})

    def healthz(self, _request: Request) -> Response:
        """Whether it works at all; a restart may help where it does not."""
        if not self.alive():
            return PlainTextResponse("no deadline has been looked for since too long\n", 503)
        return PlainTextResponse("ok\n")

    def readyz(self, _request: Request) -> Response:
        """Whether it reads all of its sources."""
        answer = answers.readiness(self.sources.all())
        return _json(answer, 200 if answer.ready else 503)

    def openapi(self, _request: Request) -> Response:
        """What else there is."""
        return _json(openapi.document(guarded=self.token is not None))

    def refuse(self, _request: Request, error: HTTPException) -> Response:
        """A request that cannot be answered, with a sentence."""
        self.refused[error.status_code] += 1
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    def store_refuses(self, _request: Request, error: StoreError) -> Response:
        """One that can be, later."""
        self.refused[503] += 1
        headers = {"Retry-After": str(requests.RETRY_AFTER)}
        return JSONResponse({"error": str(error)}, 503, headers)

    # --- events ----------------------------------------------------------------------------

    async def post_events(self, request: Request) -> Response:
        """One CloudEvent, or a batch of them; answered once they are committed."""
        async with self.admission.body(request) as body:
            is_batch = body.lstrip().startswith(b"[")
            bodies = requests.split(body) if is_batch else [body]
            now = self.clock()
            batch = [Received(HTTP, body, now) for body in bodies]
            taken = await run_in_threadpool(self.engine.apply, batch)
        # A batch is taken whatever is in it: its sender may forget it, and must not send it again.
        refused = not is_batch and taken[0].outcome == QUARANTINED
        return _json(answers.outcome(taken), 422 if refused else 200)

    def quarantine(self, request: Request) -> Response:
        """What was no event, the latest first."""
        return _json(answers.quarantine(self.engine.quarantined(requests.limit(request))))

    # --- orders ----------------------------------------------------------------------------

    def order(self, request: Request) -> Response:
        """The orders of that id, or that another system calls so."""
        return self._found(request.path_params["order_id"])

    def _found(self, name: str) -> Response:
        found = self.orders.find(name, self.clock())
        if not found:
            # With an empty list, which tells it from a server that knows no such path.
            told = f"no order {name!r} is known; no event has told of it"
            return _json(answers.Unknown(told), 404)
        return _json(answers.Found([answers.order(story) for story in found]))

    def erase(self, request: Request) -> Response:
        """Delete what is personal of the orders of that name, and why they were acknowledged."""
        name, now = request.path_params["order_id"], self.clock()
        known = [story.number for story in self.orders.find(name, now)]
        if not known:
            return self._found(name)
        self.orders.acks.add(known, now, "", now)
        return _json(answers.Erased(self.engine.erase(name)))

    async def acknowledge(self, request: Request) -> Response:
        """Somebody knows that an order is late."""
        async with self.admission.body(request) as body:
            asked = requests.ack(body, self.clock())
        return await run_in_threadpool(self._acknowledge, asked)

    def _acknowledge(self, asked: requests.AckRequest) -> Response:
        now = self.clock()
        known = [story.number for story in self.orders.find(asked.order, now)]
        if not self.orders.acks.add(known, asked.until.timestamp(), asked.reason, now):
            told = f"{MOST} orders are acknowledged already; see to some of them"
            return _json(answers.Refusal(told), 409)
        return self._found(asked.order)

    async def list_orders(self, request: Request) -> Response:
        """A page of orders by deadline; the same again whenever it changes, as a stream."""
        question = requests.question(request, self.engine)
        if openapi.EVENT_STREAM in request.headers.get("accept", ""):
            self.admission.check_streams()
            return StreamingResponse(
                self._live(question),
                headers={"Cache-Control": "no-store"},
                media_type=openapi.EVENT_STREAM,
            )
        return _json(await run_in_threadpool(self._listed, question))

    def _listed(self, question: requests.Question) -> answers.Orders:
        now = self.clock()
        return answers.orders(self.orders.late(**question, now=now), now)

    async def _live(self, question: requests.Question) -> AsyncIterator[bytes]:
        """Server-sent events: ``orders`` with a page, ``error``, and comments so that it lives."""
        told, told_at = b"", time.monotonic()
        with self.admission.stream():
            while not self.stopping():
                try:
                    page = await run_in_threadpool(self._listed, question)
                    news, state = _sse("orders", page), _without_age(page)
                except StoreError as error:
                    news = state = _sse("error", answers.Refusal(str(error)))
                if state != told or time.monotonic() - told_at >= STREAM_SIGN_SECONDS:
                    yield news if state != told else b": nothing new\n\n"
                    told, told_at = state, time.monotonic()
                await asyncio.sleep(STREAM_LOOK_SECONDS)

    # --- another SLA file ------------------------------------------------------------------

    def clocks(self, _request: Request) -> Response:
        """Which policies open orders follow, and how far a plan or its application has come."""
        return self._clocks(200)

    def _clocks(self, status: int) -> Response:
        return _json(clockanswers.clocks(self.changeover), status)

    async def plan(self, request: Request) -> Response:
        """Begin to tell what an SLA file would change; ``GET /clocks`` has the answer."""
        async with self.admission.body(request) as body:
            return await run_in_threadpool(self._change, body, apply=False)

    async def apply(self, request: Request) -> Response:
        """Judge by an SLA file from now on, and begin to let open orders follow it."""
        async with self.admission.body(request) as body:
            return await run_in_threadpool(self._change, body, apply=True)

    def _change(self, body: bytes, *, apply: bool) -> Response:
        text, new = requests.sla(body)
        try:
            if apply:
                self.changeover.apply(new, text)
            else:
                self.changeover.plan(new)
        except ConfigError as error:
            raise HTTPException(409, str(error)) from error
        return self._clocks(202)


class _Guard:
    """Asks for the token on every path that is not open."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                response = JSONResponse(
                    {"error": "send the collector's token: Authorization: Bearer ..."}, 401
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


# --- answers -------------------------------------------------------------------------------


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type=openapi.JSON)


def _sse(event: str, answer: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(answer))


def _without_age(page: answers.Orders) -> bytes:
    """A page as it is compared: what only grows older is no news."""
    orders = [replace(order, overdue_seconds=0.0) for order in page.orders]
    return msgspec.json.encode(replace(page, orders=orders))


def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # for nobody: whoever asked has hung up
