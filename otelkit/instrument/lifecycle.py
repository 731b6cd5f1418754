"""How a process ends and forks: what has to be told to its telemetry then."""

from __future__ import annotations

import atexit
import encodings.idna  # noqa: F401 - else the first connection does, in a thread, maybe in a fork
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import FrameType, ModuleType
from typing import Final, Protocol
from weakref import WeakSet

SHUTDOWN_SECONDS: Final = 3.0
"""For all signals together, whatever state their backends are in."""
_EXIT_SECONDS: Final = SHUTDOWN_SECONDS - 0.7
"""At the end of a process: the interpreter's own end is in the three seconds too, and takes half a
second on a busy machine."""
_LAST: Final = -100
"""Priority among what multiprocessing does at the end of a process: after everything else."""
_INIT_PROCESS: Final = 1


class Forks(Protocol):
    """Telemetry in a process that forks."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


class Process(Protocol):
    """The telemetry of this process."""

    def flush(self, timeout: float = ...) -> bool:
        """Deliver what is queued."""

    def shutdown(self, timeout: float = ...) -> bool:
        """Deliver what is queued, and stop."""


Current = Callable[[], Process | None]


_following: Final[WeakSet[Forks]] = WeakSet()


def follow_forks(telemetry: Forks) -> None:
    """Have telemetry begin anew in each child that is forked, for as long as it lives."""
    _following.add(telemetry)
    _watch_forks()


@cache
def _watch_forks() -> None:
    """Once a process: such hooks cannot be taken back."""

    def tell(step: Callable[[Forks], object]) -> Callable[[], None]:
        def hook() -> None:
            for telemetry in list(_following):
                step(telemetry)

        return hook

    os.register_at_fork(
        before=tell(lambda telemetry: telemetry.before_fork()),
        after_in_parent=tell(lambda telemetry: telemetry.after_fork_in_parent()),
        after_in_child=tell(lambda telemetry: telemetry.after_fork_in_child()),
    )


def follow(current: Current) -> None:
    """Have the telemetry of a process end with it."""
    _once(current)
    _end_with_children(current)
    _end_on_sigterm(current)


@cache
def _once(current: Current) -> None:
    """Once a process: such hooks cannot be taken back."""

    def end() -> None:
        process = current()
        if process is not None:
            process.shutdown(_EXIT_SECONDS)

    atexit.register(end)
    # `multiprocessing` and Celery end a child without `atexit`, and forget at its start what was
    # to be done at its end; so it is said again right after the fork.
    os.register_at_fork(after_in_child=lambda: _end_with_children(current))


def _end_with_children(current: Current) -> None:
    def end(*_: object, **__: object) -> None:
        process = current()
        if process is not None:
            process.shutdown()

    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None:
            _finalize(util, end)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(end, weak=False, dispatch_uid=__name__)


def _finalize(util: ModuleType, end: Callable[[], None]) -> None:
    util.Finalize(None, end, exitpriority=_LAST)
    # Run after the child has cleared what it inherited; kept for as long as `util` lives.
    util.register_after_fork(util, lambda _: util.Finalize(None, end, exitpriority=_LAST))


def _end_on_sigterm(current: Current) -> None:
    """Where nobody handles SIGTERM, the system ends a process without `atexit`.

    So do servers that raise the signal again when they are done (uvicorn does).
    """

    def handle(number: int, _: FrameType | None) -> None:
        process = current()
        if process is not None:
            lives_on = os.getpid() == _INIT_PROCESS  # the system ignores the signal there
            # In a thread, since the interrupted code may hold a lock that this needs.
            end = process.flush if lives_on else process.shutdown
            ending = threading.Thread(target=end, daemon=True)
            ending.start()
            ending.join(SHUTDOWN_SECONDS + 0.5)
            if lives_on:
                return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    with suppress(ValueError):  # not in the main thread
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, handle)
