"""What a new SLA file means for open orders, in numbers: which clocks change, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from otelkit.collect.clocks.revision import Revision
from otelkit.collect.clocks.standing import Standing, standing_of
from otelkit.collect.clocks.state import Run, State

SHOWN: Final = 5
"""Orders that are named of each change, the first that were looked at."""
_HOUR: Final = 3600
Transition = tuple[Standing | None, Standing | None]
"""From one state of a clock to another; None for a clock that there is not."""


@dataclass(slots=True)
class Sample:
    """How many orders, and the ids of the first."""

    count: int = 0
    orders: list[str] = field(default_factory=list)

    def add(self, order_id: str) -> None:
        self.count += 1
        if len(self.orders) < SHOWN and order_id not in self.orders:
            self.orders.append(order_id)


@dataclass(slots=True)
class Clocks:
    """The clocks of one objective."""

    transitions: dict[Transition, Sample] = field(default_factory=dict)
    moves: Counter[int] = field(default_factory=Counter)
    """Deadlines by the seconds that they moved, later ones positive."""
    unchanged: int = 0
    """Clocks with the same state and deadline as before."""

    def compare(self, order_id: str, old: Run | None, new: Run | None, now: float) -> bool:
        """Count one clock; returns whether it changes."""
        told = (_standing(old, now), _standing(new, now))
        moved = _moved(old, new)
        if told[0] != told[1]:
            self.transitions.setdefault(told, Sample()).add(order_id)
        if moved:
            self.moves[moved] += 1
        changes = told[0] != told[1] or bool(moved)
        self.unchanged += not changes
        return changes

    def median_move(self, sign: int) -> tuple[int, int]:
        """How many deadlines moved that way (later 1, earlier -1), and their median in seconds."""
        moves = sorted((move, n) for move, n in self.moves.items() if move * sign > 0)
        total = sum(n for _, n in moves)
        for (move, _), upto in zip(moves, accumulate(n for _, n in moves), strict=True):
            if 2 * upto >= total:
                return total, move
        return 0, 0


@dataclass(slots=True)
class Impact:
    """Open orders that did not follow the new policies, at the instant ``now`` of each."""

    orders: int = 0
    changed: int = 0
    """Of them those with a clock that changes."""
    kept: dict[str, Sample] = field(default_factory=dict)
    """Of them those that stay because nobody can tell, by the reason."""
    clocks: dict[str, Clocks] = field(default_factory=dict)

    def add(self, revisions: Iterable[Revision], now: float) -> None:
        """Count orders as they stand when time has come to ``now``."""
        for revision in revisions:
            self.orders += 1
            if revision.new is None:
                self.kept.setdefault(revision.kept, Sample()).add(revision.old.order_id)
            else:
                self.changed += self._compare(revision.old, revision.new, now)

    def _compare(self, old: State, new: State, now: float) -> bool:
        before, after = _numbered(old), _numbered(new)
        changes = False
        for key in before | after:
            clocks = self.clocks.setdefault(key[0], Clocks())
            changes |= clocks.compare(old.order_id, before.get(key), after.get(key), now)
        return changes


def _numbered(state: State) -> dict[tuple[str, int], Run]:
    return {(run.objective, run.number): run for run in state.runs}


def _standing(run: Run | None, now: float) -> Standing | None:
    return None if run is None else standing_of(run, now)


def _moved(old: Run | None, new: Run | None) -> int:
    """By how many seconds a deadline moves, or what is left of a paused clock.

    In whole minutes from an hour on, so that there are not as many moves as orders.
    """
    if old is None or new is None:
        return 0
    move = 0.0
    if old.deadline is not None and new.deadline is not None:
        move = new.deadline - old.deadline
    elif old.left is not None and new.left is not None:
        move = new.left - old.left
    return round(move) if abs(move) < _HOUR else 60 * round(move / 60)
