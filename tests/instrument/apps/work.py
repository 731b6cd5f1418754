"""What each of these applications does in its endpoints: the same work in four frameworks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import otelkit


def start() -> None:
    """Set telemetry up as the environment says."""
    otelkit.init(service="shop")


@otelkit.observe(name="look")
def look() -> str:
    """Which order the framework's thread or task works on."""
    order = otelkit.current_order()
    return f"{order.id} of {order.partner}" if order is not None else "none"


@otelkit.observe(name="take")
def take() -> str:
    """Take an order that the request did not name."""
    with otelkit.order("T-1"):
        return look()


def parts() -> Iterator[bytes]:
    """A body of three parts, 50 ms apart."""
    for n in range(3):
        time.sleep(0.05)
        yield f"{n}".encode()
