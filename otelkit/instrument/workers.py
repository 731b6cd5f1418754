"""Several processes that count as one: their values in files, and what a scrape makes of them.

prometheus_client's multiprocess mode writes one file a process and kind of metric into the folder
``PROMETHEUS_MULTIPROC_DIR``. Here those of dead processes are added up into one, so that totals
stay and files do not pile up.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue, ValueClass

log = logging.getLogger("otelkit")

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_ADDED_UP: Final = 0
"""Stands for the process in the name of the file of the dead; no process has that number."""
_LOCK: Final = "otelkit.lock"
_PLAN: Final = "otelkit.plan"
Value = tuple[float, float]
"""With the time at which it was set."""


def _sum(one: Value, other: Value) -> Value:
    return one[0] + other[0], 0.0


def _later(one: Value, other: Value) -> Value:
    return max(one, other, key=itemgetter(1))


_MERGED: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "counter": _sum,
    "histogram": _sum,
    "summary": _sum,
    "gauge_sum": _sum,
    "gauge_max": max,
    "gauge_min": min,
    "gauge_mostrecent": _later,
}
"""How values of two processes become one. Gauges of other modes end with their process."""


def enabled() -> bool:
    """Whether values are kept in files; prometheus_client decides that when it is imported."""
    return ValueClass is not MutexValue


def prepare() -> None:
    """Make the folder. Where that fails, this process counts alone and says so: prometheus_client
    would raise into the service."""
    if not enabled():
        return
    path = os.environ.get(_FOLDER, "")
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("it cannot be written to")
    except OSError as error:
        os.environ[_FOLDER] = alone = tempfile.mkdtemp(prefix="otelkit-")
        log.error(
            "%s=%s cannot be used: %s; this process counts alone, in %s",
            _FOLDER,
            path,
            error.strerror or error,
            alone,
        )


def registry() -> CollectorRegistry:
    """A registry of all that the processes have counted, living and dead."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Workers(Path(os.environ[_FOLDER])))
    return made


class Workers(Collector):
    """Reads the files of all processes, and first adds up those of the dead."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        with _locked(self._path):
            _finish(self._path)
            _add_up(self._path)
            source: Any = MultiProcessCollector
            return list(source.merge(_readable(self._path.glob("*.db"))))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: while files are added up, nobody else may read them."""
    with (path / _LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _add_up(path: Path) -> None:
    """Replace the files of the dead by one of each kind. Killed at any point, it counts no less
    and nothing twice: what is to be done is written down before it is done."""
    dead: dict[str, list[Path]] = {}
    for file in path.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid.isdecimal() and int(pid) != _ADDED_UP and not _lives(int(pid)):
            dead.setdefault(kind, []).append(file)
    if not dead:
        return
    renames = {}
    for kind, files in dead.items():
        if kind in _MERGED:
            total = path / f"{kind}_{_ADDED_UP}.db"
            renames[f"{total.name}.new"] = total.name
            _write(path / f"{total.name}.new", kind, _readable([total, *files]))
    plan = {"rename": renames, "remove": [file.name for files in dead.values() for file in files]}
    draft = path / f"{_PLAN}.new"
    draft.write_text(json.dumps(plan))
    draft.replace(path / _PLAN)
    _finish(path)


def _finish(path: Path) -> None:
    """Do what has been planned, by this process or one that was killed at it."""
    try:
        plan = json.loads((path / _PLAN).read_text())
    except FileNotFoundError:
        return
    for new, total in plan["rename"].items():
        with suppress(FileNotFoundError):  # done already
            (path / new).replace(path / total)
    for name in plan["remove"]:
        (path / name).unlink(missing_ok=True)
    (path / _PLAN).unlink()


def _write(new: Path, kind: str, files: Iterable[str]) -> None:
    merge = _MERGED[kind]
    values: dict[str, Value] = {}
    for file in files:
        for key, value in _values(file):
            values[key] = merge(values[key], value) if key in values else value
    new.unlink(missing_ok=True)
    target: Any = MmapedDict
    written = target(str(new))
    for key, (number, timestamp) in values.items():
        written.write_value(key, number, timestamp)
    written.close()


def _values(file: str) -> Iterator[tuple[str, Value]]:
    source: Any = MmapedDict
    for key, value, timestamp, _ in source.read_all_values_from_file(file):
        yield key, (value, timestamp)


def _readable(files: Iterable[Path]) -> list[str]:
    """Those that hold values: a process that has just begun has an empty one."""
    found = []
    for file in files:
        try:
            if file.stat().st_size:
                deque(_values(str(file)), maxlen=0)
                found.append(str(file))
        except FileNotFoundError:
            continue
        except Exception as error:
            log.error("%s cannot be read and is left out of /metrics: %s", file, error)
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
