"""Mutants of the shop's rules that its proofs let live: ``python -m mutation``.

``PYTHONPATH=examples:tests .venv/bin/python -m mutation --file api-availability``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from mutation import spared
from mutation.mutants import mutants
from mutation.proving import Verdict, judge
from mutation.shop import subjects
from otelkit.verify import promtool as verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", action="append", help="a rule file's name in the middle; all")
    parser.add_argument("--match", default="", help="only mutants told with this text in them")
    parser.add_argument("--nth", type=int, default=1, help="only every nth mutant")
    parser.add_argument("--spared", action="store_true", help="only those that none has to kill")
    parser.add_argument("--list", action="store_true", help="tell the mutants, run nothing")
    given = parser.parse_args()
    chosen_files = {n: s for n, s in subjects().items() if not given.file or n in given.file}
    everyone = [mutant for one in chosen_files.values() for mutant in mutants(one.rules)]
    entries = spared.read()
    chosen = [m for m in everyone if given.match in str(m)]
    chosen = [m for m in chosen if spared.spares(entries, m) == given.spared][:: given.nth]
    if given.list:
        print(*chosen, sep="\n")  # noqa: T201
    else:
        report(judge(chosen_files, chosen, verify.find()), len(chosen))


def report(verdicts: Iterable[Verdict], of: int) -> None:
    killed = refused = 0
    for number, verdict in enumerate(verdicts, 1):
        killed += bool(verdict.killed_by)
        refused += verdict.refused
        if verdict.survived:
            print(verdict.mutant, flush=True)  # noqa: T201
        elif verdict.refused:
            print(f"refused: {verdict.mutant}: {verdict.said}", flush=True)  # noqa: T201
        if sys.stderr.isatty():
            print(f"{number} of {of}", end="\r", file=sys.stderr, flush=True)  # noqa: T201
    print(f"killed {killed:,} of {of - refused:,}; {refused} that promtool does not load")  # noqa: T201


if __name__ == "__main__":
    main()
