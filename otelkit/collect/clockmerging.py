"""What the shards say of another SLA file, as one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace
from starlette.exceptions import HTTPException

from otelkit.collect.clockanswers import Changed, Changeover, Clocks, Kept, Move, Policy, Transition
from otelkit.collect.impact import SHOWN
from otelkit.collect.lease import shard_name

T = TypeVar("T")


def merged(told: Mapping[int, Clocks]) -> Clocks:
    """Of all shards; orders that are named are those of the first of them."""
    return Clocks(
        policies=_policies(told.values()),
        outdated=sum(one.outdated for one in told.values()),
        changeover=_changeover(told),
    )


def _policies(told: Iterable[Clocks]) -> list[Policy]:
    every = chain.from_iterable(one.policies for one in told)
    return [
        replace(
            same[0],
            orders=sum(one.orders for one in same),
            first=min((one.first for one in same if one.first is not None), default=None),
        )
        for same in _by(every, lambda one: (one.process, one.fingerprint))
    ]


def _changeover(told: Mapping[int, Clocks]) -> Changeover | None:
    works = [one.changeover for one in told.values() if one.changeover is not None]
    if not works:
        return None
    doing = "apply" if any(work.doing == "apply" for work in works) else "plan"
    for shard, one in told.items():
        # A new holder goes on with what was applied, and says nothing of it once that is done.
        if (one.changeover.doing if one.changeover else "apply") != doing:
            raise HTTPException(
                409, f"shard {shard_name(shard)} went to another collector meanwhile; begin anew"
            )
    objectives = chain.from_iterable(work.objectives for work in works)
    return replace(
        works[0],
        finished=all(work.finished for work in works),
        reached=sum(work.reached for work in works),
        last=sum(work.last for work in works),
        orders=sum(work.orders for work in works),
        changed=sum(work.changed for work in works),
        kept=_kept(chain.from_iterable(work.kept for work in works)),
        objectives=[_changed(same) for same in _by(objectives, lambda one: one.objective)],
    )


def _kept(every: Iterable[Kept]) -> list[Kept]:
    return [
        replace(same[0], count=sum(one.count for one in same), orders=_named(same))
        for same in _by(every, lambda one: one.reason)
    ]


def _changed(same: Sequence[Changed]) -> Changed:
    every = chain.from_iterable(one.transitions for one in same)
    transitions = [
        replace(alike[0], count=sum(one.count for one in alike), orders=_named(alike))
        for alike in _by(every, lambda one: (one.before, one.after))
    ]
    transitions.sort(key=lambda one: (-one.count, str(one.before), str(one.after)))
    return Changed(
        same[0].objective,
        transitions,
        earlier=_move([one.earlier for one in same]),
        later=_move([one.later for one in same]),
        unchanged=sum(one.unchanged for one in same),
    )


def _move(moves: Sequence[Move]) -> Move:
    """The median is that of the shards' medians, each as often as it has clocks."""
    count = sum(move.count for move in moves)
    seen = 0
    for move in sorted(moves, key=lambda one: one.median_seconds):
        seen += move.count
        if 2 * seen >= count and move.count:
            return Move(count, move.median_seconds)
    return Move(0, 0)


def _named(same: Sequence[Kept] | Sequence[Transition]) -> list[str]:
    return [order for one in same for order in one.orders][:SHOWN]


def _by(every: Iterable[T], key: Callable[[T], object]) -> list[list[T]]:
    found: dict[object, list[T]] = {}
    for one in every:
        found.setdefault(key(one), []).append(one)
    return list(found.values())
