"""Whole processes against one another, in turn."""

from __future__ import annotations

import resource
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of two commands that were run in turn, in seconds of processor time."""

    ours: float
    peers: float
    ratio: float
    """The median of the ratios, pair by pair, so that a machine that slows down slows both."""

    def __str__(self) -> str:
        return f"{self.ours:.3f} s against {self.peers:.3f} s"


def in_turn(
    ours: Command, peers: Command, runs: int, before: Callable[[], object] = lambda: None
) -> Pair:
    """Run both so many times after a warm-up; ``before`` comes before each run of ours."""
    pairs = []
    for _ in range(runs + 1):
        before()
        pairs.append((cpu_seconds(ours), cpu_seconds(peers)))
    counted = pairs[1:]
    return Pair(
        statistics.median(a for a, _ in counted),
        statistics.median(b for _, b in counted),
        statistics.median(a / b for a, b in counted),
    )


def cpu_seconds(command: Command) -> float:
    """Processor time of a command and its children: what other programs do adds little to it."""
    before = _children()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
