"""The order in hand: which order the running code works on, across calls, tasks and messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from otelkit import names


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
        """AMQP headers by which the order travels with a message."""
        pairs = zip(_HEADERS, (self.id, self.process, self.tier, self.partner), strict=True)
        return {name: value for name, value in pairs if value is not None}


_HEADERS: Final = (
    names.HEADER_ORDER_ID,
    names.HEADER_ORDER_PROCESS,
    names.HEADER_ORDER_TIER,
    names.HEADER_ORDER_PARTNER,
)
_in_hand: ContextVar[OrderInHand | None] = ContextVar("otelkit_order_in_hand", default=None)


def in_hand() -> OrderInHand | None:
    """The order that the running code works on."""
    return _in_hand.get()


@contextmanager
def taking(order: OrderInHand | None) -> Iterator[None]:
    """Work on an order; None works on none."""
    token = _in_hand.set(order)
    try:
        yield
    finally:
        # A generator of the service's may end in another context than it began in (a FastAPI
        # dependency does, in a pool of threads): there is nothing to put back there.
        with suppress(ValueError):
            _in_hand.reset(token)


def from_headers(headers: Mapping[str, object] | None) -> OrderInHand | None:
    """The order that a message is about, if its headers say so."""
    id_, process, tier, partner = (_text((headers or {}).get(name)) for name in _HEADERS)
    if id_ is None or process is None:
        return None
    return OrderInHand(id_, process, tier, partner)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and value else None


class OrderSpanProcessor(SpanProcessor):
    """Puts the order in hand on every span that starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        order = _in_hand.get()
        if order is not None:
            span.set_attributes(order.attributes())
