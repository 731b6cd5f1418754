"""``otelkit orders erase``: what is personal of an order goes."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from otelkit.cli.client import DEFAULT, Address, OrderId, Token, ask, expected
from otelkit.cli.output import note

EXAMPLE: Final = "Example: otelkit orders erase A-1042"


def erase(
    order_id: OrderId,
    collector: Address = DEFAULT,
    token: Token = None,
) -> None:
    """Delete what is personal of an order.

    That is its partner, its names in other systems, and rejected events that name it. Its id, its
    steps and what it counted in stay. Exit 3 if it is unknown.
    """
    path = f"/orders/{quote(order_id, safe='')}"
    found = expected(order_id, ask(collector, token, path, method="DELETE"))
    note(f"erased what was personal of {found['orders']} order(s)")
