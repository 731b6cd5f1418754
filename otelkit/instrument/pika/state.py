"""What otelkit knows of a channel, kept on the channel itself: it is forgotten with it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context

from otelkit.instrument import runtime
from otelkit.instrument.pika.message import SYSTEM, Attributes, Delivery
from otelkit.instrument.runtime import Signals

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from otelkit.instrument.pika.publishing import Unconfirmed

_STATE: Final = "_otelkit_state"
_DELIVERY: Final = "_otelkit_delivery"


class Queue:
    """A queue that is consumed; its series of successes exists from ``init`` on."""

    def __init__(self, name: str) -> None:
        self.name = name
        runtime.know(self)

    def bind(self, telemetry: Signals) -> Histogram:
        return telemetry.metrics.messages.labels(SYSTEM, self.name, "process", "")


class Asked(NamedTuple):
    """A ``basic_get`` that waits for its answer; a channel has one at a time."""

    queue: str
    auto_ack: bool
    at: int
    """Unix nanoseconds."""
    context: Context


class ChannelState:
    """Of one channel; read and written on its connection's thread only, like the channel."""

    def __init__(self, server: Attributes) -> None:
        self.server = server
        self.queues: dict[str, Queue] = {}
        """By consumer tag."""
        self.unsettled: dict[int, Delivery] = {}
        """By delivery tag, in the order of delivery. The broker holds these, too."""
        self.asked: Asked | None = None
        self.unconfirmed: Unconfirmed | None = None
        """In confirm mode, for adapters that do not wait for the confirm themselves."""
        self.at_work: ExitStack | None = None
        """The work on the message that ``consume()`` has handed out last."""

    def take(self, tag: int, *, multiple: bool) -> list[Delivery]:
        """The deliveries that settling ``tag`` settles, which are forgotten; tag 0 means all."""
        if not multiple:
            found = self.unsettled.pop(tag, None)
            return [] if found is None else [found]
        tags = [known for known in self.unsettled if not tag or known <= tag]
        return [self.unsettled.pop(known) for known in tags]

    def end_work(self) -> None:
        if self.at_work is not None:
            self.at_work.close()
            self.at_work = None


def state(channel: Any) -> ChannelState:
    """Of a channel, or of the one below a blocking channel."""
    impl = getattr(channel, "_impl", channel)
    found: ChannelState | None = vars(impl).get(_STATE)
    if found is None:
        found = ChannelState(_server(impl))
        setattr(impl, _STATE, found)
    return found


def delivered(
    channel: Any, method: Any, properties: Any, body: bytes | None, queue: str
) -> Delivery:
    """The delivery of a message, made when it is first asked for and kept on ``method``."""
    found: Delivery | None = delivery_of(method)
    if found is None:
        found = Delivery(
            exchange=method.exchange or "",
            routing_key=method.routing_key or "",
            # The default exchange routes by the names of queues.
            queue=queue or ("" if method.exchange else method.routing_key or ""),
            tag=method.delivery_tag,
            redelivered=bool(method.redelivered),
            properties=properties,
            size=len(body or b""),
            server=state(channel).server,
        )
        setattr(method, _DELIVERY, found)
    return found


def delivery_of(method: Any) -> Delivery | None:
    return getattr(method, _DELIVERY, None)


def _server(channel: Any) -> Attributes:
    parameters = getattr(channel.connection, "params", None)
    host, port = getattr(parameters, "host", None), getattr(parameters, "port", None)
    if not isinstance(host, str) or not isinstance(port, int):
        return {}
    return {"server.address": host, "server.port": port}
