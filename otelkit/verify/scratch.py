"""A Prometheus of our own, empty, for as long as something is worked out in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from otelkit.errors import ToolError
from otelkit.verify import bound
from otelkit.verify.prometheus import Prometheus

_START_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.02
_LISTENS: Final = re.compile(r'msg="Listening on" address=(\S+)')
_READY: Final = "Server is ready to receive web requests."


def find() -> str:
    """The path of Prometheus. Raises :class:`ToolError` where it is not installed."""
    found = shutil.which("prometheus")
    if found is None:
        raise ToolError(
            "prometheus is not on the PATH, and rules are replayed in one of our own; "
            "install Debian's package prometheus, or a Prometheus release"
        )
    return found


@contextmanager
def scratch(program: str, span: timedelta) -> Iterator[Prometheus]:
    """An empty Prometheus on the loopback interface that takes samples of the last ``span``.

    It and its data are gone at the end of the block; the process alone if we are killed within.
    Raises ToolError if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="otelkit-prometheus-") as name:
        folder = Path(name)
        (folder / "prometheus.yml").write_text("{}\n")
        with (folder / "log").open("wb") as log:
            server = _start(program, folder, span, log.fileno())
        try:
            with Prometheus(f"http://{_address(server, folder / 'log')}", direct=True) as own:
                yield own
        finally:
            server.kill()
            server.wait()


def _start(program: str, folder: Path, span: timedelta, log: int) -> subprocess.Popen[bytes]:
    # A block that spans twice as much: series may then begin anywhere in the first half of it,
    # and nothing is compacted while we work.
    block = f"{2 * int(span.total_seconds() // 3600) + 48}h"
    command = bound.command(
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--storage.tsdb.min-block-duration={block}",
        f"--storage.tsdb.max-block-duration={block}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-remote-write-receiver",
    )
    # In a session of its own: Ctrl-C is for us, who end it.
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it is ready."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        running = server.poll() is None
        said = log.read_text(errors="replace")
        listens = _LISTENS.search(said)
        if listens and _READY in said:
            return listens.group(1)
        if not running:
            break
        time.sleep(_PAUSE_SECONDS)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-3:])
    raise ToolError(f"a Prometheus of our own does not start; the end of its log:\n{last}")
