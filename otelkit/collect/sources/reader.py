"""The collector's side of a process that reads a queue: see :mod:`.reading`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Pipe
from typing import Final

from otelkit.collect.sources import reading
from otelkit.collect.sources.reading import Batch, Begin, Failed, Looked, Up
from otelkit.errors import UnavailableError

COMMAND: Final = (sys.executable, "-m", "otelkit.collect.sources.reading")
_LISTEN_SECONDS: Final = 0.1
_END_SECONDS: Final = 1.5
"""More than it takes to end where the broker hangs."""


class Reader:
    """A process that reads, until it is closed."""

    def __init__(self, begin: Begin) -> None:
        self._link, theirs = Pipe()
        with closing(theirs):
            try:
                # In a session of its own, so that a Ctrl-C reaches it through us alone.
                self._process = subprocess.Popen(
                    COMMAND,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                self._link.close()
                why = error.strerror or error
                raise UnavailableError(
                    f"no process can be started to read RabbitMQ ({why}); trying again"
                ) from error
        self._send(begin)

    def messages(self, stopping: threading.Event) -> Iterator[Up | Batch | Looked]:
        """What it says, in order, until ``stopping`` is set; each has to be answered.

        Raises :class:`UnavailableError` once it has ended.
        """
        while not stopping.is_set():
            try:
                if not self._link.poll(_LISTEN_SECONDS):
                    continue
                message = reading.to_message.decode(self._link.recv_bytes())
            except (EOFError, OSError) as error:
                raise UnavailableError(self._ending()) from error
            if isinstance(message, Failed):
                raise UnavailableError(message.why)
            yield message

    def answer(self, tag: int) -> None:
        """All up to this tag may be acknowledged."""
        self._send(tag)

    def _send(self, what: Begin | int) -> None:
        with suppress(OSError):  # its end is read behind what it said before
            self._link.send_bytes(reading.encode(what))

    def _ending(self) -> str:
        self.close()
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if code == reading.FORGOTTEN:
            how = "was not answered for two heartbeats and made room for others"
        return f"the process that reads RabbitMQ {how}; trying again"

    def close(self) -> None:
        """Let it acknowledge what it was told to, and end it."""
        self._link.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment() -> dict[str, str]:
    """Ours, so that the same modules are found, wherever we were started and from whatever."""
    path = os.pathsep.join(os.path.abspath(place) for place in sys.path)  # noqa: PTH100 - "" is here
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
