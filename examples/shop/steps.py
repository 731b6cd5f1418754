"""The statuses of an order, numbered in the order in which the shop goes through them.

The number is the ``version`` of an event: it tells which of two events of an order is the newer,
whatever way and whenever they arrive, and that an event sent twice is one.
"""

from __future__ import annotations

STEPS = (
    "submitted",
    "priced",
    "waiting_for_customer",
    "approved",
    "manufacturing",
    "packed",
    "shipped",
    "cancelled",
)


def version(status: str) -> int:
    """The number of a status, from 1."""
    return STEPS.index(status) + 1
