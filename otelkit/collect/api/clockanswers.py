"""What the API answers about another SLA file, as types."""

from __future__ import annotations

import msgspec

from otelkit.collect.api.answers import instant
from otelkit.collect.clocks import impact
from otelkit.collect.clocks.standing import Standing
from otelkit.collect.engine import changeover as changing
from otelkit.collect.engine.changeover import Doing


class Policy(msgspec.Struct, frozen=True):
    """What the clocks of so many open orders follow, and since when it is known.

    Orders of no fingerprint follow more than one policy, or came before there were fingerprints.
    """

    process: str
    fingerprint: str | None
    first: str | None
    in_force: bool
    orders: int


class Transition(msgspec.Struct, frozen=True):
    """Clocks that come from one state to another; from none if they start, to none if they go."""

    before: Standing | None
    after: Standing | None
    count: int
    orders: list[str]


class Move(msgspec.Struct, frozen=True):
    """Clocks whose deadline moves, or what is left of them while they are paused."""

    count: int
    median_seconds: int


class Changed(msgspec.Struct, frozen=True):
    """The clocks of an objective. Those that are ``unchanged`` keep their state and deadline."""

    objective: str
    transitions: list[Transition]
    earlier: Move
    later: Move
    unchanged: int


class Kept(msgspec.Struct, frozen=True):
    """Orders that stay as they are, since the new SLA file cannot tell their deadlines."""

    reason: str
    count: int
    orders: list[str]


class Changeover(msgspec.Struct, frozen=True):
    """A plan or its application. ``reached`` of ``last`` orders were looked at; of those that did
    not follow the SLA file, ``orders`` in number, some change."""

    doing: Doing
    finished: bool
    reached: int
    last: int
    orders: int
    changed: int
    kept: list[Kept]
    objectives: list[Changed]


class Clocks(msgspec.Struct, frozen=True):
    """Policies with orders, and those in force; how many open orders do not follow those; what is
    under way or was done last."""

    policies: list[Policy]
    outdated: int
    changeover: Changeover | None


# --- from what the collector knows ---------------------------------------------------------


def clocks(changeover: changing.Changeover) -> Clocks:
    """Which policies clocks follow, and how far a change has come."""
    work = changeover.work
    policies = [
        Policy(
            one.process,
            one.fingerprint or None,
            None if one.first is None else instant(one.first),
            one.in_force,
            one.orders,
        )
        for one in changeover.policies()
    ]
    outdated = sum(changeover.outdated().values())
    return Clocks(policies, outdated, None if work is None else _changeover(work))


def _changeover(work: changing.Work) -> Changeover:
    impact = work.impact
    return Changeover(
        doing=work.doing,
        finished=work.finished,
        reached=work.reached,
        last=work.last,
        orders=impact.orders,
        changed=impact.changed,
        kept=[Kept(why, one.count, one.orders) for why, one in sorted(impact.kept.items())],
        objectives=[_changed(name, own) for name, own in sorted(impact.clocks.items())],
    )


def _changed(objective: str, own: impact.Clocks) -> Changed:
    transitions = [
        Transition(before, after, sample.count, sample.orders)
        for (before, after), sample in own.transitions.items()
    ]
    transitions.sort(key=lambda one: (-one.count, str(one.before), str(one.after)))
    earlier, later = (Move(*own.median_move(sign)) for sign in (-1, 1))
    return Changed(objective, transitions, earlier, later, own.unchanged)
