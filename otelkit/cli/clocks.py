"""``otelkit clocks``: what a new SLA file means for open orders, and letting them follow it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from otelkit import spec
from otelkit.cli.client import DEFAULT, Address, Token, ask_for, send_text
from otelkit.cli.moment import local
from otelkit.cli.output import (
    INTERRUPTED,
    NO,
    Json,
    Stop,
    console,
    note,
    plural,
    print_json,
    progress,
)
from otelkit.errors import UnavailableError

PLAN_EXAMPLE: Final = "Example: otelkit clocks plan --sla new.yaml"
APPLY_EXAMPLE: Final = "Example: otelkit clocks apply --sla new.yaml"
SHOW_EXAMPLE: Final = "Example: otelkit clocks show"
_LOOK_SECONDS: Final = 0.2
_PATIENCE: Final = 60.0
"""Seconds for which a collector may be away while it works, before it is given up."""
_UNDER_WAY: Final = "changeover"

Sla = Annotated[Path, typer.Option("--sla", metavar="NEW", help="The SLA file as it will be.")]

app = typer.Typer(
    help="What a new SLA file means for open orders.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _clocks() -> None:
    """What a new SLA file means for open orders."""


@app.command("plan", epilog=PLAN_EXAMPLE)
def plan(
    sla: Sla, collector: Address = DEFAULT, token: Token = None, as_json: Json = False
) -> None:
    """Say how the clocks of open orders would change.

    Nothing is changed. Exit 2 if any would.
    """
    found = _done("plan", sla, collector, token, quiet=as_json)
    if as_json:
        print_json(found)
    else:
        _show(found, stay="would stay", change="would change")
    if found["changed"]:
        raise Stop(NO)


@app.command("apply", epilog=APPLY_EXAMPLE)
def apply(
    sla: Sla, collector: Address = DEFAULT, token: Token = None, as_json: Json = False
) -> None:
    """Let a running collector judge by a new SLA file.

    Orders that are open are judged by it too. The collector goes on with it by itself, also after a
    restart. Give it the same file for its next start. Queues are watched as before until then.
    """
    found = _done("apply", sla, collector, token, quiet=as_json)
    if as_json:
        print_json(found)
    else:
        _show(found, stay="had to stay", change="changed")
        note(f"let the collector start with {sla} from now on")


@app.command("show", epilog=SHOW_EXAMPLE)
def show(collector: Address = DEFAULT, token: Token = None, as_json: Json = False) -> None:
    """Say which policies the clocks of open orders follow.

    Exit 2 if any is not in force.
    """
    found = ask_for(collector, token, "/clocks", "outdated")
    if as_json:
        print_json(found)
    else:
        _show_policies(found)
    if found["outdated"]:
        raise Stop(NO)


# --- the work of the collector -------------------------------------------------------------


def _done(
    doing: str, sla: Path, collector: str, token: str | None, *, quiet: bool
) -> dict[str, Any]:
    """What became of it, once the collector has looked at all orders."""
    sent = send_text(collector, token, f"/clocks/{doing}", spec.text_of(sla))
    work: dict[str, Any] | None = sent[_UNDER_WAY]
    if work is None:  # a shard has changed hands just now, and its new holder knows of nothing
        raise _given_up(collector)
    try:
        with progress(f"{doing} {sla.name}", max(work["last"], 1), quiet=quiet) as advance:
            while not work["finished"]:
                found = _look(doing, collector, token)
                advance(found["reached"] - work["reached"])
                work = found
    except KeyboardInterrupt:
        if doing == "apply":
            note("the collector goes on with it; run it again, or otelkit clocks show, to watch")
        raise Stop(INTERRUPTED) from None
    return work


def _look(doing: str, collector: str, token: str | None) -> dict[str, Any]:
    """How far it has come, a moment later; a collector that is started anew is waited for."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        time.sleep(_LOOK_SECONDS)
        try:
            found = ask_for(collector, token, "/clocks", _UNDER_WAY)[_UNDER_WAY]
        except UnavailableError:
            if time.monotonic() > give_up:
                raise
            continue
        if found is not None and found["doing"] == doing:
            return dict(found)
        if doing == "plan" or found is not None or time.monotonic() > give_up:
            raise _given_up(collector)


def _given_up(collector: str) -> UnavailableError:
    return UnavailableError(
        f"the collector at {collector} no longer does this; run it again to see why"
    )


# --- what is said --------------------------------------------------------------------------


def _show(found: dict[str, Any], *, stay: str, change: str) -> None:
    from rich.table import Table

    table = Table("objective", "clocks", "how many", "such as")
    for own in found["objectives"]:
        table.add_section()
        for cells in _rows(own):
            table.add_row(*cells)
    if table.rows:
        console().print(table)
    for kept in found["kept"]:
        count, named = plural(kept["count"], "order"), ", ".join(kept["orders"])
        note(f"{count} {stay}: {kept['reason']} ({named})")
    if not found["orders"]:
        note("every open order follows this SLA file")
    else:
        rest = plural(found["orders"], "open order")
        note(f"{found['changed']:,} of {rest} that followed another SLA file {change}")


def _rows(own: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """The lines of an objective: states that change, deadlines that move, what stays."""
    name = own["objective"]
    for one in own["transitions"]:
        what = f"{one['before'] or 'new'} -> {one['after'] or 'gone'}".replace("_", " ")
        yield name, what, f"{one['count']:,}", ", ".join(one["orders"])
        name = ""
    for way in ("earlier", "later"):
        if own[way]["count"]:
            by = timedelta(seconds=abs(own[way]["median_seconds"]))
            yield name, f"deadline {way}", f"{own[way]['count']:,}", f"by {by} (median)"
            name = ""
    if own["unchanged"]:
        yield name, "unchanged", f"{own['unchanged']:,}", ""


def _show_policies(found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("process", "policy", "since", "open orders", "in force")
    for one in found["policies"]:
        since = local(one["first"]) if one["first"] else ""
        in_force = "yes" if one["in_force"] else "no"
        name = one["fingerprint"] or "(several)"
        table.add_row(one["process"], name, since, f"{one['orders']:,}", in_force)
    console().print(table)
    work = found[_UNDER_WAY]
    if work and not work["finished"]:
        note(f"{work['doing']}: {work['reached']:,} of about {work['last']:,} orders looked at")
    if found["outdated"]:
        note(
            f"{plural(found['outdated'], 'open order')} not under the SLA file in force; "
            "otelkit clocks plan tells what that would change"
        )
