"""``otelkit order``: where an order is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from otelkit.cli.client import DEFAULT, Address, OrderId, Token, ask, expected
from otelkit.cli.moment import local
from otelkit.cli.output import Json, console, print_json

EXAMPLE: Final = "Example: otelkit order A-1042"


def order(
    order_id: OrderId,
    collector: Address = DEFAULT,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say where an order is, how it came there, how its clocks stand.

    Exit 3 if it is unknown.
    """
    found = expected(order_id, ask(collector, token, f"/orders/{quote(order_id, safe='')}"))
    if as_json:
        print_json(found)
        return
    for one in found["orders"]:
        _say(one)


def _say(order: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    since = local(order["since"])
    state = "paused in" if order["paused"] else "in" if order["open"] else "ended in"
    partner = f", partner {order['partner']}" if order["partner"] else ""
    out.print(
        Text(f"{order['id']}: {order['status']}", "bold"),
        Text(f"{state} stage {order['stage']} since {since}, tier {order['tier']}{partner}"),
        sep="\n",
    )
    if order["waits_for"]:
        due = f", due {local(order['deadline'])}" if order["deadline"] else ""
        out.print(Text(f"waits for {' or '.join(order['waits_for'])}{due}"))
    if known := order["acknowledged"]:
        out.print(Text(f"acknowledged until {local(known['until'])}: {known['reason']}"))
    for system, name in order["aliases"].items():
        out.print(Text(f"called {name} by {system}"))
    clocks = Table("clock", "state", "deadline", "agreement", title="Clocks", title_justify="left")
    for clock in order["clocks"]:
        colour = _COLOURS.get(clock["state"], "")
        deadline = local(clock["deadline"]) if clock["deadline"] else _left(clock)
        stands = Text(clock["state"], colour)
        if clock["closed_until"]:
            stands.append(f", outside its hours until {local(clock['closed_until'])}", "dim")
        clocks.add_row(clock["objective"], stands, deadline, clock["agreement"])
    steps = Table("at", "status", "for", "from", "trace", title="Timeline", title_justify="left")
    for step in order["timeline"]:
        lasted = step["duration_seconds"]
        steps.add_row(
            local(step["at"]), step["status"], "" if lasted is None else _rounded(lasted),
            step["source"], step["trace_id"] or "",
        )  # fmt: skip
    for table in (clocks, steps):
        if table.rows:
            out.print(table)


_COLOURS: Final = {"overdue": "red", "breached": "red", "at_risk": "yellow", "met": "green"}


def _left(clock: dict[str, Any]) -> str:
    """A paused clock has no deadline, only what is left."""
    left = clock["left_seconds"]
    return "" if left is None else f"{_rounded(left)} left"


def _rounded(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
