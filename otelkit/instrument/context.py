"""The order in hand: which order the running code works on, across calls, tasks and messages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Final, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.trace import Span as AnySpan

from otelkit import names
from otelkit.events import MAX_ID_LENGTH

log = logging.getLogger("otelkit")

T = TypeVar("T")

_MANY: Final = 64
"""Spans below an entry, from which on those that have ended are let go of."""


@dataclass(frozen=True, slots=True)
class OrderInHand:
    """What is known of an order wherever it is worked on."""

    id: str
    process: str
    tier: str | None = None
    partner: str | None = None

    def attributes(self) -> dict[str, str]:
        """Span and log attributes; what is not known is left out."""
        found = {names.ATTR_ORDER_ID: self.id, names.ATTR_ORDER_PROCESS: self.process}
        if self.tier is not None:
            found[names.ATTR_ORDER_TIER] = self.tier
        if self.partner is not None:
            found[names.ATTR_ORDER_PARTNER] = self.partner
        return found

    def headers(self) -> dict[str, str]:
        """Headers by which the order travels with a message, or with a request."""
        pairs = zip(
            names.ORDER_HEADERS, (self.id, self.process, self.tier, self.partner), strict=True
        )
        return {name: value for name, value in pairs if value is not None}


class Entry:
    """Work that came in from outside as a whole, such as a request: its span, and its order.

    The order may be known later than the span begins: by the route that is found, or because the
    service takes one. The first one that is known marks the span and those below it that are open
    by then; a request that goes on to other orders is still about the first.
    """

    def __init__(
        self,
        span: AnySpan,
        find: Callable[[], OrderInHand | None],
        partner: str | None = None,
    ) -> None:
        self.span = span
        self.partner = partner
        self._find = find
        self._order: OrderInHand | None = None
        self._open: list[AnySpan] = []
        self.about: OrderInHand | None = None
        """The first order that was known."""

    def order(self) -> OrderInHand | None:
        """The order that the entry itself names."""
        if self._order is None:
            try:
                self._order = self._find()
            except Exception:
                self._find = lambda: None  # before the record, which asks for the order, too
                log.exception("the order that a request is about cannot be read")
            if self._order is not None:
                self.mark(self._order)
        return self._order

    def mark(self, order: OrderInHand) -> None:
        """Put an order on the span and those below, unless they carry one already."""
        if self.about is None:
            self.about = order
            for span in (self.span, *self._open):
                if span.is_recording():
                    span.set_attributes(order.attributes())
            self._open.clear()

    def watch(self, span: AnySpan) -> None:
        """A span below has begun while no order is known."""
        if len(self._open) >= _MANY:
            self._open = [span for span in self._open if span.is_recording()]
        self._open.append(span)


_in_hand: ContextVar[OrderInHand | Entry | None] = ContextVar("otelkit_in_hand", default=None)
_entry: ContextVar[Entry | None] = ContextVar("otelkit_entry", default=None)


def in_hand() -> OrderInHand | None:
    """The order that the running code works on."""
    held = _in_hand.get()
    return held.order() if isinstance(held, Entry) else held


def partner() -> str | None:
    """The partner that whatever came in names, with or without an order."""
    entry = _entry.get()
    return None if entry is None else entry.partner


# Classes and no generators: these run for each message and each request.
class taking:  # noqa: N801 - used as a function
    """Work on an order; None works on none."""

    __slots__ = ("_order", "_token")

    def __init__(self, order: OrderInHand | None) -> None:
        self._order = order

    def __enter__(self) -> None:
        entry = _entry.get()
        if self._order is not None and entry is not None:
            entry.mark(self._order)
        self._token: Token[OrderInHand | Entry | None] = _in_hand.set(self._order)

    def __exit__(self, *_: object) -> None:
        _reset(_in_hand, self._token)


class entering:  # noqa: N801 - used as a function
    """Work on what came in, and on its order once that is known."""

    __slots__ = ("_entry", "_tokens")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        self._tokens = _entry.set(self._entry), _in_hand.set(self._entry)

    def __exit__(self, *_: object) -> None:
        entry, order = self._tokens
        _reset(_in_hand, order)
        _reset(_entry, entry)


def _reset(variable: ContextVar[T], token: Token[T]) -> None:
    # A generator of the service's may end in another context than it began in (a FastAPI
    # dependency does, in a pool of threads): there is nothing to put back there.
    with suppress(ValueError):
        variable.reset(token)


def from_headers(headers: Mapping[str, object] | None) -> OrderInHand | None:
    """The order that a message is about, if its headers say so."""
    if not headers or names.HEADER_ORDER_ID not in headers:
        return None
    id_, process, tier, partner = (_text(headers.get(name)) for name in names.ORDER_HEADERS)
    if id_ is None or process is None:
        return None
    return OrderInHand(id_, process, tier, partner)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MAX_ID_LENGTH] if isinstance(value, str) and value else None


class OrderSpanProcessor(SpanProcessor):
    """Puts the order in hand on every span that starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        order, entry = in_hand(), _entry.get()
        if order is None and entry is not None:
            order = entry.about
            if order is None:
                entry.watch(span)
        if order is not None:
            span.set_attributes(order.attributes())
