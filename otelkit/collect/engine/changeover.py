"""Another SLA file while orders are open: what it would mean for them, and letting it.

Both look at all orders, some at a time, and let events, ticks and answers through in between. What
is applied is remembered in the store, so that a collector that is killed amid it goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from otelkit import spec
from otelkit.collect.clocks.impact import Impact
from otelkit.collect.clocks.policies import Terms, terms
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.revision import Revision, is_outdated, outdated, revise
from otelkit.collect.clocks.standing import POLICY
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.ledger import Applied, Ledger
from otelkit.collect.storage.store import Store
from otelkit.errors import ConfigError, SpecError, StoreError
from otelkit.model import Sla

log = logging.getLogger(__name__)

CHUNK_SECONDS: Final = 0.05
"""How long events and ticks wait for it at a time, about; then it waits as long for them."""
CHUNK_ORDERS: Final = (10, 2000)
"""Orders that are worked out anew in that time: so many at least, and at most."""
_FIRST_CHUNK: Final = 50
_SCANNED: Final = 1000
"""Orders that are read at once, to find those."""
_LOOK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0
_REACHED: Final = "changeover"
"""The number of the last order that follows what was applied."""
_END: Final = -1.0
"""In its place once all do."""

Doing = Literal["plan", "apply"]


@dataclass(slots=True)
class Work:
    """Orders are looked at up to the number ``reached``, of about ``last``."""

    doing: Doing
    terms: Terms
    last: int
    reached: int = 0
    finished: bool = False
    impact: Impact = field(default_factory=Impact)


class Followed(NamedTuple):
    """A policy of a process, and how many open orders follow it.

    Orders whose clocks follow more than one, or are older than fingerprints, have none.
    """

    process: str
    fingerprint: str
    first: float | None
    in_force: bool
    orders: int


def in_force(sla: Sla, store: Ledger) -> Sla:
    """The SLA file that a collector which was started with ``sla`` has to follow.

    That is the one that was applied, for as long as the collector is started with the same file as
    it was then: one that was killed must not go back by itself. Once it is started with another,
    files count again.
    """
    applied = store.last_applied()
    if applied is None or terms(sla).fingerprint != applied.instead:
        return sla
    since = datetime.fromtimestamp(applied.at, UTC).isoformat(timespec="seconds")
    try:
        found = spec.loads(applied.sla, f"the SLA file applied {since}")
    except SpecError as error:  # another otelkit may have become stricter
        log.error("going back to the SLA file of the command line: %s", error)
        return sla
    if applied.fingerprint != applied.instead:
        log.warning(
            "clocks follow the SLA file that was applied %s, not that of the command line; "
            "put it in its place",
            since,
        )
    return found


class Changeover:
    """For one engine. ``started`` is the fingerprint of the SLA file of the command line."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        started: str,
        stopping: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._store = store
        self._started = started
        self._stopping = stopping
        self._clock = clock
        self._limit = _FIRST_CHUNK
        self.work: Work | None = None
        """What is under way, or was done last."""

    def outdated(self) -> dict[str, int]:
        """Open orders with a clock that does not follow the SLA file in force, by process."""
        return outdated(self._engine.policies, self._engine.tallies())

    def policies(self) -> list[Followed]:
        """Policies that are in force, or that clocks of open orders follow; the first first."""
        now = {name: own.fingerprint for name, own in self._engine.policies.items()}
        counts = {key[1:]: int(n) for key, n in self._engine.tallies().items() if key[0] == POLICY}
        with self._engine.lock:
            known = self._store.known_policies()
        found = [
            Followed(one.process, one.fingerprint, one.first, is_now, orders)
            for one in known
            for is_now in [now.get(one.process) == one.fingerprint]
            if (orders := counts.get((one.process, one.fingerprint), 0)) or is_now
        ]
        mixed = [(name, n) for (name, fingerprint), n in counts.items() if not fingerprint and n]
        return found + [Followed(name, "", None, in_force=False, orders=n) for name, n in mixed]

    def plan(self, new: Terms) -> Work:
        """Begin to tell what applying would change. Raises :class:`ConfigError` amid that."""
        self._check(new)
        with self._engine.lock:
            if self.work is not None and self.work.doing == "apply" and not self.work.finished:
                raise ConfigError("an SLA file is being applied; ask again when that is done")
            self.work = Work("plan", self._engine.informed(new), self._store.last("orders", "num"))
            return self.work

    def apply(self, new: Terms, text: str) -> Work:
        """Judge by another SLA file from now on, and begin to let open orders follow it.

        Raises :class:`ConfigError` for one that cannot be.
        """
        self._check(new)
        with self._engine.lock:
            now = self._clock()
            with self._engine.work():
                self._store.keep_policies(new.known(now))
                self._store.keep_applied(Applied(text, new.fingerprint, self._started, now))
                self._store.write_number(_REACHED, 0)
            self._engine.terms = new
            self.work = Work("apply", self._engine.terms, self._store.last("orders", "num"))
            return self.work

    def _check(self, new: Terms) -> None:
        system = self._engine.terms.sla.system
        if new.sla.system != system:
            raise ConfigError(
                f"the collector works for the system {system!r}, and this SLA file is that of "
                f"{new.sla.system!r}; send it to the right collector"
            )

    # --- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """The body of a thread."""
        is_known = False
        while not self._stopping.is_set():
            try:
                if not is_known:
                    self._begin()
                    is_known = True
                pause = self.step()
            except StoreError:
                pause = _RETRY_SECONDS  # the ticker tells of it
            self._stopping.wait(pause)

    def _begin(self) -> None:
        """Remember the policies in force, and go on with what was applied."""
        with self._engine.lock:
            reached = self._store.read_number(_REACHED)
            applied = self._store.last_applied()
            goes_on = applied is not None and applied.fingerprint == self._engine.terms.fingerprint
            with self._engine.work():
                self._store.keep_policies(self._engine.terms.known(self._clock()))
                if applied is not None and applied.instead not in {"", self._started}:
                    self._store.keep_applied(replace(applied, instead=""))
                if not goes_on and reached is not None:
                    self._store.write_number(_REACHED, _END)
            if goes_on and reached is not None and reached != _END:
                last = self._store.last("orders", "num")
                self.work = Work("apply", self._engine.terms, last, int(reached))
                return
        count = sum(self.outdated().values())
        if count:
            log.warning(
                "the clocks of %d open orders follow another SLA file than this; "
                "`otelkit clocks plan --sla FILE` tells what this one would change, and "
                "`otelkit clocks apply --sla FILE` lets them follow it",
                count,
            )

    def step(self) -> float:
        """Look at some more orders; returns for how many seconds to let others work then."""
        began = time.perf_counter()
        with self._engine.lock:
            work = self.work
            if work is None or work.finished:
                return _LOOK_SECONDS
            if work.doing == "plan":
                self._plan(work)
            else:
                self._apply(work)
        took = time.perf_counter() - began
        least, most = CHUNK_ORDERS
        faster = min(CHUNK_SECONDS / max(took, 1e-6), 2.0)
        self._limit = max(least, min(most, int(self._limit * faster)))
        return 0.0 if work.finished else took

    def _plan(self, work: Work) -> None:
        found, reached = self._next(work.terms.policies, work.reached)
        self._note(work, found, reached, self._engine.watermark)

    def _apply(self, work: Work) -> None:
        with self._engine.work() as batch:
            found, reached = self._next(work.terms.policies, work.reached)
            batch.revise(found)
            self._store.write_number(_REACHED, _END if reached is None else reached)
        self._note(work, found, reached, batch.until)
        if work.finished:
            kept = sum(sample.count for sample in work.impact.kept.values())
            log.info(
                "open orders follow the SLA file that was applied: %d changed, %d had to stay",
                work.impact.changed, kept,
            )  # fmt: skip

    def _next(
        self, policies: Mapping[str, Policy], after: int
    ) -> tuple[list[Revision], int | None]:
        """What becomes of the next orders, and the number of the last; None behind them all."""
        orders = self._store.following(after, _SCANNED)
        every = [(n, state) for n, state in orders.items() if is_outdated(policies, state)]
        old = every[: self._limit]
        timelines = self._store.timelines(state for _, state in old)
        found = [
            revise(policies, number, state, events)
            for (number, state), events in zip(old, timelines, strict=True)
        ]
        return found, old[-1][0] if len(every) > len(old) else max(orders, default=None)

    def _note(self, work: Work, found: list[Revision], reached: int | None, now: float) -> None:
        work.impact.add(found, now)
        work.finished = reached is None
        work.reached = work.last if reached is None else reached
