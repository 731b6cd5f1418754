"""A program that runs beside us: started, watched and ended with everything it started itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from otelkit.errors import ToolError
from shop.waiting import Pause, until


class Process:
    """A program in a process group of its own, what it prints appended to the file ``log``.

    In a group of its own a Ctrl-C of the terminal does not reach it: only we end it, and with it
    the whole group. ``env`` comes on top of this process's environment.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pause: Pause = time.sleep,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._env = dict(env or {})
        self._pause = pause
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises ToolError when the program cannot be run."""
        try:
            with self.log.open("ab") as log:
                self._popen = subprocess.Popen(
                    self.command,
                    env=os.environ | self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolError(f"{self.name} cannot be started: {error}") from error

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def running(self) -> bool:
        return self._popen is not None and not self._has_ended(self._popen.pid)

    def stop(self, patience: float = 15) -> None:
        """Asks the group to end, and ends it when it has not within ``patience`` seconds."""
        if self._popen is None:
            return
        pid = self._popen.pid
        self._signal_group(pid, signal.SIGTERM)
        try:
            until(lambda: self._has_ended(pid), patience, pause=self._pause, interval=0.02)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends the whole group at once. Nothing happens when it does not run."""
        if self._popen is None:
            return
        # The leader is reaped last: until then nobody else can get its id, nor the group's.
        self._signal_group(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._popen = None

    def tail(self, lines: int = 15) -> str:
        """The end of what the program has printed."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @staticmethod
    def _has_ended(pid: int) -> bool:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @staticmethod
    def _signal_group(pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, number)
