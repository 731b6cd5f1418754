"""Acknowledged orders: somebody knows that they are late, until when, and why."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from otelkit.collect.clocks.standing import is_overdue
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.ledger import Acknowledgement
from otelkit.collect.storage.store import Store

MOST: Final = 1000
"""Acknowledged orders at once, each of which a scrape looks at. More of them are no exceptions."""


class Acks:
    """Acknowledgements by the number of their order. Safe for threads."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._acks = {ack.number: ack for ack in store.acknowledged()}

    def add(self, numbers: Collection[int], until: float, reason: str, now: float) -> bool:
        """Take orders as known until an instant, in place of what was said of them before.

        An instant that has passed ends it. Returns whether there was room for them.
        """
        with self._engine.lock:
            kept = {n: ack for n, ack in self._acks.items() if ack.until > now and n not in numbers}
            fresh = {n: Acknowledgement(n, until, reason, now) for n in numbers if until > now}
            if fresh and len(kept) + len(fresh) > MOST:
                return False
            gone = self._acks.keys() - kept.keys()
            with self._store.transaction():
                self._store.acknowledge(gone, fresh.values())
            self._acks = kept | fresh
        return True

    def of(self, number: int, now: float) -> Acknowledgement | None:
        """That of an order, if it has one that has not run out."""
        ack = self._acks.get(number)
        return ack if ack is not None and ack.until > now else None

    def active(self, now: float) -> frozenset[int]:
        """The numbers of all that have not run out."""
        return frozenset(n for n, ack in list(self._acks.items()) if ack.until > now)

    def overdue(self, now: float) -> dict[tuple[str, ...], int]:
        """Clocks of acknowledged orders that are overdue, by objective, stage and tier."""
        found: dict[tuple[str, ...], int] = {}
        with self._engine.lock:
            watermark = self._engine.watermark
            for state in self._store.get(self.active(now)).values():
                for run in state.runs:
                    if state.open and is_overdue(run, watermark):
                        place = (run.objective, state.stage, state.tier)
                        found[place] = found.get(place, 0) + 1
        return found
