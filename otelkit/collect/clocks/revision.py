"""What becomes of an order when its clocks follow another SLA file. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from otelkit.collect.clocks.clock import replay
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.standing import POLICY
from otelkit.collect.clocks.state import State, is_whole
from otelkit.collect.clocks.tallies import Tallies


class Revision(NamedTuple):
    """An order of a number before and after; where ``new`` is None, ``kept`` says why it stays."""

    number: int
    old: State
    new: State | None
    kept: str = ""


def is_outdated(policies: Mapping[str, Policy], state: State) -> bool:
    """Whether an open order's clocks do not all follow the policy that its process has here."""
    policy = policies.get(state.process)
    return state.open and (policy is None or state.policy != policy.fingerprint)


def outdated(policies: Mapping[str, Policy], tallies: Tallies) -> dict[str, int]:
    """How many orders that is, by process; those of ``policies`` with 0, too."""
    found = dict.fromkeys(policies, 0)
    for key, count in tallies.items():
        if key[0] == POLICY:
            _, process, fingerprint = key
            policy = policies.get(process)
            follows = policy is not None and policy.fingerprint == fingerprint
            found[process] = found.get(process, 0) + (0 if follows else int(count))
    return found


def revise(
    policies: Mapping[str, Policy], number: int, old: State, events: Sequence[Event]
) -> Revision:
    """An open order as it would be had all its events come under these policies.

    An order stays as it is where they cannot tell its deadlines. A status that they do not know is
    passed over if the order has gone on since.
    """
    policy = policies.get(old.process)
    if policy is None:
        return Revision(number, old, None, f"process {old.process!r} is not in the SLA file")
    kept = _unknown(policy, old, events)
    if kept:
        return Revision(number, old, None, kept)
    try:
        new = replay(policy, events)
    except ValueError as error:  # a calendar has no deadline to give, say
        return Revision(number, old, None, str(error))
    return Revision(number, old, replace(new, log=old.log, seen=old.seen))


def _unknown(policy: Policy, old: State, events: Sequence[Event]) -> str:
    """What is not known of an order that has to be, or nothing."""
    if old.status not in policy.statuses:
        return f"status {old.status!r} is not in the SLA file"
    tiers = {old.tier, *(e.tier for e in events if e.tier is not None)}
    for tier in sorted(tiers.difference(policy.process.tiers)):
        return f"tier {tier!r} is not in the SLA file"
    return "" if is_whole(old, events) else "its timeline is not whole"
