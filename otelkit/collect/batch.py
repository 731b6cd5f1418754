"""The work of one transaction: orders are read once, changed in memory and written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from otelkit import names
from otelkit.collect.clock import REMEMBERED, Policy, State, advance, is_newer, replay
from otelkit.collect.decode import Event, decode
from otelkit.collect.standing import carry_over, is_overdue, settle, standing
from otelkit.collect.store import Rejected, Store
from otelkit.collect.tallies import Tallies
from otelkit.errors import EventError

APPLIED: Final = "applied"
LATE: Final = "late"
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"
OUTCOMES: Final = (APPLIED, LATE, DUPLICATE, QUARANTINED)
"""What becomes of an event: ``late`` ones were put in their place among those that came before."""

QUARANTINE_BYTES: Final = 4096
"""Of a rejected body so much is kept: enough to see what it is."""


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from a source. ``source`` is its configured name, not what the event says."""

    source: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an event, and why where it was quarantined."""

    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A clock that runs and has become overdue: order, objective, and the missed deadline."""

    state: State
    objective: str
    deadline: float
    trace_id: str | None


class Batch:
    """Takes events and orders, then writes them. ``watermark`` is the time that was come to."""

    def __init__(self, policies: Mapping[str, Policy], store: Store, watermark: float) -> None:
        self.changes = Tallies()
        self.overdue: list[Overdue] = []
        """Clocks that became overdue, once :meth:`flush` is done."""
        self.heard: float | None = None
        """The time of the newest event."""
        self._policies = policies
        self._store = store
        self._watermark = watermark
        self._orders: dict[tuple[str, str], _Order] = {}
        self._rejected: list[Rejected] = []

    def take(self, received: Received) -> Taken:
        """What becomes of one event."""
        try:
            event = decode(received.body, received.at)
            taken = Taken(self._take(self._policy(event), event))
        except (EventError, ValueError) as error:  # a calendar has no deadline to give, say
            body = received.body[:QUARANTINE_BYTES]
            self._rejected.append(Rejected(received.source, received.at, str(error), body))
            taken = Taken(QUARANTINED, str(error))
        self.changes[names.ORDER_EVENTS.name, received.source, taken.outcome] += 1
        return taken

    def _policy(self, event: Event) -> Policy:
        policy = self._policies.get(event.process)
        if policy is None:
            raise EventError(
                f"no process {event.process!r} in the SLA file; add it or send another"
            )
        policy.check(event)
        return policy

    def _take(self, policy: Policy, event: Event) -> str:
        order = self._load(event.process, event.order_id)
        mark = _hash(event)
        if order.state is not None and mark in order.state.seen:
            return DUPLICATE
        if order.state is None or is_newer(order.state, event):
            state = advance(policy, order.state, event)
            self._stayed(order.state, state)
            outcome = APPLIED
        else:
            known = self._store.timeline(order.state.log)
            if any(e.source == event.source and e.id == event.id for e in known):
                return DUPLICATE
            state, gone = carry_over(order.state, replay(policy, [*known, event]))
            self.changes.change(gone)
            outcome = LATE
        entry = self._store.append(order.state.log if order.state else 0, event)
        seen = (*(order.state.seen if order.state else ()), mark)[-REMEMBERED:]
        order.state = replace(state, log=entry, seen=seen)
        self.heard = max(self.heard or event.at, event.at)
        return outcome

    def _stayed(self, old: State | None, new: State) -> None:
        """The time in a stage, once the order has left it."""
        if old is None or not old.open or (new.open and new.since == old.since):
            return
        seconds = max(new.at - old.since, 0.0)
        place = (names.ORDER_STAGE_DURATION.name, old.process, old.stage, old.tier)
        bucket = next((b for b in names.STAGE_BUCKETS if seconds <= b), float("inf"))
        self.changes[(*place, str(bucket))] += 1
        self.changes[(*place, "sum")] += seconds

    def age(self, number: int) -> None:
        """Take an order along whose clocks may have passed something."""
        state = self._store.get(number)
        self._load(state.process, state.order_id)

    def _load(self, process: str, order_id: str) -> _Order:
        key = (process, order_id)
        if key not in self._orders:
            number, state = self._store.find(process, order_id) or (None, None)
            self._orders[key] = _Order(number, state, state)
        return self._orders[key]

    def flush(self, now: float) -> None:
        """Write the orders as they stand when time has come to ``now``.

        Only here are outcomes counted: what looks overdue after one event of a batch may be met
        by the next.
        """
        for order in self._orders.values():
            if order.state is not None:
                self._settle(order, order.state, now)
        self.changes = Tallies({key: change for key, change in self.changes.items() if change})
        self._store.add(self.changes)
        if self._rejected:
            self._store.quarantine(self._rejected)

    def _settle(self, order: _Order, state: State, now: float) -> None:
        settled, counted = settle(state, now)
        self.changes.change(counted)
        self.changes.change(standing(order.stored, self._watermark), -1.0)
        self.changes.change(standing(settled, now))
        self._note_overdue(state, settled, now)
        if settled != order.stored:
            self._store.put(order.number, order.stored, settled)

    def _note_overdue(self, before: State, after: State, now: float) -> None:
        for old, new in zip(before.runs, after.runs, strict=True):
            if old.counted != new.counted and is_overdue(new, now):
                trace_id = self._store.timeline(after.log)[-1].trace_id
                self.overdue.append(Overdue(after, new.objective, new.deadline or 0.0, trace_id))


@dataclass(slots=True)
class _Order:
    """An order within a batch: as it is stored, and as it is now."""

    number: int | None
    stored: State | None
    state: State | None


def _hash(event: Event) -> int:
    """64 bits, since two events of an order that share a hash would be taken for one."""
    name = f"{event.source}\0{event.id}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest())
