"""A thread that carries order events from the spool to their destination."""

from __future__ import annotations

import fcntl
import logging
import random
import threading
import time
from typing import IO, Final

from otelkit.errors import UnavailableError
from otelkit.instrument.destinations import Destination
from otelkit.instrument.spool import Spool

log = logging.getLogger("otelkit.events")

PUBLISHER: Final = "otelkit-events"
"""Name of the publisher's thread."""
_BATCH: Final = 200
_IDLE: Final = 1.0
"""Seconds between looks at the spool; an append of this process ends the wait at once."""
_FIRST_RETRY: Final = 0.5
_LONGEST_RETRY: Final = 30.0
_LONGEST_ASKED: Final = 300.0
"""Seconds; a destination that asks for a longer pause is not believed."""
_LOOK: Final = 0.02


class Publisher:
    """Sends in the order of the spool and forgets an event only when the other side has it.

    Of all processes that share a spool one sends at a time; the others wait for its lock, and one
    of them goes on when it ends.
    """

    def __init__(self, spool: Spool, destination: Destination) -> None:
        self._spool = spool
        self._destination = destination
        self._lock_file: IO[bytes] | None = None
        self._start()

    def _start(self) -> None:
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._attempts = self._failed_attempt = 0
        self._away = False
        self._thread = threading.Thread(target=self._run, name=PUBLISHER, daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """There is an event in the spool."""
        self._news.set()

    def flush(self, timeout: float) -> bool:
        """Whether the spool gets empty within so many seconds; one failed attempt ends the wait."""
        deadline, attempts = time.monotonic() + timeout, self._attempts
        self._hurry.set()
        self._news.set()
        while len(self._spool):
            if self._failed_attempt > attempts or time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK)  # another process may be the one that sends
        return True

    def stop(self, timeout: float) -> bool:
        """Send what is there, at most ``timeout`` seconds long; whether the thread has ended."""
        self._stopping.set()
        self._hurry.set()
        self._news.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def after_fork(self) -> None:
        """In a child: thread, connection and lock are the parent's, so begin anew."""
        self._destination.forget()
        self._release_spool()
        if not self._stopping.is_set():
            self._start()

    def _run(self) -> None:
        retry = _FIRST_RETRY
        while True:
            self._news.clear()
            self._hurry.clear()
            self._attempts += 1
            try:
                while self._owns_spool() and self._send_batch():
                    retry = _FIRST_RETRY
                self._destination.idle()
                self._back()
                wait = _IDLE
            except Exception as error:
                # Whatever it is: a thread that ends here would leave every later event behind.
                self._lost(error)
                self._failed_attempt = self._attempts
                self._destination.close()
                wait = retry * random.uniform(0.8, 1.2)  # noqa: S311 - jitter is no secret
                retry = min(retry * 2, _LONGEST_RETRY)
                wait = max(wait, min(getattr(error, "retry_after", 0.0), _LONGEST_ASKED))
            if self._stopping.is_set():
                break
            self._pause(wait)
        self._destination.close()
        self._release_spool()

    def _pause(self, seconds: float) -> None:
        # While the destination is away, news are no reason to try again sooner.
        (self._hurry if self._away else self._news).wait(seconds)

    def _send_batch(self) -> bool:
        batch = self._spool.head(_BATCH)
        if not batch:
            return False
        self._destination.send([body for _, body in batch])
        self._spool.remove(batch[-1][0])
        return True

    def _owns_spool(self) -> bool:
        # A child that does not know of the file cannot close it, and would hold the lock for ever.
        with self._spool.unforked():
            if self._lock_file is None:
                file = (self._spool.folder / "publisher.lock").open("wb")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    return False
                self._lock_file = file
            return True

    def _release_spool(self) -> None:
        if self._lock_file is not None:
            # Not LOCK_UN: in a child that would take the lock from the parent, closing does not.
            self._lock_file.close()
            self._lock_file = None

    def _lost(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            why = error if isinstance(error, UnavailableError) else repr(error)
            log.warning("%s; order events wait in %s and are tried again", why, self._spool.folder)

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.warning("order events are delivered again")
