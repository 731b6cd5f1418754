"""``otelkit prove``: the generated alerts fire when they must, and only then."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelkit import spec
from otelkit.cli.output import FAILED, Json, SlaFile, Stop, note, plural, print_json

if TYPE_CHECKING:
    from otelkit.verify.promtool import Verdict

EXAMPLE: Final = "Example: otelkit prove sla.yaml"


def prove(sla: SlaFile, as_json: Json = False) -> None:
    """Generate rules and proofs, and have promtool run every proof.

    Where many objectives have the same target, window and policy, two are proven in full and the
    others in short: their rules differ in nothing but labels and selectors.
    """
    from otelkit.generate import files
    from otelkit.verify import promtool

    program = promtool.find()
    made = files.files(spec.load(sla), sla.name)
    with tempfile.TemporaryDirectory(prefix="otelkit-prove-") as name:
        folder = Path(name)
        for path, text in made.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        promtool.check_rules(program, sorted((folder / files.RULES).iterdir()))
        proofs = sorted((folder / files.PROOFS).iterdir())
        verdicts = sorted(
            _watched(promtool.prove(program, proofs), len(proofs), as_json=as_json),
            key=lambda verdict: verdict.proof,
        )
    marked = f"# {files.SHORT}"
    short = {Path(path).name for path, text in made.items() if marked in text[:500]}
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if as_json:
        print_json(
            {
                "file": str(sla),
                "ok": not failed,
                "proofs": [
                    {"proof": v.proof, "passed": v.passed, "seconds": round(v.seconds, 3)}
                    | {"short": v.proof in short}
                    | ({} if v.passed else {"output": v.output})
                    for v in verdicts
                ],
            }
        )
    else:
        in_short = f", {len(short)} of them in short" if short else ""
        note(f"{len(verdicts) - len(failed)} of {plural(len(verdicts), 'proof')} hold{in_short}")
    if failed:
        raise Stop(FAILED)


def _watched(verdicts: Iterable[Verdict], total: int, *, as_json: bool) -> Iterator[Verdict]:
    """The verdicts as they come: each printed, with a progress bar where somebody looks."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    shown = track(
        verdicts,
        "proving",
        total=total,
        console=console,
        transient=True,
        disable=as_json or not sys.stderr.isatty(),
    )
    for verdict in shown:
        if not as_json:
            word = "holds " if verdict.passed else "FAILS "
            print(f"{word} {verdict.proof} ({verdict.seconds:.1f} s)", flush=True)
            if not verdict.passed:
                print(verdict.output)
        yield verdict
