"""An SLA file as frozen dataclasses: what ``otelkit.spec`` yields and everything else reads.

Shares are exact decimals between 0 and 1, durations :class:`~datetime.timedelta`. All references
are resolved: a name that stands in a field here exists, and every objective has an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum


@dataclass(frozen=True, slots=True)
class Links:
    """Where alerts point. ``runbook`` may hold ``{alert}``; both are absent when None."""

    grafana: str | None = None
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A team and its Alertmanager receivers by severity."""

    name: str
    page: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours of a place.

    ``hours[w]`` are the open intervals of weekday ``w`` (0 is Monday) in minutes after local
    midnight, sorted and disjoint; an end of 1440 is midnight. ``holidays`` is an ISO 3166 country
    code, or None; ``closed`` are further closed days.
    """

    name: str
    timezone: str
    hours: tuple[tuple[tuple[int, int], ...], ...]
    holidays: str | None = None
    closed: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class HttpMetrics:
    """The names under which a service exposes its HTTP request histogram."""

    duration: str
    status: str
    route: str


@dataclass(frozen=True, slots=True)
class Service:
    """A process that is scraped. ``match`` are the label matchers that select its series.

    ``foreign`` is true where otelkit does not instrument it, so its buckets are not known here.
    """

    name: str
    owner: str
    match: Mapping[str, str]
    http: HttpMetrics
    foreign: bool


@dataclass(frozen=True, slots=True)
class Process:
    """The statuses of an order. ``tiers`` is never empty; the last is the default."""

    name: str
    owner: str
    stages: tuple[str, ...]
    optional: frozenset[str]
    done: tuple[str, ...]
    cancelled: tuple[str, ...]
    paused: tuple[str, ...]
    tiers: tuple[str, ...]

    @property
    def default_tier(self) -> str:
        return self.tiers[-1]

    @property
    def statuses(self) -> frozenset[str]:
        """Every status that an event may carry."""
        return frozenset(self.stages) | {*self.done, *self.cancelled, *self.paused}


@dataclass(frozen=True, slots=True)
class Queue:
    """A dead-letter queue that the collector watches."""

    name: str
    owner: str


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
class NewBreaches:
    """So many new breaches within so long."""

    count: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Objective:
    """What all objectives have: a name unique in the file, and a team that answers for it."""

    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class BudgetObjective(Objective):
    """An objective with an error budget: ``target`` is a share in (0, 1), ``window`` its period."""

    target: Decimal
    window: timedelta


@dataclass(frozen=True, slots=True)
class Availability(BudgetObjective):
    """Requests that are not answered with a 5xx status."""

    service: Service


@dataclass(frozen=True, slots=True)
class Latency(BudgetObjective):
    """Requests answered within ``below`` seconds, a bucket bound of the service's histogram."""

    service: Service
    below: Decimal


@dataclass(frozen=True, slots=True)
class Selectors(BudgetObjective):
    """Any two counters as PromQL instant selectors, ``good`` counting a part of ``total``."""

    good: str
    total: str


@dataclass(frozen=True, slots=True)
class Clock(BudgetObjective):
    """A deadline for orders.

    A clock starts when an order reaches the status ``starts``. It stops at ``stops``; where that
    is None it is a clock on the stage ``starts`` alone and stops when the order leaves it.
    ``within`` is searched in order, the first allowance that matches holds; its last one matches
    every order. ``at_risk`` is the share of the allowance left at which an order is at risk.
    """

    process: Process
    starts: str
    stops: str | None
    calendar: Calendar | None
    within: tuple[Allowance, ...]
    at_risk: Decimal | None = None
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


@dataclass(frozen=True, slots=True)
class Sla:
    """A whole SLA file. Mappings keep the order of the file."""

    system: str
    links: Links
    labels: Mapping[str, str]
    owners: Mapping[str, Owner]
    calendars: Mapping[str, Calendar]
    services: Mapping[str, Service]
    processes: Mapping[str, Process]
    queues: Mapping[str, Queue]
    objectives: tuple[Objective, ...]

    @property
    def clocks(self) -> tuple[Clock, ...]:
        return tuple(o for o in self.objectives if isinstance(o, Clock))

    @property
    def queue_limits(self) -> tuple[QueueLimit, ...]:
        return tuple(o for o in self.objectives if isinstance(o, QueueLimit))

    @property
    def budgets(self) -> tuple[BudgetObjective, ...]:
        return tuple(o for o in self.objectives if isinstance(o, BudgetObjective))
