"""The work of one transaction: orders are read once, changed in memory and written once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from otelkit import names
from otelkit.collect.clocks.clock import advance, replay, taken
from otelkit.collect.clocks.decode import Event, decode
from otelkit.collect.clocks.learned import DURATIONS, bucket
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.revision import Revision
from otelkit.collect.clocks.standing import Gauges, carry_over, is_overdue, settle
from otelkit.collect.clocks.state import Run, State, is_newer, is_whole, mark_of, remember
from otelkit.collect.clocks.tallies import Minutes, Tallies
from otelkit.collect.engine.intake import (
    APPLIED,
    DUPLICATE,
    LATE,
    OUTCOMES,
    QUARANTINED,
    Overdue,
    Received,
    Taken,
)
from otelkit.collect.storage.ledger import Rejected
from otelkit.collect.storage.recent import OrderKey
from otelkit.collect.storage.store import Change, Store
from otelkit.errors import EventError

QUARANTINE_BYTES: Final = 4096
"""Of a rejected body so much is kept: enough to see what it is."""
_NO_PLACE: Final = (
    "its order was told of later events, and what came before is deleted under keep_timelines; "
    "it has no place any more"
)


class Batch:
    """Takes events and orders, then writes them.

    ``watermark`` is the time that was come to, ``audited`` the number of the last order that an
    audit has counted.
    """

    def __init__(
        self, policies: Mapping[str, Policy], store: Store, watermark: float, audited: int = 0
    ) -> None:
        self.changes = Tallies()
        self.minutes = Minutes()
        """Of gauges by minute."""
        self.recounted = Gauges()
        """Of all these, those of orders that an audit has counted."""
        self.overdue: list[Overdue] = []
        """Clocks that became overdue, once :meth:`flush` is done."""
        self.until = watermark
        """The time that has come at the end."""
        self._policies = policies
        self._store = store
        self._watermark = watermark
        self._audited = audited
        self._orders: dict[OrderKey, _Order] = {}
        self._rejected: list[Rejected] = []
        self._gauges = Gauges()
        self._stays: dict[tuple[str, str, str], list[float]] = {}
        """Seconds in stages that orders have left, by process, stage and tier."""
        self._passed: list[tuple[_Order, State, Run]] = []

    # --- events ----------------------------------------------------------------------------

    def take(self, batch: Sequence[Received]) -> list[Taken]:
        """What becomes of each event."""
        told = [self._read(received) for received in batch]
        self._load([event for event in told if isinstance(event, Event)])
        taken = [self._apply(event) if isinstance(event, Event) else event for event in told]
        for (source, outcome), count in Counter(
            zip(map(_source, batch), map(_outcome, taken), strict=True)
        ).items():
            self.changes[names.ORDER_EVENTS.name, source, outcome] += count
        for received, one in zip(batch, taken, strict=True):
            if one.reason:
                body = received.body[:QUARANTINE_BYTES]
                self._rejected.append(Rejected(received.source, received.at, one.reason, body))
        return taken

    def _read(self, received: Received) -> Event | Taken:
        try:
            event = received.event
            if event is None:
                event = decode(received.body, max(received.at, self._watermark))
            self._policy(event).check(event)
        except EventError as error:
            return Taken(QUARANTINED, str(error))
        return event

    def _policy(self, event: Event) -> Policy:
        policy = self._policies.get(event.process)
        if policy is None:
            raise EventError(
                f"no process {event.process!r} in the SLA file; add it or send another"
            )
        return policy

    def _load(self, events: Sequence[Event]) -> None:
        """Read the orders of these events, and the timelines of those that may know them."""
        orders = dict.fromkeys([(event.process, event.order_id) for event in events], _NEW)
        orders.update(self._store.find(orders))
        self._orders.update((key, _order(*found)) for key, found in orders.items())
        late = {}
        for event in events:
            order = self._orders[event.process, event.order_id]
            if order.stored is not None and not is_newer(order.stored, event):
                late[order.stored.log] = order.stored, order
        pasts = self._store.timelines(state for state, _ in late.values())
        for (_, order), past in zip(late.values(), pasts, strict=True):
            order.past = past

    def _apply(self, event: Event) -> Taken:
        order = self._orders[event.process, event.order_id]
        try:
            outcome = self._advance(self._policies[event.process], order, event)
        except (EventError, ValueError) as error:  # a calendar has no deadline to give, say
            return Taken(QUARANTINED, str(error))
        return _TAKEN[outcome]

    def _advance(self, policy: Policy, order: _Order, event: Event) -> str:
        state, mark = order.state, mark_of(event)
        if state is None:
            order.go_on(advance(policy, None, event), event, mark)
            return APPLIED
        newer = is_newer(state, event)
        if (not newer or mark in order.seen) and self._is_known(order, event):
            return DUPLICATE
        if newer:
            new = advance(policy, state, event)
            if state.policy != policy.fingerprint:
                new, gone = carry_over(state, new)
                self.changes.change(gone)
            self._stayed(state, new)
            if policy.learning and state.policy == policy.fingerprint:
                self._took(policy, state, new)
            order.go_on(new, event, mark)
            return APPLIED
        if order.stored is not None and not is_whole(order.stored, self._past(order)):
            if mark in order.seen:
                return DUPLICATE
            raise EventError(_NO_PLACE)
        known = [*self._past(order), *order.events]
        new, gone = carry_over(state, replay(policy, [*known, event]))
        self.changes.change(gone)
        order.go_on(new, event, mark)
        return LATE

    def _is_known(self, order: _Order, event: Event) -> bool:
        return _is_among(order.events, event) or _is_among(self._past(order), event)

    def _past(self, order: _Order) -> list[Event]:
        """The events of an order before this batch."""
        if order.past is None:
            order.past = [] if order.stored is None else self._store.timeline(order.stored)
        return order.past

    def _stayed(self, old: State, new: State) -> None:
        """The time in a stage, once the order has left it."""
        if not old.open or (new.open and new.since == old.since):
            return
        place = (old.process, old.stage, old.tier)
        self._stays.setdefault(place, []).append(max(new.at - old.since, 0.0))

    def _took(self, policy: Policy, old: State, new: State) -> None:
        """The time that clocks took, once they have ended as they should."""
        process = policy.process
        if new.status in process.cancelled or new.status in process.reset:
            return
        for before, after in zip(old.runs, new.runs, strict=False):
            has_ended = before.ended is None and after.ended is not None
            if has_ended and before.objective in policy.learning:
                seconds = taken(policy, old, before, new.at)
                self.changes[DURATIONS, before.objective, old.tier, bucket(seconds)] += 1

    # --- time ------------------------------------------------------------------------------

    def age(self, numbers: Iterable[int]) -> None:
        """Take orders along whose clocks may have passed something."""
        for number, state in self._store.get(numbers).items():
            self._orders[state.process, state.order_id] = _order(number, state)

    # --- another SLA file ------------------------------------------------------------------

    def revise(self, revisions: Iterable[Revision]) -> None:
        """Let orders stand as they are revised."""
        for number, old, new, _ in revisions:
            if new is not None:
                carried, gone = carry_over(old, new)
                self.changes.change(gone)
                self._orders[old.process, old.order_id] = _Order(number, old, carried, old.seen)

    # --- at the end ------------------------------------------------------------------------

    def flush(self) -> None:
        """Write the orders as they stand when time has come to :attr:`until`.

        Only here are outcomes counted: what looks overdue after one event of a batch may be met
        by the next.
        """
        settled = [
            self._settle(order, order.state, self.until)
            for order in self._orders.values()
            if order.state is not None
        ]
        self.overdue = self._told()
        self._store.put([c for c in settled if c.events or c.new != c.old])
        self.minutes = self._gauges.minutes
        self.minutes.merge(self.recounted.minutes)
        for changes in (self._gauges, self.recounted):
            self.changes.merge(changes.tallies())
        self.changes.merge(_durations(self._stays))
        self._store.add(self.changes, self.minutes)
        self._store.quarantine(self._rejected)

    def _settle(self, order: _Order, state: State, now: float) -> Change:
        settled, counted = settle(state, now)
        if counted:
            self.changes.change(counted)
        gauges = self._gauges
        if order.number is not None and order.number <= self._audited:
            gauges = self.recounted
        gauges.change(order.stored, self._watermark, -1.0)
        gauges.change(settled, now, 1.0)
        if settled is not state:
            self._note_overdue(order, state, settled, now)
        return Change(order.number, order.stored, settled, order.events, order.seen)

    def _note_overdue(self, order: _Order, before: State, after: State, now: float) -> None:
        for old, new in zip(before.runs, after.runs, strict=True):
            if old.counted != new.counted and is_overdue(new, now):
                self._passed.append((order, after, new))

    def _told(self) -> list[Overdue]:
        """What became overdue, each with the trace of its order's last event."""
        quiet = (state for order, state, _ in self._passed if not order.events)
        latest = self._store.latest(quiet)
        told = []
        for order, state, run in self._passed:
            event = order.events[-1] if order.events else latest.get(state.log)
            trace_id = None if event is None else event.trace_id
            told.append(Overdue(state, run.objective, run.deadline or 0.0, trace_id))
        return told


