"""Order clocks: what an event does to an order. Pure; time comes in with the events.

An order's state is a fold over its events in the order in which they happened. A clock is one
*run* of one objective for one order; it holds a deadline while it runs, what is left while it is
paused, and an outcome once it has ended. Whether a running clock is at risk or overdue is not
stored: it follows from its deadline and the time at which one asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from msgspec.structs import replace

from otelkit import names
from otelkit.calendars import BusinessTime
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.state import Run, State
from otelkit.model import Allowance, Clock, Learned, Unit


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events as they happened: by time, and those of one source by its versions.

    A source's versioned events keep the places that their times give them together, and stand in
    them in the order of their versions. Does not depend on the order of arrival.
    """
    timed = sorted(events, key=lambda e: (e.at, e.source, e.version or 0, e.id))
    versioned = sorted(
        (e for e in timed if e.version is not None), key=lambda e: (e.source, e.version)
    )
    queues = {source: iter(list(own)) for source, own in groupby(versioned, lambda e: e.source)}
    return [e if e.version is None else next(queues[e.source]) for e in timed]


def replay(policy: Policy, events: Iterable[Event]) -> State:
    """The state of an order that has had these events; at least one."""
    state, every = None, in_order(events)
    for event in every:
        state = advance(policy, state, event)
    assert state is not None  # noqa: S101 - there is at least one event
    # By its version the last need not be the newest.
    return replace(state, at=max(event.at for event in every))


def advance(policy: Policy, state: State | None, event: Event) -> State:
    """The state after an event that comes after all others. Counts nothing.

    A status that has left the SLA file moves the order no more.
    """
    before = state if state is not None else _new(policy, event)
    if before.policy != policy.fingerprint:
        # An objective that has left the SLA file takes its clocks along.
        runs = tuple(run for run in before.runs if run.objective in policy.clock)
        before = replace(before, runs=runs, policy="")
    is_known = event.status in policy.statuses
    known = replace(
        before,
        status=event.status if is_known else before.status,
        tier=event.tier or before.tier,
        partner=event.partner or before.partner,
        at=event.at,
        aliases={**before.aliases, **event.aliases} if event.aliases else before.aliases,
        versions=before.versions if event.version is None else _versions(before, event),
    )
    if not is_known:
        return known
    process = policy.process
    if event.status in process.paused:
        return _pause(policy, known)
    known = _resume(policy, known)
    if event.status in process.reset:
        return known if state is None else _reset(policy, known)
    if event.status in process.stages:
        return _enter(policy, known, is_new=state is None)
    return _close(known, cancelled=event.status in process.cancelled)


def _new(policy: Policy, event: Event) -> State:
    """An order before its first event."""
    tier = event.tier or policy.process.default_tier
    # An order that is first heard of elsewhere has been in the first stage all along.
    stage = policy.process.stages[0]
    order = State(
        event.process, event.order_id, stage, stage, event.at, tier, event.partner, event.at,
        open=True, paused=False, policy=policy.fingerprint,
    )  # fmt: skip
    process = policy.process
    waits = event.status in (*process.paused, *process.reset)
    waits = waits or event.status not in policy.statuses
    return _enter(policy, order, is_new=True) if waits else order


def _versions(state: State, event: Event) -> dict[str, int]:
    newest = max(event.version or 0, state.versions.get(event.source, 0))
    return {**state.versions, event.source: newest}


# --- stages --------------------------------------------------------------------------------


def _enter(policy: Policy, state: State, *, is_new: bool) -> State:
    if state.stage == state.status and state.open and not is_new:
        return state  # the same stage again, or back to it from a pause
    stage, at, runs = state.status, state.at, state.runs
    ending = policy.ending[stage]
    ended = [r for r in runs if r.ended is None and r.objective in ending]
    if ended:
        runs = tuple([_end(run, at) if run in ended else run for run in runs])
    for clock in policy.starting[stage]:
        # A clock on the whole order starts once, also where the first stage was skipped or not
        # told.
        if clock.stops is None or all(run.objective != clock.name for run in runs):
            runs = (*runs, _start(policy, clock, state, runs))
    return replace(state, stage=stage, since=at, open=True, paused=False, runs=runs)


