"""What the API answers about orders, as types."""

from __future__ import annotations

import msgspec

from otelkit.collect.api.answers import instant
from otelkit.collect.api.orders import LateOrder, OrderStory, Page
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.standing import Standing
from otelkit.collect.clocks.state import Run
from otelkit.collect.storage.alarms import Alarm
from otelkit.collect.storage.ledger import Acknowledgement


class Acknowledged(msgspec.Struct, frozen=True):
    """Somebody knows that the order is late."""

    until: str
    reason: str
    given: str


class Clock(msgspec.Struct, frozen=True):
    """One run of an objective's clock. A paused one has no deadline, only what is left."""

    objective: str
    agreement: str
    state: Standing
    started: str
    deadline: str | None
    closed_until: str | None
    left_seconds: float | None
    ended: str | None


class Step(msgspec.Struct, frozen=True):
    """A status that the order came to, in the order of time, and how long it had it.

    ``source`` is the service that said so. The last step of an open order lasts until now.
    """

    at: str
    status: str
    source: str
    id: str
    version: int | None
    trace_id: str | None
    received: str
    duration_seconds: float | None


class Order(msgspec.Struct, frozen=True):
    """Where an order is, since when, and what it waits for.

    ``waits_for`` are the statuses that it may come to next, none once it has ended; ``deadline``
    is the first that it has to meet or has missed; ``policy`` is the fingerprint of the terms that
    its clocks follow, null where these are several.
    """

    id: str
    process: str
    status: str
    stage: str
    since: str
    open: bool
    paused: bool
    waits_for: tuple[str, ...]
    deadline: str | None
    tier: str
    partner: str | None
    aliases: dict[str, str]
    acknowledged: Acknowledged | None
    policy: str | None
    clocks: list[Clock]
    timeline: list[Step]


class Found(msgspec.Struct, frozen=True):
    """The orders of a name: one, unless several processes or systems use it."""

    orders: list[Order]


class Erased(msgspec.Struct, frozen=True):
    """How many orders lost what was personal of them."""

    orders: int


class Unknown(msgspec.Struct, frozen=True):
    """No order has that name."""

    error: str
    orders: tuple[()] = ()


class Listed(msgspec.Struct, frozen=True):
    """A clock of an open order. ``after`` is where a list goes on behind it."""

    id: str
    process: str
    objective: str
    stage: str
    status: str
    tier: str
    partner: str | None
    deadline: str
    overdue_seconds: float
    acknowledged: Acknowledged | None
    after: str


class Orders(msgspec.Struct, frozen=True):
    """A page, by deadline. ``next`` is the ``after`` of the following one; only null is the end."""

    orders: list[Listed]
    next: str | None


# --- from what the collector knows ---------------------------------------------------------


def order(story: OrderStory) -> Order:
    """An order with its clocks and steps."""
    state = story.state
    return Order(
        id=state.order_id,
        process=state.process,
        status=state.status,
        stage=state.stage,
        since=instant(state.since),
        open=state.open,
        paused=state.paused,
        waits_for=story.next_statuses,
        deadline=_instant(story.deadline),
        tier=state.tier,
        partner=state.partner,
        aliases=state.aliases,
        acknowledged=_acknowledged(story.ack),
        policy=state.policy or None,
        clocks=[_clock(story, run) for run in state.runs],
        timeline=_timeline(story),
    )


def _clock(story: OrderStory, run: Run) -> Clock:
    return Clock(
        objective=run.objective,
        agreement=run.agreement,
        state=story.standing(run),
        started=instant(run.started),
        deadline=_instant(run.deadline),
        closed_until=_instant(story.closed_until(run)),
        left_seconds=run.left,
        ended=_instant(run.ended),
    )


def _timeline(story: OrderStory) -> list[Step]:
    events = sorted(story.events, key=lambda event: event.at)
    ends: list[float | None] = [event.at for event in events[1:]]
    ends.append(max(story.now, events[-1].at) if events and story.state.open else None)
    return [_step(event, end) for event, end in zip(events, ends, strict=False)]


def _step(event: Event, end: float | None) -> Step:
    return Step(
        at=instant(event.at),
        status=event.status,
        source=event.source,
        id=event.id,
        version=event.version,
        trace_id=event.trace_id,
        received=instant(event.received),
        duration_seconds=None if end is None else round(end - event.at, 3),
    )


def orders(page: Page, now: float) -> Orders:
    """A page of a list."""
    last = page.next
    return Orders([_listed(one, now) for one in page], None if last is None else cursor(last))


def cursor(alarm: Alarm) -> str:
    """An alarm as ``after`` names it."""
    return f"{alarm[0]!r},{alarm[1]}"


def _listed(one: LateOrder, now: float) -> Listed:
    state = one.state
    return Listed(
        id=state.order_id,
        process=state.process,
        objective=one.objective,
        stage=state.stage,
        status=state.status,
        tier=state.tier,
        partner=state.partner,
        deadline=instant(one.deadline),
        overdue_seconds=round(now - one.deadline, 3),
        acknowledged=_acknowledged(one.ack),
        after=cursor(one.alarm),
    )


def _acknowledged(ack: Acknowledgement | None) -> Acknowledged | None:
    if ack is None:
        return None
    return Acknowledged(instant(ack.until), ack.reason, instant(ack.given))


def _instant(at: float | None) -> str | None:
    return None if at is None else instant(at)
