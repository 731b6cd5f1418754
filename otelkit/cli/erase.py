"""``otelkit orders erase``: what is personal of an order goes."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

import typer

from otelkit.cli.client import DEFAULT, Address, Token, ask
from otelkit.cli.output import UNKNOWN, Stop, note

EXAMPLE: Final = "Example: otelkit orders erase A-1042"


def erase(
    order_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, or the name another system gives it.")
    ],
    collector: Address = DEFAULT,
    token: Token = None,
) -> None:
    """Delete an order's partner, its names in other systems, and rejected events that name it.

    Its id, its steps and what it counted in stay. Exit 3 if it is unknown.
    """
    found = ask(collector, token, f"/orders/{quote(order_id, safe='')}", method="DELETE")
    if found is None:
        note(f"no event has told of an order {order_id!r}; is the id right?")
        raise Stop(UNKNOWN)
    note(f"erased what was personal of {found['orders']} order(s)")
