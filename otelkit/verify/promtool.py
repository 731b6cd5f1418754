"""promtool: checks rule files and runs the proofs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from otelkit.errors import ToolError

_TIMEOUT: Final = 600.0
"""Seconds for one proof file. The longest that otelkit writes takes some ten."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What promtool said of one proof file, in its own words, and after how many seconds."""

    proof: str
    passed: bool
    output: str
    seconds: float


def find() -> str:
    """The path of promtool. Raises :class:`ToolError` where it is not installed."""
    found = shutil.which("promtool")
    if found is None:
        raise ToolError(
            "promtool is not on the PATH, and proofs are run by it; "
            "install Debian's package prometheus, or a Prometheus release"
        )
    return found


def check_rules(promtool: str, files: Iterable[Path]) -> None:
    """Raises :class:`ToolError` with promtool's own words if it refuses one of the rule files."""
    done = _run([promtool, "check", "rules", *map(str, files)])
    if done.returncode != 0:
        raise ToolError(f"promtool refuses the generated rules:\n{_said(done)}")


def prove(promtool: str, proofs: Iterable[Path]) -> Iterator[Verdict]:
    """Run proof files side by side, one a core; yields each verdict as it comes."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = [pool.submit(_prove, promtool, proof) for proof in proofs]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prove(promtool: str, proof: Path) -> Verdict:
    start = perf_counter()
    done = _run([promtool, "test", "rules", proof.name], folder=proof.parent)
    return Verdict(proof.name, done.returncode == 0, _said(done), perf_counter() - start)


def _run(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{' '.join(command)} took longer than {_TIMEOUT:.0f} s; "
            "run it by hand to see where it stands"
        ) from error
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror or error}") from error


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr).strip()
