"""``otelkit diff``: what a change of an SLA file means for those on call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otelkit import spec
from otelkit.cli.output import NO, Json, Stop, console, note, plural, print_json

if TYPE_CHECKING:
    from otelkit.generate.changes import Change

EXAMPLE: Final = "Example: otelkit diff sla.yaml new.yaml"

Old = Annotated[Path, typer.Argument(metavar="OLD", help="The SLA file as it was.")]
New = Annotated[Path, typer.Argument(metavar="NEW", help="The SLA file as it will be.")]


def diff(old: Old, new: New, as_json: Json = False) -> None:
    """Say in plain words what changes for those on call.

    Exit 2 if anything does. The two files are compared by what they mean: comments, order and
    spelling do not matter.
    """
    from otelkit.generate.changes import changes

    found = changes(spec.load(old), spec.load(new))
    if as_json:
        told = [asdict(change) for change in found]
        print_json({"old": str(old), "new": str(new), "changes": told})
    elif found:
        _show(found)
    else:
        note("nothing changes for anyone")
    if found:
        raise Stop(NO)


def _show(changes: Sequence[Change]) -> None:
    from rich.table import Column, Table

    named = len({change.environment for change in changes}) > 1
    table = Table(Column("objective", overflow="fold"), Column("owner", overflow="fold"))
    table.add_column("what changes", overflow="fold")
    last = None
    for change in changes:
        name = change.objective or "(all)"
        name = f"{change.environment}.{name}" if named and change.objective else name
        if (name, change.owner) != last:
            table.add_section()
        shown = (name, change.owner) if (name, change.owner) != last else ("", "")
        table.add_row(*shown, change.text)
        last = (name, change.owner)
    console().print(table)
    note(f"{plural(len(changes), 'change')} for those on call")
