"""Observability and SLA control for orders that travel through several systems.

A service imports this package and needs nothing below it::

    import otelkit

    otelkit.init(service="crm", events="amqp://...")

    @otelkit.observe
    def price(model): ...

    with otelkit.order("A-1042", tier="vip") as order:
        price(model)
        order.moved_to("priced")

Names are loaded when they are first used, so that the command line, which shares this package,
does not wait for the telemetry SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelkit.instrument import outbox, pika
    from otelkit.instrument.asgi import ASGIMiddleware
    from otelkit.instrument.init import init, local
    from otelkit.instrument.observe import observe
    from otelkit.instrument.orders import Order, current_order, order
    from otelkit.instrument.structured import structlog_processor
    from otelkit.instrument.telemetry import Telemetry
    from otelkit.instrument.wsgi import WSGIMiddleware

__version__ = "0.1.0"

__all__ = [
    "ASGIMiddleware",
    "Order",
    "Telemetry",
    "WSGIMiddleware",
    "__version__",
    "current_order",
    "init",
    "local",
    "observe",
    "order",
    "outbox",
    "pika",
    "structlog_processor",
]

_HOMES = {
    "ASGIMiddleware": "asgi",
    "Order": "orders",
    "Telemetry": "telemetry",
    "WSGIMiddleware": "wsgi",
    "current_order": "orders",
    "init": "init",
    "local": "init",
    "observe": "observe",
    "order": "orders",
    "structlog_processor": "structured",
}


def __getattr__(name: str) -> Any:
    if name in {"outbox", "pika"}:
        return import_module(f"otelkit.instrument.{name}")
    if name in _HOMES:
        return getattr(import_module(f"otelkit.instrument.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'otelkit' has no attribute {name!r}")
