"""How an order stands in the metrics at an instant: the gauges and outcomes that it counts in."""

from __future__ import annotations

from typing import Final, Literal, cast

from msgspec.structs import replace

from otelkit import names
from otelkit.collect.clocks.state import Run, State
from otelkit.collect.clocks.tallies import Key, Minutes, Tallies

Standing = Literal["running", "at_risk", "overdue", "paused", "met", "breached", "cancelled"]
"""The state of a clock."""
AT_RISK: Final = "at_risk"
OVERDUE: Final = "overdue"
"""What an order becomes at the instant of an alarm."""
_OPEN: Final = names.ORDERS_OPEN.name
_PAUSED: Final = names.ORDERS_PAUSED.name
_OVERDUE: Final = names.ORDERS_OVERDUE.name
_AT_RISK: Final = names.ORDERS_AT_RISK.name
AGE: Final = names.ORDER_STAGE_AGE.name
COMING: Final = "deadlines to come"
"""Counts clocks by objective, stage, tier and the minute up to which their deadline lies."""
POLICY: Final = "orders by policy"
"""Counts open orders by process and fingerprint; no metric, since the label would be one to grow.
"""
BY_MINUTE: Final = frozenset((AGE, COMING))
GAUGES: Final = BY_MINUTE | {_OPEN, _PAUSED, _OVERDUE, _AT_RISK, POLICY}
"""All that an open order counts in."""
ENDED: Final = "ended"
ARCHIVED: Final = "archived"
"""Alarms of orders that have ended, at that instant: with a timeline, and without."""
ANYWHERE: Final = ""
"""Instead of a stage."""
NOWHERE: Final = ("", ANYWHERE, "")
"""The place of such an alarm."""


class Gauges:
    """What orders count in, summed up: those of one place are told together."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, str, str, bool], float] = {}
        self.minutes = Minutes()
        self._clocks = Tallies()

    def change(self, state: State | None, now: float, by: float) -> None:
        """Count an order ``by`` times, as it stands when time has come to ``now``."""
        if state is None or not state.open:
            return
        process, stage, tier, places = state.process, state.stage, state.tier, self._places
        place = (process, stage, tier, state.policy, state.paused)
        places[place] = places.get(place, 0.0) + by
        count = self.minutes.count
        count((AGE, process, stage, tier), minute_of(state.since), by)
        for run in state.runs:
            if run.ended is not None:
                continue
            if run.deadline is not None:
                if run.deadline <= now:
                    self._clocks[_OVERDUE, run.objective, stage, tier] += by
                    continue
                count((COMING, run.objective, stage, tier), minute_up_to(run.deadline), by)
            if is_at_risk(run, now):
                self._clocks[_AT_RISK, run.objective, stage, tier] += by

    def tallies(self) -> Tallies:
        """The gauges that changed, but those by minute."""
        found = Tallies(self._clocks)
        for (process, stage, tier, policy, paused), count in self._places.items():
            found[_OPEN, process, stage, tier] += count
            found[POLICY, process, policy] += count
            if paused:
                found[_PAUSED, process, stage, tier] += count
        return Tallies({key: count for key, count in found.items() if count})


def standing(state: State | None, now: float) -> list[Key]:
    """The gauges in which an order counts when time has come to ``now``."""
    gauges = Gauges()
    gauges.change(state, now, 1.0)
    return [*gauges.tallies(), *gauges.minutes.flat()]


def minute_of(at: float) -> int:
    """The minute of entry under which ages are counted, in minutes since the epoch."""
    return int(at // 60)


def minute_up_to(deadline: float) -> int:
    """The minute at whose end, or before, a deadline lies: its number as of :func:`minute_of`."""
    return -int(-deadline // 60)


def is_overdue(run: Run, now: float) -> bool:
    return run.ended is None and run.deadline is not None and run.deadline <= now


def is_at_risk(run: Run, now: float) -> bool:
    return run.ended is None and run.at_risk is not None and run.at_risk <= now


def standing_of(run: Run, now: float) -> Standing:
    """The state of a clock, in the word that is its metric label where it has one."""
    if run.outcome:
        return cast("Standing", run.outcome)
    if run.deadline is None:
        return "paused"
    if is_overdue(run, now):
        return OVERDUE
    return AT_RISK if is_at_risk(run, now) else "running"


def settle(state: State, now: float) -> tuple[State, list[Key]]:
    """Count the outcomes that are not counted yet: the state, and the counters that rise by one.

    A breach counts when it happens, so a clock that is overdue counts before it ends. An outcome
    that turns out otherwise is a correction once the clock has ended, because a counter cannot
    fall.
    """
    counted: list[Key] = []
    runs = state.runs
    for n, run in enumerate(runs):
        outcome = run.outcome
        if not outcome:
            outcome = names.OUTCOME_BREACHED if is_overdue(run, now) else run.counted
        if outcome != run.counted:
            counted.append(_outcome(state, run, outcome))
            runs = (*runs[:n], replace(run, counted=outcome), *runs[n + 1 :])
    return (replace(state, runs=runs) if counted else state), counted


def _outcome(state: State, run: Run, outcome: str) -> Key:
    if not run.counted:
        return (names.ORDER_CLOCKS.name, run.objective, state.tier, run.agreement, outcome)
    correction = names.ORDER_CLOCK_CORRECTIONS.name
    return (correction, run.objective, state.tier, run.counted, outcome)


def carry_over(old: State, new: State) -> tuple[State, list[Key]]:
    """After a replay: what was counted stays counted.

    A counted run that the replay no longer knows is a correction to ``cancelled``.
    """
    counted = {(run.objective, run.number): run for run in old.runs if run.counted}
    runs = []
    for run in new.runs:
        before = counted.pop((run.objective, run.number), None)
        runs.append(run if before is None else replace(run, counted=before.counted))
    cancelled = names.OUTCOME_CANCELLED
    gone = [_outcome(old, r, cancelled) for r in counted.values() if r.counted != cancelled]
    return replace(new, runs=tuple(runs)), gone


def alarms(state: State | None) -> list[tuple[tuple[str, str, str, str], float]]:
    """What has to be looked at when time comes: (kind, objective, stage, tier), and when.

    The stage is told only of clocks that were counted as overdue: an order goes through its stages
    with the same deadline ahead, and an index that names them would change each time.
    """
    if state is None:
        return []
    if not state.open:
        return [((ENDED if state.log else ARCHIVED, *NOWHERE), state.at)]
    found = []
    for run in state.runs:
        if run.ended is None:
            if run.at_risk is not None:
                found.append(((AT_RISK, run.objective, ANYWHERE, state.tier), run.at_risk))
            if run.deadline is not None:
                stage = state.stage if run.counted == names.OUTCOME_BREACHED else ANYWHERE
                found.append(((OVERDUE, run.objective, stage, state.tier), run.deadline))
    return found
