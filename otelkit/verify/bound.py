"""A program that ends with the process that started it, however that ends: by SIGKILL too.

Run as a script, without otelkit: ``python -I -S bound.py PARENT PROGRAM ARGUMENT ...``. It becomes
the program, so that its id is the program's. Only Linux knows such a bond; elsewhere there is none.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_SET_PARENT_DEATH_SIGNAL: Final = 1
"""``PR_SET_PDEATHSIG`` of prctl(2); it outlives execve."""


def command(program: str, *arguments: str) -> list[str]:
    """The command line of a program that is bound to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), program, *arguments]


def _become(parent: str, program: str, *arguments: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != int(parent):
            sys.exit("who started this has ended already")
    os.execv(program, [program, *arguments])  # noqa: S606 - it is what the caller asked for


if __name__ == "__main__":
    _become(*sys.argv[1:])
