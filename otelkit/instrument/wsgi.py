"""The WSGI middleware: Flask, Django under gunicorn, and any other application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from otelkit.instrument import routes
from otelkit.instrument.http import Arrival, Exchange, Middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Environ = dict[str, Any]
App = Callable[[Environ, "StartResponse"], Iterable[bytes]]
Work = Callable[[], AbstractContextManager[None]]


class WSGIMiddleware(Middleware[App]):
    """Wraps a WSGI application: ``app.wsgi_app = otelkit.WSGIMiddleware(app.wsgi_app)``.

    Routes are templates (``/orders/<order_id>``), never paths; a request that matches none has an
    empty route. The span ends when the server closes the answer, the duration with its last part;
    an answer in ``wsgi.file_wrapper`` is the server's to send, and ends at once.
    """

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exchange = self._exchange(partial(_arrival, environ), partial(routes.of_wsgi, environ))
        if exchange is None:
            return self._app(environ, start_response)

        def observed_start(status: str, *rest: Any) -> Any:
            exchange.answering(_code(status))
            return start_response(status, *rest)

        try:
            with self._at_work(exchange):
                body = self._app(environ, observed_start)
        except BaseException as error:
            exchange.end(error)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            exchange.end(None)
            return body
        return _Body(body, exchange, partial(self._at_work, exchange))


class _Body:
    """The parts of an answer; the request is at work while one is made, and not in between."""

    def __init__(self, body: Iterable[bytes], exchange: Exchange, at_work: Work) -> None:
        self._body = body
        self._exchange = exchange
        self._at_work = at_work
        self._parts: Iterator[bytes] | None = None
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with self._at_work():
                if self._parts is None:
                    self._parts = iter(self._body)
                return next(self._parts)
        except StopIteration:
            self._exchange.answered()
            raise
        except BaseException as error:
            self._error = error
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                with self._at_work():
                    close()
        finally:
            self._exchange.end(self._error)


def _code(status: object) -> int:
    code = status[:3] if isinstance(status, str) else ""
    return int(code) if code.isdecimal() else 0


def _arrival(environ: Environ) -> Arrival:
    def header(name: str) -> str | None:
        value = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return None if value is None else str(value)

    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return Arrival(
        method=environ.get("REQUEST_METHOD", ""),
        scheme=environ.get("wsgi.url_scheme", "http"),
        path=path.encode("latin-1", "replace").decode("utf-8", "replace"),
        protocol=environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        client=environ.get("REMOTE_ADDR", ""),
        server=f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}".rstrip(":"),
        header=header,
    )
