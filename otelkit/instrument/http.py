"""HTTP as a server speaks it: a span, an order and the contract's metric for each request.

``asgi`` and ``wsgi`` hold the middleware; what a request is, is here. Attributes and names are by
OpenTelemetry's stable conventions for HTTP servers. A query is left out: it holds what people type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from opentelemetry import context, propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, Status, StatusCode

from otelkit import names
from otelkit.instrument import routes, runtime
from otelkit.instrument.context import Entry, OrderInHand, entering, from_headers
from otelkit.instrument.routes import Match
from otelkit.instrument.runtime import Signals, harmless
from otelkit.instrument.traces import exemplar

A = TypeVar("A")
Header = Callable[[str], str | None]
"""The value of a request's header, by its name in any case."""

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_OTHER: Final = "_OTHER"
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class OrderSource:
    """Where a request says which order it is about, and whose; headers come before parameters.

    The headers that otelkit's own outgoing calls carry come before all.
    """

    process: str = "order"
    order_header: str | None = None
    order_parameter: str | None = None
    partner_header: str | None = None
    partner_parameter: str | None = None

    def order(self, header: Header, match: Callable[[], Match]) -> OrderInHand | None:
        """The order, as far as the request has been understood by now."""
        if header(names.HEADER_ORDER_ID):  # asked at each span that starts, and rarely there
            carried = from_headers({name: header(name) for name in names.ORDER_HEADERS})
            if carried is not None:
                return carried
        id_ = _first(header, self.order_header, match, self.order_parameter)
        if id_ is None:
            return None
        partner = _first(header, self.partner_header, match, self.partner_parameter)
        given = {names.HEADER_ORDER_ID: id_, names.HEADER_ORDER_PROCESS: self.process}
        return from_headers({**given, names.HEADER_ORDER_PARTNER: partner})

    def partner(self, header: Header) -> str | None:
        """The partner that a header names."""
        return header(self.partner_header) if self.partner_header else None


def _first(
    header: Header, name: str | None, match: Callable[[], Match], parameter: str | None
) -> str | None:
    if name is not None and (value := header(name)):
        return value
    found = match().parameters.get(parameter) if parameter is not None else None
    return None if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as its server hands it over. What is not known is empty."""

    method: str
    scheme: str
    path: str
    protocol: str
    """Version of HTTP, such as ``1.1``."""
    client: str
    server: str
    """Host and port, where the request names none."""
    header: Header

    def attributes(self) -> dict[str, str | int]:
        """Of the server span, as known at its start."""
        host, port = _host(self.header("host") or self.server)
        found: dict[str, str | int] = {
            "http.request.method": known_method(self.method),
            "url.scheme": self.scheme,
            "url.path": self.path,
            "server.address": host,
            "server.port": port,
            "client.address": self.client,
            "network.protocol.version": self.protocol,
            "user_agent.original": self.header("user-agent") or "",
        }
        if found["http.request.method"] == _OTHER:
            found["http.request.method_original"] = self.method
        return {name: value for name, value in found.items() if value}


class Exchange:
    """A request and its answer. Nothing of it raises but what the application raises.

    A server span that is current already (FastAPI's own, or another instrumentation's) is the
    request's: it is taken over, not doubled.
    """

    def __init__(
        self,
        telemetry: Signals,
        arrival: Arrival,
        source: OrderSource,
        match: Callable[[], Match],
    ) -> None:
        self._telemetry = telemetry
        self._method = known_method(arrival.method)
        self._match = match
        self._status = 0
        self._route = ""
        self._start = perf_counter()
        self._answered: float | None = None
        self._context = context.get_current()
        span = trace.get_current_span()
        self.ours = not (span.is_recording() and getattr(span, "kind", None) is SpanKind.SERVER)
        if self.ours:
            sender = propagate.extract(arrival.header, getter=_HEADERS)
            span = telemetry.tracer.start_span(
                self._name, sender, SpanKind.SERVER, arrival.attributes()
            )
            self._context = trace.set_span_in_context(span, sender)
        self._span = span
        partner = source.partner(arrival.header)
        if partner:
            span.set_attribute(names.ATTR_ORDER_PARTNER, partner)
        self._entry = Entry(span, lambda: source.order(arrival.header, match), partner)

    def watch_loop(self) -> None:
        """Measure the event loop that serves it."""
        if self._telemetry.process is not None:
            self._telemetry.process.watch_loop()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What the application does for this request, by its span and order."""
        token = context.attach(self._context)
        try:
            with entering(self._entry):
                yield
        finally:
            context.detach(token)

    def answering(self, status: int) -> None:
        """The application has its answer; its body is still to come."""
        with harmless():
            self._describe(status)

    def answered(self) -> None:
        """The last byte is on its way: for what comes now, nobody waits."""
        self._answered = perf_counter()

    def end(self, error: BaseException | None) -> None:
        """The application is done with the request."""
        with harmless():
            seconds = (self._answered or perf_counter()) - self._start
            if not self._status:
                self._describe(_SERVER_ERROR)  # what the server answers for it
            error_type = type(error).__qualname__ if error is not None else ""
            if not error_type and self._status >= _SERVER_ERROR:
                error_type = str(self._status)
            if error_type and self._span.is_recording():
                self._span.set_attribute("error.type", error_type)
                self._span.set_status(Status(StatusCode.ERROR))
            series = self._telemetry.metrics.http.labels(
                self._method, self._route, str(self._status)
            )
            series.observe(seconds, exemplar(self._span))
            if self.ours:
                self._span.end()

    @property
    def _name(self) -> str:
        return "HTTP" if self._method == _OTHER else self._method

    def _describe(self, status: int) -> None:
        self._status = status
        self._entry.order()
        self._route = self._match().route  # now: Flask has forgotten it when it closes the answer
        if not self._span.is_recording():
            return
        self._span.set_attribute("http.response.status_code", status)
        if self._route:
            self._span.set_attribute("http.route", self._route)
            self._span.update_name(f"{self._name} {self._route}")


