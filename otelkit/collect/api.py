"""The collector over HTTP: metrics, health, posted events, and answers about orders."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from otelkit.collect import requests
from otelkit.collect.batch import OUTCOMES, QUARANTINED, Received, Taken
from otelkit.collect.clock import Run
from otelkit.collect.engine import Engine
from otelkit.collect.exposition import HTTP
from otelkit.collect.orders import Late, LateOrder, Orders, OrderStory
from otelkit.collect.sources import Sources
from otelkit.errors import StoreError

_LATE: Final[Mapping[str, Late]] = {"overdue": "overdue", "at_risk": "at_risk"}
OPEN_PATHS: Final = ("/metrics", "/healthz", "/readyz")
"""What is answered without a token: nothing in it is secret to whoever may scrape."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the endpoints need. ``alive`` tells whether deadlines are still looked for."""

    engine: Engine
    orders: Orders
    sources: Sources
    registry: CollectorRegistry
    token: str | None
    alive: Callable[[], bool]
    clock: Callable[[], float] = time.time

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/metrics", self.metrics),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/events", self.post_events, methods=["POST"]),
            Route("/orders", self.late_orders),
            Route("/orders/{order_id:path}", self.order),
            Route("/quarantine", self.quarantine),
        ]
        guard = [Middleware(_Guard, token=self.token)] if self.token is not None else []
        handlers: Any = {
            HTTPException: _refusal,
            StoreError: _store_refuses,
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
        conditions = self.sources.all()
        answer = {
            name: {"up": found.up} | ({"why": found.why} if found.why else {})
            for name, found in conditions.items()
        }
        ready = all(found.up for found in conditions.values())
        return JSONResponse({"ready": ready, "sources": answer}, 200 if ready else 503)

    # --- events ----------------------------------------------------------------------------

    async def post_events(self, request: Request) -> Response:
        """One CloudEvent, or a batch of them; answered once they are committed."""
        body = await requests.body(request)
        is_batch = body.lstrip().startswith(b"[")
        bodies = requests.split(body) if is_batch else [body]
        now = self.clock()
        batch = [Received(HTTP, body, now) for body in bodies]
        taken = await run_in_threadpool(self.engine.apply, batch)
        answer: dict[str, Any] = {
            outcome: sum(one.outcome == outcome for one in taken) for outcome in OUTCOMES
        }
        answer["problems"] = _problems(taken)
        # A batch is taken whatever is in it: its sender may forget it, and must not send it again.
        refused = not is_batch and taken[0].outcome == QUARANTINED
        return JSONResponse(answer, 422 if refused else 200)

    def quarantine(self, request: Request) -> Response:
        """What was no event, the latest first."""
        rejected = self.engine.quarantined(requests.limit(request))
        return JSONResponse(
            {
                "events": [
                    {
                        "source": one.source,
                        "received": _time(one.received),
                        "reason": one.reason,
                        "body": one.body.decode("utf-8", "replace"),
                    }
                    for one in rejected
                ]
            }
        )

    # --- orders ----------------------------------------------------------------------------

    def order(self, request: Request) -> Response:
        """The orders of that id, or that another system calls so."""
        order_id = request.path_params["order_id"]
        found = self.orders.find(order_id, self.clock())
        if not found:
            # With an empty list, which tells it from a server that knows no such path.
            told = f"no order {order_id!r} is known; no event has told of it"
            return JSONResponse({"error": told, "orders": []}, 404)
        return JSONResponse({"orders": [_story(story) for story in found]})

    def late_orders(self, request: Request) -> Response:
        """A page of late orders; ``next`` is the ``after`` of the following one, if any."""
        asked = request.query_params
        kind = _LATE.get(asked.get("state", "overdue"))
        if kind is None:
            raise HTTPException(400, f"no such state; ask for one of {', '.join(_LATE)}")
        limit = requests.limit(request)
        late = self.orders.late(
            kind,
            objective=requests.one_of("objective", asked.get("objective"), self.engine.objectives),
            stage=requests.one_of("stage", asked.get("stage"), self.engine.stages),
            after=requests.cursor(asked.get("after")),
            limit=limit,
        )
        last = late[-1].alarm if len(late) == limit else None
        now = self.clock()
        return JSONResponse(
            {
                "orders": [_late(order, now) for order in late],
                "next": None if last is None else f"{last[0]!r},{last[1]}",
            }
        )


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


def _refusal(_request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


def _store_refuses(_request: Request, error: StoreError) -> Response:
    return JSONResponse({"error": str(error)}, 503)


def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # for nobody: whoever asked has hung up


def _problems(taken: Sequence[Taken]) -> list[dict[str, Any]]:
    """What was quarantined, by its place in the batch."""
    return [
        {"index": index, "reason": one.reason}
        for index, one in enumerate(taken)
        if one.outcome == QUARANTINED
    ]


def _story(story: OrderStory) -> dict[str, Any]:
    state = story.state
    return {
        "id": state.order_id,
        "process": state.process,
        "status": state.status,
        "stage": state.stage,
        "since": _time(state.since),
        "open": state.open,
        "paused": state.paused,
        "tier": state.tier,
        "partner": state.partner,
        "aliases": state.aliases,
        "clocks": [_clock(story, run) for run in state.runs],
        "timeline": [
            {
                "at": _time(event.at),
                "status": event.status,
                "source": event.source,
                "id": event.id,
                "version": event.version,
                "trace_id": event.trace_id,
                "received": _time(event.received),
            }
            for event in sorted(story.events, key=lambda event: event.at)
        ],
    }


def _clock(story: OrderStory, run: Run) -> dict[str, Any]:
    return {
        "objective": run.objective,
        "agreement": run.agreement,
        "state": story.standing(run),
        "started": _time(run.started),
        "deadline": _time_or_none(run.deadline),
        "closed_until": _time_or_none(story.closed_until(run)),
        "left_seconds": run.left,
        "ended": _time_or_none(run.ended),
    }


def _late(order: LateOrder, now: float) -> dict[str, Any]:
    state = order.state
    return {
        "id": state.order_id,
        "process": state.process,
        "objective": order.objective,
        "stage": state.stage,
        "status": state.status,
        "tier": state.tier,
        "partner": state.partner,
        "deadline": _time(order.deadline),
        "overdue_seconds": round(now - order.deadline, 3),
    }


def _time_or_none(at: float | None) -> str | None:
    return None if at is None else _time(at)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
