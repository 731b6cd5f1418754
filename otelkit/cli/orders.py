"""``otelkit orders``: which orders are late, and events of a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import typer

from otelkit.cli import erase, load
from otelkit.cli.client import DEFAULT, Address, Token, ask
from otelkit.cli.output import Json, console, note, print_json

EXAMPLE: Final = "Example: otelkit orders overdue --stage manufacturing"

app = typer.Typer(
    help="Late orders, events from files, erasure.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _orders() -> None:
    """Late orders, events from files, erasure."""


app.command("load", epilog=load.EXAMPLE)(load.load)
app.command("erase", epilog=erase.EXAMPLE)(erase.erase)


@app.command("overdue", epilog=EXAMPLE)
def overdue(
    objective: Annotated[str | None, typer.Option(help="Only clocks of this objective.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only orders in this stage.")] = None,
    at_risk: Annotated[
        bool, typer.Option("--at-risk", help="Those that are not overdue yet but soon.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 50,
    collector: Address = DEFAULT,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List the orders that are past a deadline, the longest overdue first."""
    params = {"state": "at_risk" if at_risk else "overdue", "limit": str(limit)}
    params |= {} if objective is None else {"objective": objective}
    params |= {} if stage is None else {"stage": stage}
    found = ask(collector, token, "/orders", params) or {"orders": [], "next": None}
    if as_json:
        print_json(found)
        return
    if not found["orders"]:
        note("no order is " + ("at risk" if at_risk else "overdue"))
        return

    from rich.table import Table

    word = "left" if at_risk else "overdue by"
    table = Table("order", "objective", "stage", "tier", "partner", word)
    for order in found["orders"]:
        late = timedelta(seconds=abs(round(order["overdue_seconds"])))
        table.add_row(
            order["id"], order["objective"], order["stage"], order["tier"],
            order["partner"] or "", str(late),
        )  # fmt: skip
    console().print(table)
    if found["next"] is not None:
        note(f"there are more than these {limit}; ask for more with --limit")
