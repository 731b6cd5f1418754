"""Orders: saying that one has moved, and working on one."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import Self

from opentelemetry import trace

from otelkit import names
from otelkit.events import MAX_ID_LENGTH, OrderMoved
from otelkit.instrument import runtime
from otelkit.instrument.context import OrderInHand, in_hand, taking
from otelkit.instrument.context import partner as entered_partner
from otelkit.instrument.metrics import INVALID, ORDER_EVENTS

log = logging.getLogger("otelkit.orders")


def utc_now() -> datetime:
    """When an order moves that does not say when."""
    return datetime.now(UTC)


def new_id() -> str:
    """Of an event, different from every other one of its source."""
    return uuid.uuid4().hex


class Order:
    """An order, in hand within its block. Nothing of it raises; what goes wrong is logged and
    counted.
    """

    def __init__(self, in_hand: OrderInHand) -> None:
        self._order = in_hand
        self._aliases: dict[str, str] = {}
        self._blocks: list[taking] = []

    def __enter__(self) -> Self:
        block = taking(self._order)
        block.__enter__()
        self._blocks.append(block)
        trace.get_current_span().set_attributes(self._order.attributes())
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.pop().__exit__()

    @property
    def id(self) -> str:
        return self._order.id

    @property
    def process(self) -> str:
        return self._order.process

    @property
    def tier(self) -> str | None:
        return self._order.tier

    @property
    def partner(self) -> str | None:
        return self._order.partner

    def also_known_as(self, **aliases: str) -> None:
        """Other names of this order by the system that uses them; they travel with later events."""
        known = {system: _optional(name) for system, name in aliases.items()}
        self._aliases |= {system: name for system, name in known.items() if name is not None}

    def moved_to(
        self, status: str, *, at: datetime | None = None, version: int | None = None
    ) -> None:
        """The order has reached a status.

        ``at`` is when (aware; now by default), ``version`` the order's version in the calling
        system. Give both where you have them: they put events in order that arrive out of order.
        Returns once the event is in the spool on disk.
        """
        # After a shutdown, too: the spool outlives the process.
        telemetry = runtime.active() or runtime.latest()
        events = telemetry.events if telemetry is not None else None
        if events is None:
            runtime.warn_inactive("Order.moved_to", "tells it where events go (events=)")
            return
        try:
            events.say(self._event(status, at, version, events.source))
        except Exception as error:
            log.error("the event that order %s reached %r is lost: %s", self.id, status, error)
            events.drop(ORDER_EVENTS, INVALID)
        mark(self, status)

    def _event(
        self, status: str, at: datetime | None, version: int | None, source: str
    ) -> OrderMoved:
        if at is None:
            at = utc_now()
        elif not isinstance(at, datetime):
            raise TypeError(f"at is {at!r:.60}; pass a datetime")
        elif at.tzinfo is None:
            log.error(
                "order %s: `at` has no time zone and is taken as UTC; pass an aware one", self.id
            )
            at = at.replace(tzinfo=UTC)
        return OrderMoved(
            source=source,
            id=new_id(),
            order_id=_required("the order's id", self.id),
            at=at,
            process=_required("process", self.process),
            status=_required("status", status),
            tier=self.tier,
            partner=self.partner,
            version=_checked(version),
            aliases=dict(self._aliases),
            traceparent=_traceparent(),
        )


def order(
    id: str,  # noqa: A002 - the natural name
    *,
    process: str = "order",
    tier: str | None = None,
    partner: str | None = None,
) -> Order:
    """An order, and as a ``with`` block the work on it: spans and log lines inside carry its id.

    Unknown ``tier`` and ``partner`` may be left out; the collector keeps what it knows. Within an
    HTTP request whose header names a partner, that is the order's unless given. The span of the
    request carries the order too.
    """
    whose = _optional(partner) or entered_partner()
    return Order(OrderInHand(_optional(id) or "", process, _optional(tier), whose))


def mark(order: Order, status: str) -> None:
    """Have the span say that its order has moved, and how far it has come."""
    span = trace.get_current_span()
    moved = {names.ATTR_ORDER_ID: order.id, names.ATTR_ORDER_STAGE: status}
    span.set_attributes(moved)
    span.add_event("order.moved", moved)


def current_order() -> Order | None:
    """The order that the running code works on: of the block around it, or the message in hand."""
    known = in_hand()
    return None if known is None else Order(known)


def _optional(value: object) -> str | None:
    """A name as an event may hold it; none rather than an empty one."""
    if value is None:
        return None
    try:
        # Not `str` of what is a string already: for a member of a str enum that is not its value.
        return (value if isinstance(value, str) else str(value))[:MAX_ID_LENGTH] or None
    except Exception as error:
        log.error("a name of an order, of type %s, has no text: %r", type(value).__name__, error)
        return None


def _required(what: str, value: object) -> str:
    if not (isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH):
        raise ValueError(f"{what} is {value!r:.60}; pass a text of 1 to {MAX_ID_LENGTH} characters")
    return value


def _checked(version: object) -> int | None:
    if version is None or (isinstance(version, int) and 0 <= version < 2**63):
        return version
    raise ValueError(f"version is {version!r:.60}; pass a whole number from 0 to 2**63 - 1")


def _traceparent() -> str | None:
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
