"""What several shards say of another SLA file, put together as if one had all orders."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from msgspec.structs import replace

from otelkit.collect.api.clockanswers import (
    Changed,
    Changeover,
    Clocks,
    Kept,
    Move,
    Policy,
    Transition,
)
from otelkit.collect.clocks.impact import SHOWN

T = TypeVar("T")
S = TypeVar("S", Kept, Transition)


def merged(told: Sequence[Clocks]) -> Clocks:
    """The answer of all shards, of which there is at least one."""
    policies = _grouped(
        (one for each in told for one in each.policies),
        lambda one: (one.process, one.fingerprint),
        _policy,
    )
    outdated = sum(each.outdated for each in told)
    return Clocks(policies, outdated, _changeover([each.changeover for each in told]))


def _changeover(told: Sequence[Changeover | None]) -> Changeover | None:
    """A shard that knows of none was started anew: it has applied all, or plans no more."""
    found = [one for one in told if one is not None]
    doing = {one.doing for one in found}
    if len(doing) != 1 or (doing == {"plan"} and len(found) < len(told)):
        return None
    return Changeover(
        doing=found[0].doing,
        finished=all(one.finished for one in found),
        reached=sum(one.reached for one in found),
        last=sum(one.last for one in found),
        orders=sum(one.orders for one in found),
        changed=sum(one.changed for one in found),
        kept=_grouped((k for one in found for k in one.kept), lambda k: k.reason, _sample),
        objectives=_grouped(
            (c for one in found for c in one.objectives), lambda c: c.objective, _changed
        ),
    )


def _grouped(
    every: Iterable[T], key: Callable[[T], Hashable], merge: Callable[[list[T]], T]
) -> list[T]:
    groups: dict[Any, list[T]] = {}
    for one in every:
        groups.setdefault(key(one), []).append(one)
    return [merge(group) for group in groups.values()]


def _policy(same: list[Policy]) -> Policy:
    first = min((one.first for one in same if one.first is not None), default=None)
    in_force = all(one.in_force for one in same)
    return replace(same[0], first=first, in_force=in_force, orders=sum(p.orders for p in same))


def _sample(same: list[S]) -> S:
    orders = [order for one in same for order in one.orders][:SHOWN]
    return replace(same[0], count=sum(one.count for one in same), orders=orders)


def _changed(same: list[Changed]) -> Changed:
    transitions = _grouped(
        (one for each in same for one in each.transitions),
        lambda one: (one.before, one.after),
        _sample,
    )
    return Changed(
        same[0].objective,
        sorted(transitions, key=lambda one: -one.count),
        _move([each.earlier for each in same]),
        _move([each.later for each in same]),
        sum(each.unchanged for each in same),
    )


def _move(told: list[Move]) -> Move:
    """The median is that of the shards' medians: orders come to shards by chance."""
    moves = sorted(told, key=lambda move: move.median_seconds)
    total = sum(move.count for move in moves)
    for move, upto in zip(moves, accumulate(move.count for move in moves), strict=True):
        if upto and 2 * upto >= total:
            return Move(total, move.median_seconds)
    return Move(0, 0)
