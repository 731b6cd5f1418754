"""``otelkit generate``: rules, proofs, dashboards, scrape jobs and routes from an SLA file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otelkit import spec
from otelkit.cli.output import NO, Json, SlaFile, Stop, note, plural, print_json
from otelkit.errors import ConfigError
from otelkit.generate.form import Form

if TYPE_CHECKING:
    from otelkit.generate import writer
    from otelkit.model import Sla

EXAMPLE: Final = "Example: otelkit generate sla.yaml -o deploy   (in CI: the same with --check)"

Folder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write to.")
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit 2 if the folder would change.")
]
Stack = Annotated[
    bool,
    typer.Option("--stack", help="Also a whole prometheus.yml and alertmanager.yml of their own."),
]
MaxSamples = Annotated[
    int | None,
    typer.Option(
        "--max-samples",
        min=0,
        metavar="N",
        help="Refuse rules that would read more samples in one evaluation, if each selector of a "
        "service's metrics matched 20 series; `explain --series` reckons with other numbers.",
    ),
]
_DEAREST: Final = 5


Format = Annotated[
    Form, typer.Option("--format", help="Rule files, or resources for the Prometheus operator.")
]


def generate(
    sla: SlaFile,
    output: Folder,
    check: Check = False,
    stack: Stack = False,
    max_samples: MaxSamples = None,
    form: Format = Form.PROMETHEUS,
    as_json: Json = False,
) -> None:
    """Write alert rules, proofs, dashboards, scrape jobs and routes.

    They go to DIR/alert_rules, DIR/proofs, DIR/dashboards and DIR/collectors. All files are made
    before the first is written, and only what differs is replaced. Files of objectives and
    environments that have left the SLA file are removed; those of other origin stay.
    """
    from otelkit.generate import files, writer

    if stack and form is Form.OPERATOR:
        raise ConfigError(
            "--stack writes whole configurations, and the operator makes these itself; "
            "leave out one of --stack and --format prometheus-operator"
        )
    found = spec.load(sla)
    if max_samples is not None:
        _refuse_dearer(found, max_samples)
    made = files.files(found, sla.name, whole_stack=stack, form=form)
    act = writer.compare if check else writer.write
    changes = act(made, output, found.system)
    if as_json:
        print_json(
            {
                "folder": str(output),
                "files": list(made),
                "written": not check and bool(changes),
                "added": changes.added,
                "changed": changes.changed,
                "removed": changes.removed,
            }
        )
    else:
        _say(changes, output, len(made), check=check)
    if check and changes:
        raise Stop(NO)


def _refuse_dearer(sla: Sla, most: int) -> None:
    from otelkit.generate.cost import ASSUMED, costs

    found = costs(sla)
    samples = sum(cost.samples for cost in found)
    if samples <= most:
        note(f"the rules read {samples:,} samples in one evaluation, {ASSUMED}")
        return
    dearest = sorted(found, key=lambda cost: cost.samples, reverse=True)[:_DEAREST]
    named = ", ".join(f"{cost.name} {cost.samples:,}" for cost in dearest)
    raise ConfigError(
        f"the rules read {samples:,} samples in one evaluation, and --max-samples allows {most:,}; "
        f"the dearest are {named} ({ASSUMED}). Nothing was written; shorten their windows, take "
        "objectives out, or allow more"
    )


def _say(changes: writer.Changes, folder: Path, count: int, *, check: bool) -> None:
    kinds = (
        ("+", "new", changes.added),
        ("~", "changed", changes.changed),
        ("-", "removed", changes.removed),
    )
    for mark, _, paths in kinds:
        for path in paths:
            print(f"{mark} {path}")
    said = ", ".join(f"{len(paths)} {word}" for _, word, paths in kinds if paths)
    if check and said:
        said += "; run it without --check to write them"
    note(f"{folder}: {plural(count, 'file')}, {said or 'all up to date'}")
