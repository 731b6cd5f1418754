"""One of several collectors: the shards that it holds, and who holds the others.

Two threads keep to the leases. One renews them every third of their time and does nothing that
takes long; the other takes shards up to its fair share, and lets go of what it has beyond.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from otelkit.collect.shards.shard import Shard
from otelkit.collect.sources.conditions import Condition, Sources
from otelkit.collect.storage.lease import Lease, Terms, fair_share, shard_name
from otelkit.collect.storage.leases import Leases
from otelkit.errors import OtelkitError

log = logging.getLogger("otelkit.collect")

LEASES: Final = "leases"
"""The name under which conditions tell of them."""
HAND_OVER_SECONDS: Final = 3.0
"""How long the batches in hand of shards that go to another collector are waited for."""
_RENEWALS: Final = 3
_LOOKS: Final = 6
"""For shards that nobody holds, in the time of a lease."""
_STALE: Final = 4
"""Leases after which a renewal that hangs is a fault of ours."""


@dataclass
class Held:
    """A shard at work. ``until`` is when its lease ends by our own clock, unless it is renewed."""

    lease: Lease
    shard: Shard
    app: ASGIApp
    metrics: Collector
    until: float

    def close(self, seconds: float) -> None:
        """Finish the batch in hand, for which so long is waited, and let the store go."""
        try:
            self.shard.stop(seconds)
        finally:
            self.shard.store.close()


Make = Callable[[Lease, Callable[[], None]], Held]
"""Opens the shard of a lease, and is told what to call where that is lost."""


class Fleet:
    """``open_leases`` makes a connection of its own for each thread."""

    def __init__(
        self,
        terms: Terms,
        open_leases: Callable[[], Leases],
        make: Make,
        sources: Sources,
        stopping: threading.Event,
    ) -> None:
        self._terms = terms
        self._leases, self._renewals = open_leases(), open_leases()
        self._make = make
        self._sources = sources
        self._stopping = stopping
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self._gone: list[Held] = []
        """Lost, and still to be closed."""
        self._collectors = 0
        self._holders: dict[int, str | None] = {}
        self._held_by_somebody: dict[int, float] = {}
        self._beat = time.monotonic()
        self._threads = [
            threading.Thread(target=self._keep, args=(work, times), name=name, daemon=True)
            for name, work, times in (
                ("renewals", self._renew, _RENEWALS),
                ("balance", self._balance, _LOOKS),
            )
        ]

    @property
    def shards(self) -> range:
        """All that there are."""
        return range(self._terms.shards)

    @property
    def alive(self) -> bool:
        """Whether leases are renewed and all deadlines looked for."""
        fresh = time.monotonic() - self._beat < _STALE * self._terms.seconds
        return fresh and all(held.shard.ticker.alive for held in self._all())

    def held(self, shard: int) -> Held | None:
        """A shard of ours, while its lease surely holds."""
        with self._lock:
            held = self._held.get(shard)
        return held if held is not None and time.monotonic() < held.until else None

    def url_of(self, shard: int) -> str | None:
        """Where the holder of a shard was found last; None where nobody held it."""
        return self._holders.get(shard)

    def instances(self) -> Iterator[tuple[str, Collector]]:
        """Of each shard of ours its name and metrics."""
        for shard in self.shards:
            held = self.held(shard)
            if held is not None:
                yield f"shard-{shard_name(shard)}", held.metrics

    def conditions(self) -> dict[str, Condition]:
        """Those of the process; a source is up while it is for every shard of ours."""
        found = self._sources.all()
        for held in self._all():
            for name, condition in held.shard.sources.all().items():
                if name not in found or found[name].up:
                    why = f"shard {shard_name(held.lease.shard)}: {condition.why}"
                    found[name] = condition if condition.up else Condition(up=False, why=why)
        return found

    def start(self) -> None:
        """Raises ConfigError where the database was divided otherwise, StoreError where away."""
        self._leases.prepare()
        self._renew()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let go of everything at once, so that others need not wait for a lease to end."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                thread.join(HAND_OVER_SECONDS)
        try:
            self._hand_over([held.lease.shard for held in self._all()])
            self._leases.leave()
        except OtelkitError as error:
            log.warning("leases were not given back, and end by themselves: %s", error)
        self._leases.close()
        self._renewals.close()

    def _keep(self, work: Callable[[], None], times: int) -> None:
        """The body of a thread: so many times a lease."""
        while not self._stopping.wait(self._terms.seconds / times):
            try:
                work()
            except OtelkitError as error:
                self._sources.down(LEASES, str(error))
            except Exception:  # a collector that ends here would hold its shards and do nothing
                log.exception("leases are not kept for a reason that is not foreseen")

    # --- renewing --------------------------------------------------------------------------

    def _renew(self) -> None:
        self._beat = began = time.monotonic()
        before = self._all()
        ours = self._renewals.renew()
        for held in before:
            if held.lease.shard in ours:
                held.until = began + self._terms.seconds
            else:
                self._lose(held.lease)
        self._holders = self._renewals.holders()
        self._collectors = self._renewals.collectors()
        self._tell(began)

    def _tell(self, now: float) -> None:
        for shard in self.shards:
            if self._holders.get(shard) is not None or shard not in self._held_by_somebody:
                self._held_by_somebody[shard] = now
        patience = 2 * self._terms.seconds
        alone = [n for n, at in self._held_by_somebody.items() if now - at > patience]
        if alone:
            names = ", ".join(map(shard_name, alone))
            self._sources.down(LEASES, f"nobody holds shard {names}; the collectors' logs say why")
        else:
            self._sources.up(LEASES)

    def _lose(self, lease: Lease) -> None:
        with self._lock:
            held = self._held.get(lease.shard)
            if held is None or held.lease != lease:
                return
            del self._held[lease.shard]
            self._gone.append(held)
        held.shard.stopping.set()
        log.warning(
            "shard %s is another collector's: its lease had ended; giving it up",
            shard_name(lease.shard),
        )

    # --- sharing ---------------------------------------------------------------------------

    def _balance(self) -> None:
        with self._lock:
            gone, self._gone = self._gone, []
        for held in gone:
            held.close(HAND_OVER_SECONDS)
        held_now = sorted(held.lease.shard for held in self._all())
        self._leases.keep(held_now)  # what could not be given back would be renewed for ever
        share = fair_share(self._terms.shards, self._collectors)
        self._hand_over(held_now[share:])
        for _ in range(share - len(held_now)):
            if self._stopping.is_set() or not self._take_one():
                return

    def _take_one(self) -> bool:
        began = time.monotonic()
        for lease in self._leases.take(1):
            try:
                held = self._make(lease, partial(self._lose, lease))
            except BaseException as error:
                self._leases.release([lease])  # or we would renew it, and nobody work there
                if not isinstance(error, OtelkitError):
                    raise
                log.error("shard %s cannot be opened: %s", shard_name(lease.shard), error)
                return False
            held.until = began + self._terms.seconds
            with self._lock:
                self._held[lease.shard] = held
            held.shard.start()
            log.info("shard %s is ours", shard_name(lease.shard))
            return True
        return False

    def _hand_over(self, shards: Collection[int]) -> None:
        """Finish the batches in hand, then let others have the shards."""
        with self._lock:
            handed = [self._held.pop(shard) for shard in shards if shard in self._held]
        for held in handed:
            held.shard.stopping.set()
        deadline = time.monotonic() + HAND_OVER_SECONDS
        for held in handed:
            try:
                held.close(max(deadline - time.monotonic(), 0.0))
            finally:
                self._leases.release([held.lease])
            log.info("shard %s is let go", shard_name(held.lease.shard))

    def _all(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())
