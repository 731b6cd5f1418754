"""The HTTP API of one of several collectors: it answers for all shards, and asks their holders.

Each shard that it holds has the API of a collector alone, under ``/shards/07``; what is asked of
all is asked there, of its own without a connection, and put together.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from otelkit.collect.api import answers, clockanswers, live, openapi, orderanswers, requests
from otelkit.collect.api.api import UNKNOWN, application, exposed, found, json_response, routes
from otelkit.collect.api.exposition import HTTP
from otelkit.collect.shards import clockmerging, merging
from otelkit.collect.shards.fleet import Fleet
from otelkit.collect.sources.exchange import Outlet
from otelkit.collect.storage.lease import shard_name

_TIMEOUT: Final = 5.0
_MISDIRECTED: Final = 421

T = TypeVar("T")


@dataclass
class Front:
    """What the endpoints need; see :class:`~otelkit.collect.api.api.Api`."""

    fleet: Fleet
    outlet: Outlet
    registry: CollectorRegistry
    token: str | None
    stopping: Callable[[], bool]
    clock: Callable[[], float] = time.time
    admission: requests.Admission = field(default_factory=requests.Admission)
    refused: Counter[int] = field(default_factory=requests.refusals)
    _client: httpx.AsyncClient | None = None

    def app(self) -> Starlette:
        """The ASGI application."""
        shards = Mount("/shards", self.of_shard)
        return application([*routes(self), shards], self.token, self.refused)

    # --- itself ----------------------------------------------------------------------------

    async def metrics(self, request: Request) -> Response:
        """In the format that the scraper asks for."""
        return await exposed(self.registry, request)

    async def healthz(self, _request: Request) -> Response:
        """Whether it works at all; a restart may help where it does not."""
        if not self.fleet.alive:
            return PlainTextResponse("no lease is renewed, or no deadline is looked for\n", 503)
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Whether it reads all of its sources."""
        answer = answers.readiness(self.fleet.conditions())
        return json_response(answer, 200 if answer.ready else 503)

    def openapi(self, _request: Request) -> Response:
        """What else there is."""
        return json_response(openapi.document(guarded=self.token is not None))

    async def of_shard(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API of a shard that we hold; others ask for it."""
        below = scope["path"].removeprefix(scope["root_path"])
        name, _, path = below.removeprefix("/").partition("/")
        shard = next((n for n in self.fleet.shards if shard_name(n) == name), None)
        held = None if shard is None else self.fleet.held(shard)
        if held is None or path == "events":  # which might belong to another
            told = answers.Refusal(f"shard {name} is not held here, or takes no events itself")
            await json_response(told, _MISDIRECTED)(scope, receive, send)
            return
        own = {**scope, "root_path": "", "path": f"/{path}", "raw_path": f"/{path}".encode()}
        await held.app(own, receive, send)

    # --- events ----------------------------------------------------------------------------

    async def post_events(self, request: Request) -> Response:
        """One CloudEvent, or a batch of them; answered once RabbitMQ has them for good."""
        async with self.admission.body(request) as body:
            bodies = requests.split(body)
            await run_in_threadpool(self.outlet.send, bodies, HTTP)
        return json_response(answers.Accepted(len(bodies)), 202)

    async def quarantine(self, request: Request) -> Response:
        """What was no event, the latest first."""
        limit = requests.limit(request)
        pages = await self._read_all("/quarantine", {"limit": str(limit)}, answers.Quarantine)
        every = [one for page in pages.values() for one in page.events]
        every.sort(key=lambda one: one.received, reverse=True)
        return json_response(answers.Quarantine(every[:limit]))

    # --- orders ----------------------------------------------------------------------------

    async def order(self, request: Request) -> Response:
        """The orders of that id, or that another system calls so."""
        name = request.path_params["order_id"]
        return _found(name, await self._find(name))

    async def erase(self, request: Request) -> Response:
        """Delete what is personal of the orders of that name, and why they were acknowledged."""
        name = request.path_params["order_id"]
        known = await self._find(name)
        if not known:
            return _found(name, known)
        told = await self._each(known, "DELETE", _path(name))
        erased = [_decoded(one, orderanswers.Erased).orders for one in told.values()]
        return json_response(orderanswers.Erased(sum(erased)))

    async def acknowledge(self, request: Request) -> Response:
        """Somebody knows that an order is late."""
        async with self.admission.body(request) as body:
            name = requests.ack(body, self.clock()).order
        known = await self._find(name)
        told = await self._each(known, "POST", "/acks", body=body)
        _raise_refused(told)
        return _found(name, {n: _decoded(one, orderanswers.Found) for n, one in told.items()})

    async def list_orders(self, request: Request) -> Response:
        """A page of orders by deadline; the same again whenever it changes, as a stream."""
        asked = dict(request.query_params)
        limit = requests.limit(request)
        after = merging.cursor(asked.pop("after", None), self.fleet.shards)

        async def look() -> orderanswers.Orders:
            told = await self._each(
                self.fleet.shards,
                "GET",
                "/orders",
                {n: urlencode(asked | after[n]) for n in self.fleet.shards},
            )
            _raise_refused(told)
            pages = {n: _decoded(one, orderanswers.Orders) for n, one in told.items()}
            return merging.merged(pages, limit)

        if openapi.EVENT_STREAM not in request.headers.get("accept", ""):
            return json_response(await look())
        await look()  # what is asked wrongly is refused at once
        return live.response(look, self.admission, self.stopping)

    # --- another SLA file ------------------------------------------------------------------

    async def clocks(self, _request: Request) -> Response:
        """Which policies open orders follow, and how far a plan or its application has come."""
        return json_response(await self._clocks())

    async def change(self, request: Request) -> Response:
        """Begin to tell what an SLA file would change, or to let open orders follow it."""
        async with self.admission.body(request) as body:
            path = request.url.path
            told = await self._each(self.fleet.shards, "POST", path, body=body)
        _raise_refused(told)
        return json_response(await self._clocks(), 202)

    plan = apply = change

    async def _clocks(self) -> clockanswers.Clocks:
        told = await self._read_all("/clocks", {}, clockanswers.Clocks)
        return clockmerging.merged(list(told.values()))

    # --- asking ----------------------------------------------------------------------------

    async def _find(self, name: str) -> dict[int, orderanswers.Found]:
        """The orders of a name by shard: those whose id it is, or else those that others call so.

        An id has all its events in one shard, so that where it is found no other is missed.
        """
        asked = (self._ask(shard, "GET", _path(name)) for shard in self.fleet.shards)
        told = await asyncio.gather(*asked, return_exceptions=True)
        known, missed = {}, []
        for shard, one in zip(self.fleet.shards, told, strict=True):
            if isinstance(one, BaseException):
                missed.append(one)
            elif one.status_code != UNKNOWN:
                known[shard] = _decoded(one, orderanswers.Found)
        own = {n: at for n, at in known.items() if any(o.id == name for o in at.orders)}
        if missed and not own:
            raise missed[0]
        return own or known

    async def _read_all(self, path: str, query: Mapping[str, str], kind: type[T]) -> dict[int, T]:
        queries = dict.fromkeys(self.fleet.shards, urlencode(query))
        told = await self._each(self.fleet.shards, "GET", path, queries)
        return {shard: _decoded(one, kind) for shard, one in told.items()}

    async def _each(
        self,
        shards: Iterable[int],
        method: str,
        path: str,
        queries: Mapping[int, str] | None = None,
        body: bytes = b"",
    ) -> dict[int, httpx.Response]:
        wanted = list(shards)
        query = queries or {}
        told = await asyncio.gather(
            *(self._ask(n, method, f"{path}?{query.get(n, '')}", body) for n in wanted)
        )
        return dict(zip(wanted, told, strict=True))

    async def _ask(self, shard: int, method: str, target: str, body: bytes = b"") -> httpx.Response:
        """Whoever holds a shard. Raises 503 where nobody does, or where it cannot tell."""
        held = self.fleet.held(shard)
        url = self.fleet.url_of(shard)
        try:
            if held is not None:
                own = httpx.ASGITransport(held.app)
                async with httpx.AsyncClient(transport=own) as client:
                    answer = await client.request(method, f"http://shard{target}", content=body)
            elif url is None:
                raise _unheld(shard)
            else:
                there = f"{url.rstrip('/')}/shards/{shard_name(shard)}{target}"
                answer = await self._others().request(method, there, content=body)
        except httpx.HTTPError as error:
            raise _unheld(shard) from error
        if answer.status_code == _MISDIRECTED or answer.is_server_error:
            raise _unheld(shard)
        if answer.status_code == 401:
            raise HTTPException(503, f"the holder of shard {shard_name(shard)} has another token")
        return answer

    def _others(self) -> httpx.AsyncClient:
        if self._client is None:
            headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
            self._client = httpx.AsyncClient(headers=headers, timeout=_TIMEOUT)
        return self._client


def _raise_refused(told: Mapping[int, httpx.Response]) -> None:
    """What one shard refuses is refused."""
    for one in told.values():
        if one.is_client_error:
            raise HTTPException(one.status_code, _decoded(one, answers.Refusal).error)


def _path(name: str) -> str:
    return f"/orders/{quote(name, safe='')}"


def _decoded(answer: httpx.Response, kind: type[T]) -> T:
    return msgspec.json.decode(answer.content, type=kind)


def _found(name: str, told: Mapping[int, orderanswers.Found]) -> Response:
    return found(name, [order for one in told.values() for order in one.orders])


def _unheld(shard: int) -> HTTPException:
    return HTTPException(
        503,
        f"no collector answers for shard {shard_name(shard)} just now; ask again in a moment",
        {"Retry-After": str(requests.RETRY_AFTER)},
    )
