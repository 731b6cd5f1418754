"""HTTP: an ASGI middleware with a server span and the contract's metric for each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, Status, StatusCode

from otelkit.instrument import runtime
from otelkit.instrument.runtime import Signals

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
_SERVER_ERROR: Final = 500


class ASGIMiddleware:
    """Wraps an ASGI application: ``app.add_middleware(otelkit.ASGIMiddleware)``.

    Routes are templates (``/orders/{id}``), never paths; a request that matches none has an empty
    route, one to a mounted application the route in there. Methods that HTTP does not know count
    as ``_OTHER``, by the semantic conventions. The duration ends with the last byte of the answer,
    not with the background tasks that follow it.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        telemetry = runtime.active()
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if telemetry is None:
            runtime.warn_inactive("otelkit.ASGIMiddleware", "is called")
            await self._app(scope, receive, send)
            return
        telemetry.process.watch_loop()
        await _Request(telemetry, scope).run(self._app, receive, send)


class _Request:
    """One request in flight."""

    def __init__(self, telemetry: Signals, scope: Scope) -> None:
        self._telemetry = telemetry
        self._scope = scope
        self._status = _SERVER_ERROR  # unless the application answers
        self._start = perf_counter()
        self._answered: float | None = None
        self._method = scope["method"] if scope["method"] in _METHODS else "_OTHER"

    async def run(self, app: App, receive: Receive, send: Send) -> None:
        """Let the application answer, and observe how."""

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                # What the application does after its answer, nobody waits for.
                self._answered = perf_counter()

        parent = propagate.extract(self._scope["headers"], getter=_HEADERS)
        tracer = self._telemetry.tracer
        with tracer.start_as_current_span(
            self._method, parent, SpanKind.SERVER, {"http.request.method": self._method}
        ) as span:
            error_type = ""
            try:
                await app(self._scope, receive, observed_send)
            except BaseException as error:
                error_type = type(error).__qualname__
                raise
            finally:
                self._finish(span, error_type)

    def _finish(self, span: trace.Span, error_type: str) -> None:
        seconds = (self._answered or perf_counter()) - self._start
        route = _route(self._scope)
        span.set_attribute("http.response.status_code", self._status)
        if route:
            span.set_attribute("http.route", route)
            span.update_name(f"{self._method} {route}")
        if not error_type and self._status >= _SERVER_ERROR:
            error_type = str(self._status)
        if error_type:
            span.set_attribute("error.type", error_type)
            span.set_status(Status(StatusCode.ERROR))
        self._telemetry.metrics.http.labels(self._method, route, str(self._status)).observe(seconds)


def _route(scope: Scope) -> str:
    """The template of the route that served a request, as Starlette and FastAPI leave it."""
    route = scope.get("route")
    if route is None:
        routes = getattr(scope.get("router"), "routes", ())
        endpoint = scope.get("endpoint")
        route = next((r for r in routes if getattr(r, "endpoint", None) is endpoint), None)
        if endpoint is None:
            return ""
    return str(getattr(route, "path_format", "") or getattr(route, "path", ""))


class _HeaderGetter(Getter[list[tuple[bytes, bytes]]]):
    """Reads ASGI's list of byte pairs."""

    def get(self, carrier: list[tuple[bytes, bytes]], key: str) -> list[str] | None:
        wanted = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for name, value in carrier if name.lower() == wanted]
        return found or None

    def keys(self, carrier: list[tuple[bytes, bytes]]) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS: Final = _HeaderGetter()
