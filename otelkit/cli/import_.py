"""``otelkit import``: an SLA file from SLO files of another make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otelkit.cli.output import FAILED, Json, Stop, note, plural, print_json
from otelkit.errors import ConfigError, Problem, SpecError

if TYPE_CHECKING:
    from otelkit.migrate.result import Imported, Make

SLOTH: Final = "Example: otelkit import sloth slos.yaml -o sla.yaml"
OPENSLO: Final = "Example: otelkit import openslo slos.yaml -o sla.yaml"
HELP: Final = "Make an SLA file from SLO files of another make."

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)

Foreign = Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="SLA", help="Where to write; standard output if not."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an SLA file that is there.")]


@app.callback()
def _import() -> None:
    """Make an SLA file from SLO files of another make."""


@app.command("sloth", epilog=SLOTH)
def sloth(
    file: Foreign, output: Output = None, force: Force = False, as_json: Json = False
) -> None:
    """From Sloth: prometheus/v1, or its Kubernetes resources."""
    from otelkit.migrate import sloth

    _answer(file, sloth.draft, output, force=force, as_json=as_json)


@app.command("openslo", epilog=OPENSLO)
def openslo(
    file: Foreign, output: Output = None, force: Force = False, as_json: Json = False
) -> None:
    """From OpenSLO v1 or v1alpha, with several objects a file."""
    from otelkit.migrate import openslo

    _answer(file, openslo.draft, output, force=force, as_json=as_json)


def _answer(file: Path, make: Make, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Each field that did not come over is told on standard error, as ``file:line:column:``."""
    from otelkit.migrate.result import load

    if output is not None and output.exists():
        if not force:
            raise ConfigError(f"{output} is there already; name another file, or use --force")
        if file.exists() and output.samefile(file):
            raise ConfigError(f"{output} is the file that is read; name another one")
    try:
        found = load(file, make)
    except SpecError as error:
        if not as_json:
            raise
        print_json({"file": str(file), "ok": False, "problems": _told(error.problems)})
        raise Stop(FAILED) from error
    if output is not None:
        _write(output, found.text)
    if as_json:
        print_json(_json(file, output, found))
        return
    if output is None:
        print(found.text, end="")
    for one in found.notes:
        note(f"{one.file}:{one.line}:{one.column}: {_path(one)}{one.message}")
    what = f"{plural(found.objectives, 'objective')}, {plural(len(found.notes), 'note')}"
    note(f"{file}: {what}" + (f"; next: otelkit check {output}" if output else ""))


def _json(file: Path, output: Path | None, found: Imported) -> dict[str, Any]:
    return {
        "file": str(file),
        "ok": True,
        "objectives": found.objectives,
        "notes": _told(found.notes),
        "written": None if output is None else str(output),
        "sla": found.text,
    }


def _told(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in problems]


def _path(one: Problem) -> str:
    return f"{one.path}: " if one.path else ""


def _write(path: Path, text: str) -> None:
    """All of the file or none of it."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; name another file"
        ) from error
