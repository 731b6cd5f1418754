"""Mutants of the shop's rules that its proofs let live: ``python -m mutation``.

``PYTHONPATH=examples:tests .venv/bin/python -m mutation --file api-availability``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant, RuleFile, mutants
from mutation.proving import Proof, prove
from otelkit.verify import promtool as verify

ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", action="append", help="a rule file's name in the middle; all")
    parser.add_argument("--match", default="", help="only mutants told with this text in them")
    parser.add_argument("--nth", type=int, default=1, help="only every nth mutant")
    parser.add_argument("--list", action="store_true", help="tell the mutants, run nothing")
    given = parser.parse_args()
    files = {}
    for path in sorted((ROOT / "alert_rules").glob("*.rules.yml")):
        _, name, _, _ = path.name.split(".")
        if not given.file or name in given.file:
            files[name] = RuleFile.read(name, path.read_text())
    chosen = [m for file in files.values() for m in mutants(file) if given.match in str(m)]
    chosen = chosen[:: given.nth]
    if given.list:
        print(*chosen, sep="\n")  # noqa: T201
        return
    report(files, chosen)


def report(files: dict[str, RuleFile], chosen: list[Mutant]) -> None:
    promtool = verify.find()
    proofs = {
        name: Proof(file, (ROOT / "proofs" / f"shop.{name}.test.yml").read_text(), promtool)
        for name, file in files.items()
    }
    killed = refused = 0
    for number, verdict in enumerate(prove(proofs, chosen), 1):
        killed += verdict.killed_by is not None
        refused += bool(verdict.refused)
        if verdict.survived:
            print(verdict.mutant, flush=True)  # noqa: T201
        elif verdict.refused:
            print(f"refused: {verdict.mutant}\n{verdict.refused}", file=sys.stderr)  # noqa: T201
        if sys.stderr.isatty():
            print(f"\r{number} of {len(chosen)}", end="\r", file=sys.stderr, flush=True)  # noqa: T201
    print(f"killed {killed:,} of {len(chosen) - refused:,}; {refused} refused by promtool")  # noqa: T201


if __name__ == "__main__":
    main()
