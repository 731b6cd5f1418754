"""Mutants of the shop's rules that its proofs let live: ``python -m mutation``.

``PYTHONPATH=examples:tests .venv/bin/python -m mutation --file api-availability``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mutation.mutants import RuleFile, mutants
from mutation.proving import Verdict, judge
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
            proof = ROOT / "proofs" / path.name.replace(".rules.", ".test.")
            files[name] = RuleFile.read(name, path.read_text()), proof.read_text()
    everyone = [mutant for file, _ in files.values() for mutant in mutants(file)]
    chosen = [m for m in everyone if given.match in str(m)][:: given.nth]
    if given.list:
        print(*chosen, sep="\n")  # noqa: T201
    else:
        report(judge(files, chosen, verify.find()), len(chosen))


def report(verdicts: Iterable[Verdict], of: int) -> None:
    killed = broken = 0
    for number, verdict in enumerate(verdicts, 1):
        killed += bool(verdict.killed_by)
        broken += bool(verdict.broken)
        if verdict.survived:
            print(verdict.mutant, flush=True)  # noqa: T201
        elif verdict.broken:
            print(f"broken: {verdict.mutant}: {verdict.broken}", file=sys.stderr)  # noqa: T201
        if sys.stderr.isatty():
            print(f"\r{number} of {of}", end="\r", file=sys.stderr, flush=True)  # noqa: T201
    print(f"killed {killed:,} of {of - broken:,}; {broken} that promtool cannot evaluate")  # noqa: T201


if __name__ == "__main__":
    main()
