"""The ASGI middleware: FastAPI, Starlette, Django under uvicorn, and any other application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from otelkit.instrument import routes
from otelkit.instrument.http import Arrival, Middleware

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ASGIMiddleware(Middleware[App]):
    """Wraps an ASGI application: ``app.add_middleware(otelkit.ASGIMiddleware)``.

    Routes are templates (``/orders/{id}``), never paths; a request that matches none has an empty
    route, one to a mounted application the route in there. Methods that HTTP does not know count
    as ``_OTHER``, by the semantic conventions. The duration ends with the last byte of the answer,
    not with the background tasks that follow it. Websockets pass untouched.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = None
        if scope["type"] == "http":
            exchange = self._exchange(partial(_arrival, scope), partial(routes.of_asgi, scope))
        if exchange is None:
            await self._app(scope, receive, send)
            return

        exchange.watch_loop()
        if exchange.ours:
            # FastAPI's word for "somebody else does that": it would open a second server span.
            scope.setdefault("fastapi.telemetry", None)

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.answering(message["status"])
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                exchange.answered()

        error: BaseException | None = None
        try:
            with self._at_work(exchange):
                await self._app(scope, receive, observed_send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            exchange.end(error)


def _arrival(scope: Scope) -> Arrival:
    def header(name: str) -> str | None:
        wanted = name.lower().encode("latin-1")
        found = [value.decode("latin-1") for key, value in scope["headers"] if key == wanted]
        return ",".join(found) if found else None

    host, port = scope.get("server") or ("", None)
    return Arrival(
        method=scope["method"],
        scheme=scope.get("scheme", "http"),
        path=scope["path"],
        protocol=scope.get("http_version", ""),
        client=(scope.get("client") or ("",))[0] or "",
        server=f"{host}:{port}" if port else str(host),
        header=header,
    )
