"""``otelkit orders``: which are late, which of those are known, and events of a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from otelkit.cli import erase, load
from otelkit.cli.client import DEFAULT, Address, OrderId, Token, ask_for, expected, send
from otelkit.cli.moment import local, moment
from otelkit.cli.output import Json, console, note, print_json

EXAMPLE: Final = "Example: otelkit orders overdue --stage manufacturing"
ACK_EXAMPLE: Final = 'Example: otelkit orders ack A-1042 --until 3d --reason "part on order"'


class State(StrEnum):
    """Which clocks are listed; named as the collector's API has them."""

    overdue = "overdue"
    at_risk = "at_risk"
    open = "open"


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
    process: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only orders of this process.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only clocks of this objective.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only orders in this stage.")
    ] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only orders of this tier.")
    ] = None,
    partner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only orders of this partner.")
    ] = None,
    state: Annotated[
        State, typer.Option(help="Overdue, at risk of it, or any clock that runs.")
    ] = State.overdue,
    acknowledged: Annotated[
        bool | None,
        typer.Option("--acknowledged/--unacknowledged", help="Only those that are, or are not."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=500, help="How many at most.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Go on behind a page: what it said last.")
    ] = None,
    collector: Address = DEFAULT,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List the orders past a deadline, the longest overdue first."""
    filters = {
        "process": process,
        "objective": objective,
        "stage": stage,
        "tier": tier,
        "partner": partner,
        "acknowledged": None if acknowledged is None else str(acknowledged).lower(),
        "after": after,
    }
    params = {"state": state.value, "limit": str(limit)}
    params |= {name: value for name, value in filters.items() if value is not None}
    found = ask_for(collector, token, "/orders", "next", params)
    if as_json:
        print_json(found)
        return
    if found["orders"]:
        _show(found["orders"], state)
    elif found["next"] is None:
        note(f"no order is {state.value.replace('_', ' ')}")
    if found["next"] is not None:
        note(f"there are more; go on with --after {found['next']}")


def _show(orders: list[dict[str, Any]], state: State) -> None:
    from rich.table import Table

    word = "overdue by" if state is State.overdue else "left"
    table = Table("order", "objective", "stage", "tier", "partner", word, "acknowledged")
    for order in orders:
        seconds = round(order["overdue_seconds"])
        late = state is not State.overdue and seconds > 0
        time = f"{'-' if late else ''}{timedelta(seconds=abs(seconds))}"
        ack = order["acknowledged"]
        known = f"until {local(ack['until'])}: {ack['reason']}" if ack else ""
        table.add_row(
            order["id"], order["objective"], order["stage"], order["tier"],
            order["partner"] or "", time, known,
        )  # fmt: skip
    console().print(table)


@app.command("ack", epilog=ACK_EXAMPLE)
def ack(
    order_id: OrderId,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="For how long, such as 3d, or a time; now ends it.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is late, for those who ask.")],
    collector: Address = DEFAULT,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Take a late order as known: no alert names it, and lists say why. Exit 3 if unknown."""
    end = _end(until, datetime.now(UTC))
    if not reason.strip():
        raise typer.BadParameter("write why it is late", param_hint="'--reason'")
    asked = {"order": order_id, "until": end.isoformat(), "reason": reason}
    found = expected(order_id, send(collector, token, "/acks", asked))
    if as_json:
        print_json(found)
        return
    for order in found["orders"]:
        known = order["acknowledged"]
        what = f"acknowledged until {local(known['until'])}" if known else "no longer acknowledged"
        print(f"{order['id']}: {what}")


def _end(text: str, now: datetime) -> datetime:
    from otelkit.spec.quantities import duration

    try:
        return now + duration(text)
    except (ValueError, OverflowError):
        return moment(text, now)