def _start(policy: Policy, clock: Clock, state: State, runs: Iterable[Run]) -> Run:
    allowance = clock.allowance(state.tier, state.partner)
    business = allowance.unit is not Unit.ELAPSED
    time = policy.time_of(clock.name, business=business)
    deadline = _deadline(allowance, time, state.at)
    risk = at_risk = None
    if clock.at_risk is not None:
        total = time.elapsed(state.at, deadline)
        risk = _risk(policy, clock, state, total)
        at_risk = None if risk is None else time.add(state.at, total - risk)
    number = sum(run.objective == clock.name for run in runs)
    return Run(
        clock.name, number, allowance.agreement, business, state.at, deadline, at_risk, risk=risk
    )


def _deadline(allowance: Allowance, time: BusinessTime, start: float) -> float:
    if allowance.unit is Unit.OPEN_DAYS:
        return time.add_days(start, allowance.amount)
    return time.add(start, allowance.amount)


def _risk(policy: Policy, clock: Clock, state: State, total: float) -> float | None:
    """What is left of ``total`` when an order is at risk; None where it never is."""
    rule = clock.at_risk
    if isinstance(rule, Learned):
        share = float(rule.slower_than)
        usual = policy.percentiles.at(clock.name, state.tier, share, state.at)
        if usual is not None:
            return total - usual if usual < total else None
        rule = rule.until_then
    return None if rule is None else float(rule) * total


def taken(policy: Policy, state: State, run: Run, at: float) -> float:
    """How many seconds of its time a run has taken by then, pauses left out.

    ``state`` is its order before that. Its tier and partner may have been others when the run
    started; that shows where it never stood still, and is passed over where it did.
    """
    clock, time = policy.clock[run.objective], policy.time_of(run.objective, business=run.business)
    if any(run.deadline == _deadline(own, time, run.started) for own in clock.within):
        return time.elapsed(run.started, at)
    allowance = clock.allowance(state.tier, state.partner)
    allowed = time.elapsed(run.started, _deadline(allowance, time, run.started))
    if run.deadline is None:
        return allowed - (run.left or 0.0)
    # A pause moves the deadline by as much as it lasts.
    return allowed - time.elapsed(at, run.deadline) + time.elapsed(run.deadline, at)


def _reset(policy: Policy, state: State) -> State:
    """Clocks that run begin anew, where the order stands; what is overdue by then is breached."""
    if not state.open:
        return state
    running = [run for run in state.runs if run.ended is None]
    runs = [_end(run, state.at, cancelled=True) if run in running else run for run in state.runs]
    for run in running:
        runs.append(_start(policy, policy.clock[run.objective], state, runs))
    return replace(state, runs=tuple(runs))


def _close(state: State, *, cancelled: bool) -> State:
    runs = []
    for run in state.runs:
        if run.ended is None:
            run = _end(run, state.at, cancelled=cancelled)  # noqa: PLW2901
        runs.append(run)
    return replace(state, open=False, paused=False, runs=tuple(runs))


def _end(run: Run, at: float, *, cancelled: bool = False) -> Run:
    late = run.deadline is not None and at > run.deadline
    outcome = names.OUTCOME_BREACHED if late else names.OUTCOME_MET
    if cancelled and not late:
        outcome = names.OUTCOME_CANCELLED
    return replace(run, ended=at, outcome=outcome)


# --- pauses --------------------------------------------------------------------------------


def _pause(policy: Policy, state: State) -> State:
    if state.paused or not state.open:
        return state
    runs = tuple(_pause_run(policy, run, state) for run in state.runs)
    return replace(state, paused=True, runs=runs)


def _pause_run(policy: Policy, run: Run, state: State) -> Run:
    if run.ended is not None or run.deadline is None or run.deadline < state.at:
        return run  # what is overdue already stays so
    time = policy.time_of(run.objective, business=run.business)
    left = time.elapsed(state.at, run.deadline)
    return replace(run, deadline=None, at_risk=None, left=left)


def _resume(policy: Policy, state: State) -> State:
    if not state.paused:
        return state
    runs = tuple(_resume_run(policy, run, state) for run in state.runs)
    return replace(state, paused=False, runs=runs)


def _resume_run(policy: Policy, run: Run, state: State) -> Run:
    if run.left is None or run.ended is not None:
        return run
    time = policy.time_of(run.objective, business=run.business)
    risk = None if run.risk is None else time.add(state.at, max(run.left - run.risk, 0.0))
    return replace(run, deadline=time.add(state.at, run.left), at_risk=risk, left=None)
