"""The wheel of this tree, installed as a user installs it, and the demo that runs with it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> Path:
    """The wheel, built into ``folder``."""
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def install(folder: Path, *requirements: str) -> Path:
    """The Python of a new environment in ``folder`` that holds ``requirements``."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    _run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *requirements)
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo with the Python ``python`` and its packages, in an empty directory ``folder``."""

    python: Path
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts it; what it prints, errors too, is its standard output."""
        return subprocess.Popen(
            [self.python, "-m", "shop.demo", "--no-install", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "examples")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Its exit code and all that it printed."""
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=240)
        return process.returncode, output
