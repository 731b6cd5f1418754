"""Objectives by their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from otelkit.model.alerting import DEFAULT_POLICY, AlertPolicy, NewBreaches
from otelkit.model.parts import Calendar, Process, Queue, Service


class Unit(Enum):
    """What an allowance counts."""

    ELAPSED = "elapsed"
    """Wall-clock seconds."""
    OPEN = "open"
    """Seconds in which the objective's calendar is open."""
    OPEN_DAYS = "open_days"
    """Days on which the objective's calendar opens at all."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The time that a clock allows to the orders it matches; ``amount`` is in ``unit``.

    ``tier`` and ``partner`` match any order when None. ``agreement`` is the metric label under
    which its outcomes count, ``default`` unless the file names one.
    """

    amount: int
    unit: Unit
    tier: str | None = None
    partner: str | None = None
    agreement: str = "default"


@dataclass(frozen=True, slots=True)
class Learned:
    """A clock is at risk once it has taken longer than the share ``slower_than`` of the clocks of
    its tier that ended before it.

    That takes ``samples`` of them; until then an order is at risk with the share ``until_then`` of
    its allowance left, or never.
    """

    slower_than: Decimal
    samples: int
    until_then: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The period of a budget.

    A rolling one is ``length`` long. A calendar's (``week``, ``month`` or ``quarter``) begins anew
    at midnight UTC of its first day; ``length`` is then what alerts reckon with.
    """

    length: timedelta
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Time from ``start`` to ``end``, both aware, in which events count neither good nor bad."""

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Objective:
    """What all objectives have: a name unique in the file, and a team that answers for it."""

    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class BudgetObjective(Objective):
    """An objective with an error budget: ``target`` is a share in (0, 1), ``window`` its period.

    Each combination of the labels ``by`` has a budget of its own. Events count only outside of
    the times in ``exclude``, and only while the calendar ``during`` is open, if there is one.
    """

    target: Decimal
    window: Window
    policy: AlertPolicy = field(default=DEFAULT_POLICY, kw_only=True)
    by: tuple[str, ...] = field(default=(), kw_only=True)
    exclude: tuple[Exclusion, ...] = field(default=(), kw_only=True)
    during: Calendar | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Availability(BudgetObjective):
    """Requests that are not answered with a 5xx status."""

    service: Service


@dataclass(frozen=True, slots=True)
class Latency(BudgetObjective):
    """Requests answered within ``below`` seconds.

    That is a bucket bound of the service's histogram, unless the histogram is ``native``.
    """

    service: Service
    below: Decimal
    native: bool = False


@dataclass(frozen=True, slots=True)
class Selectors(BudgetObjective):
    """Two counters as PromQL instant selectors; the third of them is None and follows."""

    good: str | None
    bad: str | None
    total: str | None


@dataclass(frozen=True, slots=True)
class Query(BudgetObjective):
    """A PromQL expression that yields the share of good, 0 to 1. Each minute is one event."""

    query: str


@dataclass(frozen=True, slots=True)
class Clock(BudgetObjective):
    """A deadline for orders.

    A clock starts when an order reaches the status ``starts``. It stops at ``stops``; where that
    is None it is a clock on the stage ``starts`` alone and stops when the order leaves it.
    ``within`` is searched in order, the first allowance that matches holds; its last one matches
    every order. ``at_risk`` is the share of the allowance left at which an order is at risk, unless
    that is learned.
    """

    process: Process
    starts: str
    stops: str | None
    calendar: Calendar | None
    within: tuple[Allowance, ...]
    at_risk: Decimal | Learned | None = None
    overdue: Mapping[str, NewBreaches] = field(default_factory=dict)
    """Thresholds of ``OrdersOverdue`` by severity (``page``, ``ticket``)."""

    def allowance(self, tier: str, partner: str | None) -> Allowance:
        """The first allowance that matches an order."""
        for allowance in self.within:
            if allowance.tier in (None, tier) and allowance.partner in (None, partner):
                return allowance
        raise AssertionError(f"the last allowance of {self.name} matches every order")

    def agreements(self, tier: str) -> tuple[str, ...]:
        """The agreements under which orders of a tier can be counted, without repeats."""
        matching = (a.agreement for a in self.within if a.tier in (None, tier))
        return tuple(dict.fromkeys(matching))

    def stages(self) -> tuple[str, ...]:
        """The stages in which this clock can run, in the order of the process."""
        stages = self.process.stages
        if self.stops is None:
            return (self.starts,)
        last = stages.index(self.stops) if self.stops in stages else len(stages)
        return stages[stages.index(self.starts) : last]


@dataclass(frozen=True, slots=True)
class QueueLimit(Objective):
    """Limits of a dead-letter queue: more than ``max_messages``, or one older than ``max_age``."""

    queue: Queue
    max_messages: int | None = None
    max_age: timedelta | None = None
