"""Counting all open orders anew, some at a time, while they go on changing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otelkit.collect.clocks.standing import GAUGES, Gauges, standing
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Key, Tallies


class Audit:
    """Gauges of the orders up to a number.

    Whoever changes one of these later tells :meth:`change`, so that in the end :attr:`found` holds
    what a count of all orders at that moment would give.
    """

    def __init__(self) -> None:
        self.upto = 0
        self.found: Final = Tallies()

    def count(self, orders: Mapping[int, State], now: float) -> None:
        """Take in the next orders, as they stand when time has come to ``now``."""
        for number, state in orders.items():
            self.found.change(standing(state, now))
            self.upto = max(self.upto, number)

    def change(self, gauges: Gauges) -> None:
        """Take in what has changed since of orders that are counted."""
        self.found.merge(gauges.tallies())
        self.found.merge(gauges.minutes.flat())

    def differences(self, tallies: Mapping[Key, float]) -> Tallies:
        """What has to be added to the gauges among ``tallies`` once all orders are counted."""
        wrong = Tallies(self.found)
        wrong.merge({key: -count for key, count in tallies.items() if key[0] in GAUGES})
        return Tallies({key: count for key, count in wrong.items() if count})
