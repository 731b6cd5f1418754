"""The data set of the collector's bench: open orders, and the events that come in on top of them.

Five stages and three tiers, two orders in a hundred of the dearest, 18 of the next; one in a
hundred waits for its customer. Each open order has had two events. Deadlines lie over ten days,
but in the first ``TICKS`` ticks ``DUE`` clocks cross theirs in each, however many orders are open.
Of a hundred events that come in, 20 are of new orders, 58 move one on, 20 finish one and 2 repeat
what was told before.
"""

from __future__ import annotations

import random
import uuid
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from otelkit.collect.clocks.decode import Event
from otelkit.events import OrderMoved, encode

STAGES: Final = ("submitted", "priced", "approved", "manufacturing", "packed")
TIERS: Final = ("vip", "express", "standard")
WEIGHTS: Final = (2, 18, 80)
PAUSED_SHARE: Final = 0.01
NOW: Final = 1_700_000_000.0
"""The instant at which the orders stand as they are filled in: long ago, or what comes in after it
would be from the future."""
DAY: Final = 86_400.0
SPREAD: Final = 1e6
"""Seconds behind ``NOW`` over which deadlines lie."""
TICK: Final = 5.0
TICKS: Final = 40
DUE: Final = 25
"""Clocks that cross their deadline in each of so many ticks."""

SLA: Final = f"""\
version: 1
system: bench
processes:
  order:
    stages: [{", ".join(STAGES)}]
    done: [shipped]
    cancelled: [cancelled]
    paused: [waiting]
    tiers: [{", ".join(TIERS)}]
objectives:
  - name: manufacturing-on-time
    process: order
    stage: manufacturing
    within: [{{tier: vip, allow: 10d}}, {{allow: 20d}}]
    at_risk: 25%
    target: 95%
  - name: delivered-on-time
    process: order
    from: submitted
    to: shipped
    within: 10d
    target: 97%
"""


class Orders:
    """So many open orders, always the same ones; what :meth:`traffic` finishes is open no more."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._luck = random.Random(size)
        self._open = array("I", range(size))
        self._stage = bytearray(size)
        self._told = 0

    def filled(self) -> Iterator[list[Event]]:
        """Two events of each open order, in the order of their numbers."""
        luck = self._luck
        soon = TICKS * DUE
        for number in range(self.size):
            # The first ones cross their deadline one after another, the rest behind them.
            left = (number + 1) * TICK / DUE
            if number >= soon:
                left = luck.uniform(TICKS * TICK, SPREAD)
            began = NOW - 10 * DAY + min(left, 10 * DAY - 60)
            stage = self._stage[number] = luck.randrange(1, len(STAGES))
            status = "waiting" if luck.random() < PAUSED_SHARE and number >= soon else STAGES[stage]
            tier = luck.choices(TIERS, WEIGHTS)[0]
            yield [
                self._event(number, "submitted", began, tier),
                self._event(number, status, luck.uniform(began, NOW), None),
            ]

    def _event(self, number: int, status: str, at: float, tier: str | None) -> Event:
        return Event(
            "crm", _hex(self._luck), f"A-{number}", at, "order", status, tier, None, None, {},
            _hex(self._luck), at + 0.05,
        )  # fmt: skip

    def traffic(self, events: int) -> list[bytes]:
        """The next bodies from services, as they come in after ``NOW``."""
        bodies: list[bytes] = []
        for _ in range(events):
            kind = self._luck.random()
            if kind < 0.02 and bodies:
                bodies.append(self._luck.choice(bodies[-1000:]))
            else:
                bodies.append(self._body(*self._next(kind)))
        return bodies

    def _next(self, kind: float) -> tuple[int, str]:
        if kind < 0.22:
            number = len(self._stage)
            self._stage.append(0)
            self._open.append(number)
            return number, STAGES[0]
        place = self._luck.randrange(len(self._open))
        number = self._open[place]
        if kind < 0.80:
            self._stage[number] = (self._stage[number] + 1) % len(STAGES)
            return number, STAGES[self._stage[number]]
        self._open[place] = self._open[-1]
        self._open.pop()
        return number, "shipped"

    def _body(self, number: int, status: str) -> bytes:
        self._told += 1
        return encode(
            OrderMoved(
                source="crm",
                id=_hex(self._luck),
                order_id=f"A-{number}",
                at=datetime.fromtimestamp(NOW + self._told / 1000, UTC),
                process="order",
                status=status,
                traceparent=f"00-{_hex(self._luck)}-{_hex(self._luck)[:16]}-01",
            )
        )


def _hex(luck: random.Random) -> str:
    return uuid.UUID(int=luck.getrandbits(128)).hex
