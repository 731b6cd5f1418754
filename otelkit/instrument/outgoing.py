"""Outgoing HTTP calls through requests and httpx: a client span each, and what goes along.

The trace goes to every host. The order goes only to those that ``propagate_to`` names, in headers
of otelkit's own: W3C baggage would be handed on from there by any service that knows OpenTelemetry,
to hosts that nobody has allowed.

Both libraries are wrapped where one request meets the wire, so a redirect is a call of its own, and
an order does not follow it to another host. A span ends when the answer's headers are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otelkit.instrument import runtime
from otelkit.instrument.context import in_hand
from otelkit.instrument.runtime import Signals
from otelkit.instrument.suppression import http_suppressed
from otelkit.instrument.wrapping import unwrap, wrap

_CLIENT_ERROR: Final = 400
_PORTS: Final = {"http": 80, "https": 443}


def instrument_classes() -> None:
    """Wrap those of the libraries that are installed."""
    for owner, name, wrapper in _methods():
        wrap(owner, name, wrapper)


def uninstrument_classes() -> None:
    """Put their own methods back."""
    for owner, name, _ in _methods():
        unwrap(owner, name)


def _methods() -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    try:
        from requests.adapters import HTTPAdapter
    except ImportError:
        pass
    else:
        yield HTTPAdapter, "send", _requests
    try:
        from httpx import AsyncHTTPTransport, HTTPTransport
    except ImportError:
        pass
    else:
        yield HTTPTransport, "handle_request", _httpx
        yield AsyncHTTPTransport, "handle_async_request", _async_httpx


class _Call:
    """One call that is under way."""

    def __init__(self, telemetry: Signals, span: trace.Span, host: str) -> None:
        self._span = span
        self.headers: dict[str, str] = {}
        propagate.inject(self.headers)
        order = in_hand()
        if order is not None and _allowed(host, telemetry.settings.propagate_to):
            self.headers |= order.headers()

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= _CLIENT_ERROR:  # of a client span, unlike of a server's
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def _calling(telemetry: Signals, method: str, url: str) -> Iterator[_Call]:
    parts = urlsplit(url)
    with telemetry.tracer.start_as_current_span(
        method, kind=SpanKind.CLIENT, attributes=_attributes(method, parts)
    ) as span:
        try:
            yield _Call(telemetry, span, parts.hostname or "")
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            raise


def _attributes(method: str, parts: SplitResult) -> dict[str, str | int]:
    """By the conventions; a query may hold what nobody should read, and is left out."""
    host = parts.netloc.rpartition("@")[2]
    return {
        "http.request.method": method,
        "url.full": f"{parts.scheme}://{host}{parts.path}",
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
    }


def _allowed(host: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(host, pattern.lower()) for pattern in patterns)


def _telemetry() -> Signals | None:
    """None before ``init``, and where an exporter sends spans: they would make more of them."""
    return None if http_suppressed() else runtime.active()


def _requests(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        telemetry = _telemetry()
        if telemetry is None:
            return original(adapter, request, *args, **kwargs)
        with _calling(telemetry, request.method, request.url) as call:
            sent = request.copy()  # the caller's may be sent again, to elsewhere
            sent.headers.update(call.headers)
            response = original(adapter, sent, *args, **kwargs)
            call.answered(response.status_code)
            return response

    return send


def _httpx(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(transport: Any, request: Any) -> Any:
        telemetry = _telemetry()
        if telemetry is None:
            return original(transport, request)
        with _calling(telemetry, request.method, str(request.url)) as call:
            response = original(transport, _with_headers(request, call.headers))
            call.answered(response.status_code)
            return response

    return handle_request


def _async_httpx(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        telemetry = _telemetry()
        if telemetry is None:
            return await original(transport, request)
        with _calling(telemetry, request.method, str(request.url)) as call:
            response = await original(transport, _with_headers(request, call.headers))
            call.answered(response.status_code)
            return response

    return handle_async_request


def _with_headers(request: Any, headers: dict[str, str]) -> Any:
    """A copy with these headers as well."""
    import httpx

    both = httpx.Headers(request.headers)
    both.update(headers)
    return httpx.Request(
        request.method,
        request.url,
        headers=both,
        stream=request.stream,
        extensions=request.extensions,
    )
