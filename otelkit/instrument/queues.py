"""What one signal sends: a bounded queue, and the thread that empties it in batches."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from otelkit.errors import UnavailableError
from otelkit.instrument.metrics import EXPORT_FAILED, LOGS, LOKI, QUEUE_FULL, SHUTDOWN
from otelkit.instrument.suppression import untraced

T = TypeVar("T")
log = logging.getLogger("otelkit")

THREADS: Final = "otelkit-"
"""What the names of threads that deliver telemetry begin with."""
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 30.0
_NOUNS: Final = {LOGS: "log records", LOKI: "log lines for Loki"}
_FORK_PATIENCE: Final = 1.0
"""Seconds that a fork waits for a first request, which a server may leave without an answer."""

Send = Callable[[Sequence[T], float], object]
"""Delivers a batch within so many seconds.

Raises :class:`Refused` where trying again would be in vain, anything else where it would not.
"""
Drop = Callable[[str, str, int], object]
"""Counts what is lost: signal, reason, how many."""


class Refused(Exception):  # noqa: N818 - an answer, not an error of its own
    """The server has answered that it will never take this batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``size`` items wait at most; ``batch`` go in one request, after ``delay`` seconds at most.

    A request may take ``timeout`` seconds.
    """

    size: int
    batch: int
    delay: float
    timeout: float

    @classmethod
    def of(cls, environ: Mapping[str, str], prefix: str, timeout: float) -> Limits:
        """By OpenTelemetry's variables ``OTEL_BSP_...`` (spans) or ``OTEL_BLRP_...`` (logs)."""

        def read(name: str, otherwise: int) -> int:
            text = environ.get(f"{prefix}_{name}", "").strip()
            return int(text) if text.isascii() and text.isdecimal() and int(text) else otherwise

        size = read("MAX_QUEUE_SIZE", 2048)
        batch = min(read("MAX_EXPORT_BATCH_SIZE", 512), size)
        return cls(size, batch, read("SCHEDULE_DELAY", 1000) / 1000, timeout)


