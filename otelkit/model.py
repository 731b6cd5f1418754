"""An SLA file as frozen dataclasses: what ``otelkit.spec`` yields and everything else reads.

Shares are exact decimals between 0 and 1, durations :class:`~datetime.timedelta`. All references
are resolved: a name that stands in a field here exists, and every objective has an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum

from otelkit import names


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


Hours = tuple[tuple[int, int], ...]
"""The open intervals of a day in minutes after local midnight, sorted and disjoint; an end of 1440
is midnight."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours of a place.

    ``hours[w]`` are those of weekday ``w`` (0 is Monday). ``holidays`` is the ISO 3166 code of a
    country (``DE``) or of a part of it (``DE-BY``), or None; ``closed`` are further closed days,
    and ``opened`` the days that have hours of their own, whatever else is said of them.
    """

    name: str
    timezone: str
    hours: tuple[Hours, ...]
    holidays: str | None = None
    closed: frozenset[date] = frozenset()
    opened: Mapping[date, Hours] = field(default_factory=dict)


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
class Window:
    """The period of a budget.

    A rolling one is ``length`` long. A calendar's (``week``, ``month`` or ``quarter``) begins anew
    at midnight UTC of its first day; ``length`` is then what alerts reckon with.
    """

    length: timedelta
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetShare:
    """So much of a budget spent within so long: ``share`` in (0, 1), ``within`` a long window."""

    share: Decimal
    within: timedelta


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When a budget alerts: any of the shares does. An empty tuple switches a severity off."""

    page: tuple[BudgetShare, ...]
    ticket: tuple[BudgetShare, ...]
    min_bad_events: int = 2


DEFAULT_POLICY = AlertPolicy(
    page=(
        BudgetShare(Decimal("0.02"), timedelta(hours=1)),
        BudgetShare(Decimal("0.05"), timedelta(hours=6)),
    ),
    ticket=(BudgetShare(Decimal("0.1"), timedelta(days=3)),),
)
"""Google SRE Workbook, chapter "Alerting on SLOs", table 5-8."""


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
class Environment:
    """Where the same services run once more.

    ``match`` selects its series. Pages of an environment whose ``page_as`` is ``ticket`` are
    tickets there. ``objectives`` are those in force, with what the environment overrides.
    """

    name: str
    match: Mapping[str, str]
    page_as: str
    objectives: tuple[Objective, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """The release policy: none while an objective has less than so much of its budget left."""

    freeze_below: Decimal


@dataclass(frozen=True, slots=True)
class Sla:
    """A whole SLA file. Mappings keep the order of the file.

    ``objectives`` are as the file says them, or as they are in ``environment`` where the SLA was
    narrowed to one.
    """

    system: str
    links: Links
    labels: Mapping[str, str]
    owners: Mapping[str, Owner]
    calendars: Mapping[str, Calendar]
    services: Mapping[str, Service]
    processes: Mapping[str, Process]
    queues: Mapping[str, Queue]
    objectives: tuple[Objective, ...]
    environments: tuple[Environment, ...] = ()
    """Those that the file names."""
    release: Release | None = None
    environment: Environment | None = None
    """The one this SLA was narrowed to by :meth:`in_environments`."""

    def in_environments(self) -> tuple[Sla, ...]:
        """The SLA of each environment; of one that matches everything where the file has none."""
        anywhere = Environment(names.DEFAULT_ENVIRONMENT, {}, names.SEVERITY_PAGE, self.objectives)
        return tuple(
            replace(self, environment=one, objectives=one.objectives)
            for one in self.environments or (anywhere,)
        )

    @property
    def clocks(self) -> tuple[Clock, ...]:
        return tuple(o for o in self.objectives if isinstance(o, Clock))

    @property
    def queue_limits(self) -> tuple[QueueLimit, ...]:
        return tuple(o for o in self.objectives if isinstance(o, QueueLimit))

    @property
    def budgets(self) -> tuple[BudgetObjective, ...]:
        return tuple(o for o in self.objectives if isinstance(o, BudgetObjective))