class _Order(msgspec.Struct, gc=False):
    """An order within a batch: as it is stored, as it is now, and what it was told in between.

    ``seen`` are its marks, which the state gets as it is written.
    """

    number: int | None
    stored: State | None
    state: State | None
    seen: bytes
    events: list[Event] = []
    past: list[Event] | None = None
    """What it was told before, once that is asked for."""

    def go_on(self, state: State, event: Event, mark: bytes) -> None:
        """To the state after one more event."""
        self.state = state
        self.seen = remember(self.seen, mark)
        self.events.append(event)


_NEW: Final[tuple[int | None, State | None]] = (None, None)


def _order(number: int | None, stored: State | None) -> _Order:
    return _Order(number, stored, stored, b"" if stored is None else stored.seen)


def _is_among(events: Iterable[Event], event: Event) -> bool:
    return any(e.source == event.source and e.id == event.id for e in events)


def _durations(stays: Mapping[tuple[str, str, str], Sequence[float]]) -> Tallies:
    found = Tallies()
    for place, stayed in stays.items():
        series = (names.ORDER_STAGE_DURATION.name, *place)
        buckets = (bisect_left(names.STAGE_BUCKETS, seconds) for seconds in stayed)
        found.change((*series, _BUCKETS[bucket]) for bucket in buckets)
        found[*series, "sum"] = sum(stayed)
    return found


_TAKEN: Final = {outcome: Taken(outcome) for outcome in OUTCOMES}
_source: Final = attrgetter("source")
_outcome: Final = attrgetter("outcome")
_BUCKETS: Final = (*map(str, names.STAGE_BUCKETS), str(float("inf")))