class Middleware(Generic[A]):
    """What both kinds of middleware have in common."""

    def __init__(
        self,
        app: A,
        *,
        order_header: str | None = None,
        order_parameter: str | None = None,
        partner_header: str | None = None,
        partner_parameter: str | None = None,
        process: str = "order",
        telemetry: Signals | None = None,
    ) -> None:
        """Wrap an application.

        :param order_header: header that names the order, such as ``X-Order-Id``.
        :param order_parameter: path parameter that does, such as ``order_id``; a header goes first.
        :param partner_header: header that names the partner.
        :param partner_parameter: path parameter that does.
        :param process: of the orders that are named so.
        :param telemetry: that of ``otelkit.local``; unless given, what ``init`` has set up.

        A request of another service with otelkit carries its order without any of these.
        """
        self._app = app
        self._telemetry = telemetry
        self._source = OrderSource(
            process, order_header, order_parameter, partner_header, partner_parameter
        )
        routes.watch_django()

    def _exchange(
        self, arrive: Callable[[], Arrival], match: Callable[[], Match]
    ) -> Exchange | None:
        telemetry = self._telemetry or runtime.active()
        if telemetry is None:
            runtime.warn_inactive(f"otelkit.{type(self).__name__}", "is called")
            return None
        with harmless():
            return Exchange(telemetry, arrive(), self._source, match)
        return None

    def _at_work(self, exchange: Exchange) -> AbstractContextManager[None]:
        if self._telemetry is None:
            return exchange.at_work()
        return self._at_work_with(self._telemetry, exchange)

    @contextmanager
    def _at_work_with(self, telemetry: Signals, exchange: Exchange) -> Iterator[None]:
        with runtime.using(telemetry), exchange.at_work():
            yield


def known_method(method: str) -> str:
    """A method as a label: those that HTTP does not know are one."""
    return method if method in _METHODS else _OTHER


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "", parts.port or 0
    except ValueError:
        return "", 0


class _HeaderGetter(Getter[Header]):
    """Reads headers for propagators, which ask for those that they know."""

    def get(self, carrier: Header, key: str) -> list[str] | None:
        value = carrier(key)
        return None if value is None else [value]

    def keys(self, carrier: Header) -> list[str]:  # noqa: ARG002
        return []


_HEADERS: Final = _HeaderGetter()
