"""The collector over HTTP: metrics, health, posted events, and answers about orders."""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from otelkit.collect.api import answers, clockanswers, live, openapi, orderanswers, requests
from otelkit.collect.api.acks import MOST
from otelkit.collect.api.exposition import HTTP
from otelkit.collect.api.openapi import OPEN_PATHS
from otelkit.collect.api.orders import Orders
from otelkit.collect.engine.changeover import Changeover
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import QUARANTINED, Received
from otelkit.collect.sources.conditions import Sources
from otelkit.errors import ConfigError, OtelkitError, StoreError, UnavailableError

SCRAPES: Final = 4
"""At once; more wait for each other."""
_limiter: Final[RunVar[CapacityLimiter]] = RunVar("otelkit scrapes")
UNKNOWN: Final = 404
"""The status where no order is known by a name."""


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
        return application(routes(self), self.token, self.refused)

    # --- itself ----------------------------------------------------------------------------

    async def metrics(self, request: Request) -> Response:
        """In the format that the scraper asks for."""
        return await exposed(self.registry, request)

    async def healthz(self, _request: Request) -> Response:
        """Whether it works at all; a restart may help where it does not."""
        if not self.alive():
            return PlainTextResponse("no deadline has been looked for since too long\n", 503)
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Whether it reads all of its sources."""
        answer = answers.readiness(self.sources.all())
        return json_response(answer, 200 if answer.ready else 503)

    def openapi(self, _request: Request) -> Response:
        """What else there is."""
        return json_response(openapi.document(guarded=self.token is not None))

    # --- events ----------------------------------------------------------------------------

    async def post_events(self, request: Request) -> Response:
        """One CloudEvent, or a batch of them; answered once they are committed."""
        async with self.admission.body(request) as body:
            is_batch = requests.is_batch(body)
            now = self.clock()
            batch = [Received(HTTP, one, now) for one in requests.split(body)]
            taken = await run_in_threadpool(self.engine.apply, batch)
        # A batch is taken whatever is in it: its sender may forget it, and must not send it again.
        refused = not is_batch and taken[0].outcome == QUARANTINED
        return json_response(answers.outcome(taken), 422 if refused else 200)

    def quarantine(self, request: Request) -> Response:
        """What was no event, the latest first."""
        return json_response(answers.quarantine(self.engine.quarantined(requests.limit(request))))

    # --- orders ----------------------------------------------------------------------------

    def order(self, request: Request) -> Response:
        """The orders of that id, or that another system calls so."""
        return self._found(request.path_params["order_id"])

    def _found(self, name: str) -> Response:
        return found(
            name, [orderanswers.order(story) for story in self.orders.find(name, self.clock())]
        )

    def erase(self, request: Request) -> Response:
        """Delete what is personal of the orders of that name, and why they were acknowledged."""
        name, now = request.path_params["order_id"], self.clock()
        known = [story.number for story in self.orders.find(name, now)]
        if not known:
            return self._found(name)
        self.orders.acks.add(known, now, "", now)
        return json_response(orderanswers.Erased(self.engine.erase(name)))

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
            return json_response(answers.Refusal(told), 409)
        return self._found(asked.order)

    async def list_orders(self, request: Request) -> Response:
        """A page of orders by deadline; the same again whenever it changes, as a stream."""
        question = requests.question(request, self.engine)
        if openapi.EVENT_STREAM in request.headers.get("accept", ""):

            async def look() -> orderanswers.Orders:
                return await run_in_threadpool(self._listed, question)

            return live.response(look, self.admission, self.stopping)
        return json_response(await run_in_threadpool(self._listed, question))

    def _listed(self, question: requests.Question) -> orderanswers.Orders:
        now = self.clock()
        return orderanswers.orders(self.orders.late(**question, now=now), now)

    # --- another SLA file ------------------------------------------------------------------

    def clocks(self, _request: Request) -> Response:
        """Which policies open orders follow, and how far a plan or its application has come."""
        return self._clocks(200)

    def _clocks(self, status: int) -> Response:
        return json_response(clockanswers.clocks(self.changeover), status)

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


def routes(endpoints: object) -> list[Route]:
    """One for each operation of the API; it is answered by the method of its name."""
    return [
        Route(
            one.path.replace("}", ":path}"),
            getattr(endpoints, one.name),
            methods=[one.method.upper()],
        )
        for one in openapi.OPERATIONS
    ]


def application(routes: Sequence[BaseRoute], token: str | None, refused: Counter[int]) -> Starlette:
    """Routes that ask for the token, and say in a sentence what they refuse, which is counted."""

    # None of them in a thread: all may be taken by what is to be refused more of.
    async def refuse(_request: Request, error: HTTPException) -> Response:
        refused[error.status_code] += 1
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    async def refuse_for_now(_request: Request, error: OtelkitError) -> Response:
        refused[503] += 1
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": str(requests.RETRY_AFTER)})

    guard = [Middleware(_Guard, token=token)] if token is not None else []
    handlers: Any = {
        HTTPException: refuse,
        StoreError: refuse_for_now,
        UnavailableError: refuse_for_now,
        ClientDisconnect: _gone,
    }
    return Starlette(routes=routes, middleware=guard, exception_handlers=handlers)


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


async def exposed(registry: CollectorRegistry, request: Request) -> Response:
    """The metrics of a registry, in the format that the request asks for."""
    try:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # of a version that is none
        encode, content_type = choose_encoder("")
    page = await to_thread.run_sync(encode, registry, limiter=_scrapes())
    return Response(page, headers={"Content-Type": content_type})


def _scrapes() -> CapacityLimiter:
    """The threads of scrapes, which questions about orders cannot take while they wait."""
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(found := CapacityLimiter(SCRAPES))
        return found


def found(name: str, orders: list[orderanswers.Order]) -> Response:
    """The orders that were asked for by a name, or a sentence where there are none."""
    if not orders:
        # With an empty list, which tells it from a server that knows no such path.
        told = f"no order {name!r} is known; no event has told of it"
        return json_response(orderanswers.Unknown(told), UNKNOWN)
    return json_response(orderanswers.Found(orders))


def json_response(answer: object, status: int = 200) -> Response:
    """An answer as JSON."""
    return Response(msgspec.json.encode(answer), status, media_type=openapi.JSON)


async def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # for nobody: whoever asked has hung up