class SendQueue(Generic[T]):
    """Takes items over at once, whatever state their server is in, and keeps account of them.

    Everything put in is sent or counted as dropped, once. When it is full the oldest goes: what
    has just happened is what people look for. An answer that may change is waited for with the
    batch in hand. ``connect`` is called on the queue's own thread, again after a fork; that thread
    starts with the first item.
    """

    def __init__(
        self, signal: str, connect: Callable[[], Send[T]], drop: Drop, limits: Limits
    ) -> None:
        self.signal = signal
        self._noun = _NOUNS.get(signal, signal)
        self._connect = connect
        self._drop = drop
        self._limits = limits
        self._stopping = False
        self._begin()

    def _begin(self) -> None:
        # Reentrant: a signal handler may log while its thread is putting something in.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._items: deque[T] = deque()
        self._in_hand: list[T] = []
        self._made = self._done = self._dropped = 0
        self._attempts = self._failed_attempt = 0
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._send: Send[T] | None = None
        self._beginning = threading.Lock()
        self._away = self._refusing = self._abandoned = self._held = False
        self._deadline = float("inf")

    def put(self, item: T) -> None:
        """Queue an item. Never waits, never raises."""
        with self._lock:
            self._made += 1
            if self._stopping:
                self._lose(SHUTDOWN, 1)
                return
            if len(self._items) >= self._limits.size:
                self._items.popleft()
                self._lose(QUEUE_FULL, 1)
            self._items.append(item)
            waiting = len(self._items)
            if self._thread is None:
                self._start()
        if waiting == self._limits.batch:
            self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Whether everything put in so far is delivered, within so many seconds.

        A server that does not take it is tried once; what it did not take stays queued.
        """
        with self._settled:
            target, dropped, attempts = self._made, self._dropped, self._attempts
            self._hurry.set()
            self._wake.set()
            self._settled.wait_for(
                lambda: self._done >= target or self._failed_attempt > attempts, timeout
            )
            return self._done >= target and self._dropped == dropped

    def stop(self, timeout: float) -> bool:
        """Deliver what is there within so many seconds, and end; whether all was delivered.

        A server that does not take it is tried once. What is left is counted as dropped.
        """
        with self._lock:
            self._stopping = True
            self._deadline = time.monotonic() + timeout
            dropped, thread = self._dropped, self._thread
        self._hurry.set()
        self._wake.set()
        if thread is not None:
            thread.join(timeout)
        with self._lock:
            self._abandoned = True
            self._give_up(SHUTDOWN)
            lost = self._dropped - dropped
        if lost:
            log.warning("%d %s were not delivered before the end", lost, self._noun)
        return lost == 0

    def before_fork(self) -> None:
        """Let the first request begin: it imports modules.

        A child would wait for ever for an import that a thread of its parent has begun.
        """
        self._held = self._beginning.acquire(timeout=_FORK_PATIENCE)

    def after_fork_in_parent(self) -> None:
        if self._held:
            self._beginning.release()

    def after_fork_in_child(self) -> None:
        """What is queued is the parent's to send, and so are thread and connection."""
        self._begin()

    def _start(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name=f"{THREADS}{self.signal}", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending
            self._give_up(SHUTDOWN)

    def _run(self) -> None:
        with untraced():  # a request that delivers spans must not make another span
            self._send_until_stopped()
        with self._lock:
            self._give_up(EXPORT_FAILED)

    def _send_until_stopped(self) -> None:
        retry = _FIRST_RETRY
        while True:
            # While the server is away, a filling queue is no reason to try again sooner.
            event = self._hurry if self._away else self._wake
            event.wait(retry * random.uniform(0.8, 1.2) if self._away else self._limits.delay)  # noqa: S311
            self._wake.clear()
            self._hurry.clear()
            if self._send_all():
                retry = _FIRST_RETRY
            elif self._away:
                retry = min(retry * 2, _LONGEST_RETRY)
            if self._stopping:
                break

    def _send_all(self) -> bool:
        while batch := self._take():
            try:
                left = max(self._deadline - time.monotonic(), 0.1)
                self._attempt(batch, min(self._limits.timeout, left))
            except Refused as error:
                self._refused(error)
            except Exception as error:
                # Whatever it is: a thread that ends here would leave everything behind.
                self._failed(error)
                return False
            else:
                self._delivered()
        return True

    def _attempt(self, batch: Sequence[T], timeout: float) -> None:
        if self._send is not None:
            self._send(batch, timeout)
            return
        with self._beginning:
            send = self._connect()
            send(batch, timeout)
        self._send = send

    def _take(self) -> Sequence[T]:
        with self._lock:
            if not self._in_hand and not self._abandoned:
                count = min(len(self._items), self._limits.batch)
                self._in_hand = [self._items.popleft() for _ in range(count)]
            self._attempts += 1
            return self._in_hand

    def _delivered(self) -> None:
        if self._away:
            log.warning("%s are delivered again", self._noun)
        self._away = self._refusing = False
        with self._settled:
            self._done += len(self._in_hand)
            self._in_hand = []
            self._settled.notify_all()

    def _refused(self, error: Refused) -> None:
        if not self._refusing:
            log.warning("%d %s are dropped: %s", len(self._in_hand), self._noun, error)
        self._refusing = True
        with self._lock:
            count, self._in_hand = len(self._in_hand), []
            self._lose(EXPORT_FAILED, count)

    def _failed(self, error: Exception) -> None:
        if not self._away and not self._stopping:
            why = error if isinstance(error, UnavailableError) else repr(error)
            log.warning("%s; %s wait in memory and are tried again", why, self._noun)
            self._away = True
        with self._settled:
            self._failed_attempt = self._attempts
            self._settled.notify_all()

    def _give_up(self, reason: str) -> None:
        left = len(self._in_hand) + len(self._items)
        self._in_hand = []
        self._items.clear()
        if left:
            self._lose(reason, left)

    def _lose(self, reason: str, count: int) -> None:
        self._done += count
        self._dropped += count
        self._drop(self.signal, reason, count)
        self._settled.notify_all()
