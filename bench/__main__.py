"""Runs the benches and prints their figures; exits 1 when one does not hold."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from bench import calls, collect, evaluation, generation, logs, peers, places, startup, throughput
from bench import exit as ending
from bench.figure import Figure

BENCHES: Final[dict[str, Callable[..., Iterator[Figure]]]] = {
    "startup": startup.measure,
    "generation": generation.measure,
    "evaluation": evaluation.measure,
    "calls": calls.measure,
    "collect": collect.measure,
    "collect-postgres": partial(collect.measure, lying=places.databases),
    "logs": logs.measure,
    "exit": ending.measure,
    "throughput": throughput.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--json", action="store_true", help="figures as JSON, one a line")
    parser.add_argument(
        "--sizes", type=int, nargs="+", metavar="N", default=collect.SIZES,
        help="open orders that the collector is measured with",
    )  # fmt: skip
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg",
        help="draw what the collector's benches measured over the number of open orders",
    )  # fmt: skip
    given = parser.parse_args()
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        parser.error(f"no bench is called {', '.join(sorted(unknown))}")
    # As by Ctrl-C: what a bench has started ends with it.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    failed, drawn = False, list[str]()
    for name in given.names or BENCHES:
        bench = BENCHES[name]
        for figure in bench(given.sizes) if name.startswith("collect") else bench():
            failed |= not figure.holds
            told = json.dumps(asdict(figure))
            print(told if given.json else _line(figure), flush=True)
            drawn += [told] if figure.curve else []
    if given.plot:
        _draw(given.plot, drawn)
    sys.exit(1 if failed else 0)


def _draw(file: Path, figures: list[str]) -> None:
    command = [peers.program("python"), "-m", "bench.scale", str(file)]
    subprocess.run(command, input="\n".join(figures), text=True, check=True)


def _line(figure: Figure) -> str:
    verdict = "holds" if figure.holds else "FAILS"
    return (
        f"{verdict}  {figure.what}: {figure.value:.3g} {figure.unit} of {figure.beside}, "
        f"at most {figure.limit:.3g} ({figure.measured})"
    )


if __name__ == "__main__":
    main()
