"""Tests of services that use otelkit: what they emit, without a server and without a network.

As a pytest plugin, which pytest finds by itself::

    def test_pricing(telemetry):
        with otelkit.order("A-1042") as order:
            price("desk")
            order.moved_to("priced")
        assert telemetry.span("price").attributes["order.id"] == "A-1042"
        assert telemetry.moves == [("A-1042", "priced")]

and anywhere else as ``with otelkit.testing.recorded() as telemetry:``. Ids count from 1, and time
stands still unless ``telemetry.clock`` is moved.
"""

from __future__ import annotations

from otelkit.testing.clock import Clock
from otelkit.testing.recording import Line, Recording, Span, recorded

__all__ = ["Clock", "Line", "Recording", "Span", "recorded"]
