"""promtool: checks rule files and runs the proofs."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
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
    passed, output = _Programs().run([promtool, "check", "rules", *map(str, files)])
    if not passed:
        raise ToolError(f"promtool refuses the generated rules:\n{output}")


def prove(promtool: str, proofs: Iterable[Path]) -> Iterator[Verdict]:
    """Run proof files side by side, one a core; yields each verdict as it comes."""
    programs = _Programs()
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = [pool.submit(_prove, programs, promtool, proof) for proof in proofs]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            # Whoever asks for no more, by Ctrl-C say, does not wait for what still runs.
            pool.shutdown(wait=False, cancel_futures=True)
            programs.kill()


def _prove(programs: _Programs, promtool: str, proof: Path) -> Verdict:
    start = perf_counter()
    passed, output = programs.run([promtool, "test", "rules", proof.name], proof.parent)
    return Verdict(proof.name, passed, output, perf_counter() - start)


class _Programs:
    """Programs that run to their end, unless all of them are killed."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._killed = False

    def run(self, command: list[str], folder: Path | None = None) -> tuple[bool, str]:
        """Whether the program succeeds, and what it says."""
        try:
            with (
                TemporaryDirectory(prefix="otelkit-promtool-") as scratch,
                self._start(command, folder, scratch) as program,
            ):
                try:
                    output, _ = program.communicate(timeout=_TIMEOUT)
                finally:
                    program.kill()
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{' '.join(command)} took longer than {_TIMEOUT:.0f} s; "
                "run it by hand to see where it stands"
            ) from error
        except OSError as error:
            raise ToolError(f"cannot run {command[0]}: {error.strerror or error}") from error
        return program.returncode == 0, output.strip()

    def _start(
        self, command: list[str], folder: Path | None, scratch: str
    ) -> subprocess.Popen[str]:
        # promtool keeps its series in the temporary folder, and leaves them there when killed.
        env = {**os.environ, "TMPDIR": scratch}
        with self._lock:
            if self._killed:
                raise ToolError(f"{command[0]} was not started: nobody waits for it any more")
            program = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self._started.append(program)
            return program

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            for program in self._started:
                program.kill()
