"""The command line, with its clock or its end in the hands of a test.

::

    python tests/rigged.py collect ...

``RIGGED_CLOCK`` names a file: ``-3600`` in it sets the clock back an hour, ``=1800000000`` stops it
there. ``RIGGED_END`` names a point, after which passage of it the process kills itself, and a file
to which it adds the point's name before that.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otelkit.collect.storage.lease import Lease

LAUNCHER: Final = (sys.executable, str(Path(__file__)))
BEFORE_COMMIT: Final = "before the commit of a batch"
AFTER_COMMIT: Final = "after the commit of a batch"
BEFORE_ACK: Final = "before its acknowledgement"
MID_TICK: Final = "amid a tick"
ANYWHERE: Final = "anywhere"
"""Some milliseconds after the first commit."""
MID_HAND_OVER: Final = "amid the hand-over of a shard"
"""Its work is done, and its lease is not given back yet."""
MID_READING: Final = "amid the reading of a table"
"""Some of its events are in the shards' queues, and the watermark stands."""
POINTS: Final = (BEFORE_COMMIT, AFTER_COMMIT, BEFORE_ACK, MID_TICK, ANYWHERE)


def main() -> None:
    if path := os.environ.get("RIGGED_CLOCK"):
        _rig_clock(Path(path))
    if told := os.environ.get("RIGGED_END"):
        point, passage, record = told.split(",")
        _rig_end(_End(point, int(passage), Path(record)))
    from otelkit.cli import app

    app()


# --- the clock -----------------------------------------------------------------------------


def _rig_clock(file: Path) -> None:
    real = time.time

    def rigged() -> float:
        told = file.read_text()
        return float(told[1:]) if told.startswith("=") else real() + float(told)

    time.time = rigged


# --- the end -------------------------------------------------------------------------------


class _End:
    """Of this process: at the n-th passage of a point."""

    def __init__(self, point: str, passage: int, record: Path) -> None:
        self.point = point
        self._left = passage
        self._record = record
        self._soon = threading.Timer(random.uniform(0, 0.3), self.come)

    def coming(self) -> None:
        """Time passes, if that is what ends it."""
        if self.point == ANYWHERE and self._soon.ident is None:
            self._soon.start()

    def passing(self, point: str) -> None:
        if point != self.point:
            return
        self._left -= 1
        if self._left == 0:
            self.come()

    def come(self) -> None:
        """Told on disk first, so that what is counted has happened."""
        with self._record.open("a") as record:
            record.write(f"{self.point}\n")
            record.flush()
            os.fsync(record.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def _rig_end(end: _End) -> None:
    from otelkit.collect.engine import engine
    from otelkit.collect.engine.batch import Batch
    from otelkit.collect.shards.ticker import Ticker
    from otelkit.collect.sources.exchange import Outlet
    from otelkit.collect.sources.reader import Reader
    from otelkit.collect.storage.leases import Leases
    from otelkit.collect.storage.store import Store

    work = ""
    """What the transaction in hand does; there is one at a time."""

    def telling(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Batch, given: Sequence[object]) -> Any:
            nonlocal work
            work = what if given else ""
            return original(self, given)

        return method

    original = Store.transaction

    @contextmanager
    def transaction(self: Store) -> Iterator[None]:
        nonlocal work
        work = ""
        with original(self):
            yield
            end.passing({"events": BEFORE_COMMIT, "time": MID_TICK}.get(work, ""))
        if work == "events":
            end.passing(AFTER_COMMIT)
            end.coming()

    answer = Reader.answer

    def answered(self: Reader, tag: int) -> None:
        if tag:
            end.passing(BEFORE_ACK)
        answer(self, tag)

    release = Leases.release

    def given_back(self: Leases, leases: Collection[Lease]) -> None:
        end.passing(MID_HAND_OVER)
        release(self, leases)

    send = Outlet.send

    def sent(self: Outlet, bodies: Sequence[bytes], source: str) -> None:
        end.passing(MID_READING)
        send(self, bodies, source)

    prepare = Ticker.__init__

    def often(self: Ticker, *given: Any) -> None:
        prepare(self, *given)
        self._every = 0.1

    # So that there are many ticks, and each of them has a middle.
    engine.TICK_CHUNK = 20  # type: ignore[misc]
    Ticker.__init__ = often  # type: ignore[method-assign,assignment]
    Store.transaction = transaction  # type: ignore[method-assign]
    Batch.take = telling("events", Batch.take)  # type: ignore[method-assign]
    Batch.age = telling("time", Batch.age)  # type: ignore[method-assign]
    Reader.answer = answered  # type: ignore[method-assign]
    Outlet.send = sent  # type: ignore[method-assign]
    Leases.release = given_back  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
