"""How long the command takes to start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench import peers
from bench.figure import Figure
from bench.timing import in_turn

RUNS = 15


def measure() -> Iterator[Figure]:
    """``otelkit --help`` against the same of a Typer application with one empty command."""
    ours = [str(Path(sys.executable).with_name("otelkit")), "--help"]
    theirs = [peers.program("python"), "-c", peers.EMPTY_APP, "--help"]
    pair = in_turn(ours, theirs, RUNS)
    yield Figure("command start", "an empty Typer app", pair.ratio, 1.25, str(pair))
