"""What commands share: exit codes, and how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console

FAILED: Final = 1
NO: Final = 2
UNKNOWN: Final = 3
INTERRUPTED: Final = 130

SlaFile = Annotated[Path, typer.Argument(metavar="SLA", help="The SLA file.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]


class Stop(Exception):  # noqa: N818 - an exit code, not an error
    """Ends a command that has said all it has to say."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def print_json(answer: Any) -> None:
    """An answer for programs, on standard output."""
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def console() -> Console:
    """Standard output for tables and the names of others, which are printed as they are.

    In a pipe lines are as long as they need be: a trace id that is folded cannot be found.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else 500
    return Console(markup=False, emoji=False, highlight=False, width=width)


class Advance(Protocol):
    """Moves a bar on, by one part if nothing else is said."""

    def __call__(self, parts: float = 1.0) -> None: ...


@contextmanager
def progress(doing: str, total: int, *, quiet: bool = False) -> Iterator[Advance]:
    """Yields what is called after each of ``total`` parts; a bar where somebody looks."""
    from rich.console import Console
    from rich.progress import Progress

    hidden = quiet or sys.stderr is None or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as shown:
        task = shown.add_task(doing, total=total)
        yield lambda parts=1.0: shown.advance(task, parts)


def note(text: str) -> None:
    """What a person wants to know but a program does not: on standard error."""
    print(text, file=sys.stderr)


def plural(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"
