"""An SLA file as the engine reads it: for each process a policy, and what it is told by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

import msgspec

from otelkit import calendars
from otelkit.calendars import ALWAYS, BusinessTime
from otelkit.collect.clocks.learned import Percentiles
from otelkit.collect.clocks.policy import Policy
from otelkit.model import Allowance, Calendar, Clock, Learned, Process, Sla

_HOLIDAYS: Final = range(2000, 2051)
"""Years whose holidays belong to a calendar's version. Always the same, so that no New Year's Eve
makes another version of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A policy of a process, all that it is made of as JSON, and when it was first in force."""

    fingerprint: str
    process: str
    terms: str
    first: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What the processes of an SLA file ask of orders, by process and by calendar."""

    sla: Sla
    policies: Mapping[str, Policy]
    calendars: Mapping[str, BusinessTime]
    texts: Mapping[str, str]
    """By fingerprint all that the policy is made of, as JSON."""

    def learning_from(self, percentiles: Percentiles) -> Terms:
        """The same, by what clocks took before."""
        own = {name: replace(p, percentiles=percentiles) for name, p in self.policies.items()}
        return replace(self, policies=own)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives that are order clocks."""
        return tuple(clock.name for p in self.policies.values() for clock in p.clocks)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of all processes."""
        stages = (stage for p in self.policies.values() for stage in p.process.stages)
        return tuple(dict.fromkeys(stages))

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers of all processes."""
        tiers = (tier for p in self.policies.values() for tier in p.process.tiers)
        return tuple(dict.fromkeys(tiers))

    @property
    def rules(self) -> list[tuple[str, float, int]]:
        """Objectives that learn: of what share, and of how many clocks."""
        return [
            (clock.name, float(clock.at_risk.slower_than), clock.at_risk.samples)
            for clock in self.sla.clocks
            if isinstance(clock.at_risk, Learned)
        ]

    def known(self, at: float) -> list[Known]:
        """The policies as they are remembered, first in force at that time."""
        return [
            Known(own.fingerprint, name, self.texts[own.fingerprint], at)
            for name, own in self.policies.items()
        ]

    @property
    def fingerprint(self) -> str:
        """Of all policies together."""
        return _hash(f"{name} {own.fingerprint}" for name, own in sorted(self.policies.items()))


def terms(sla: Sla) -> Terms:
    """The processes of an SLA file with their clocks."""
    times = {name: calendars.build(calendar) for name, calendar in sla.calendars.items()}
    found, texts = {}, {}
    for process in sla.processes.values():
        clocks = tuple(clock for clock in sla.clocks if clock.process.name == process.name)
        own = {c.name: times[c.calendar.name] if c.calendar else ALWAYS for c in clocks}
        text = msgspec.json.encode(_described(process, clocks)).decode()
        fingerprint = _hash([text])
        texts[fingerprint] = text
        found[process.name] = Policy(process, clocks, own, fingerprint)
    return Terms(sla, found, times, texts)


def _hash(texts: Iterable[str]) -> str:
    return blake2b("\n".join(texts).encode(), digest_size=6).hexdigest()


# --- what makes a policy -------------------------------------------------------------------
#
# Whatever changes a clock of an order has to stand here, and nothing else. What the text of a
# policy says without need becomes another version of it with another otelkit, so a new key of the
# SLA file stands here only where it is used.


def _described(process: Process, clocks: Iterable[Clock]) -> dict[str, Any]:
    own = {clock.calendar.name: clock.calendar for clock in clocks if clock.calendar}
    return {
        "process": process.name,
        "stages": process.stages,
        "done": sorted(process.done),
        "cancelled": sorted(process.cancelled),
        "paused": sorted(process.paused),
        "reset": sorted(process.reset),
        "tiers": process.tiers,
        "calendars": {name: _calendar(calendar) for name, calendar in sorted(own.items())},
        "clocks": [_clock(clock) for clock in sorted(clocks, key=lambda clock: clock.name)],
    }


def _clock(clock: Clock) -> dict[str, Any]:
    told = {
        "name": clock.name,
        "starts": clock.starts,
        "stops": clock.stops,
        "calendar": None if clock.calendar is None else clock.calendar.name,
        "within": [_allowance(allowance) for allowance in clock.within],
    }
    rule = clock.at_risk
    if isinstance(rule, Learned):
        # Not of how many samples: what was learned once stays.
        told["slower_than"] = _share(rule.slower_than)
        told["at_risk"] = None if rule.until_then is None else _share(rule.until_then)
    elif rule is not None:
        told["at_risk"] = _share(rule)
    return told


def _share(share: Decimal) -> str:
    return str(share.normalize())


def _allowance(allowance: Allowance) -> dict[str, Any]:
    return {
        "amount": allowance.amount,
        "unit": allowance.unit.value,
        "tier": allowance.tier,
        "partner": allowance.partner,
        "agreement": allowance.agreement,
    }


def _calendar(calendar: Calendar) -> dict[str, Any]:
    told = {
        "timezone": calendar.timezone,
        "hours": calendar.hours,
        "closed": sorted(calendar.closed),
        "opened": {str(day): hours for day, hours in sorted(calendar.opened.items())},
    }
    if calendar.holidays is not None:
        # The dates, since they change with the package that knows them.
        dates = calendars.holidays_of(calendar.holidays, _HOLIDAYS)
        told["holidays"] = [calendar.holidays, _hash(map(str, dates))]
    return told
