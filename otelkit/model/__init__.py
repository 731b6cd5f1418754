"""An SLA file as frozen dataclasses: what ``otelkit.spec`` yields and everything else reads.

Shares are exact decimals between 0 and 1, durations :class:`~datetime.timedelta`. All references
are resolved: a name that stands in a field here exists, and every objective has an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from otelkit import names
from otelkit.model.alerting import (
    DEFAULT_POLICY,
    AlertPolicy,
    BudgetShare,
    NewBreaches,
)
from otelkit.model.objectives import (
    Allowance,
    Availability,
    BudgetObjective,
    Clock,
    Exclusion,
    Latency,
    Learned,
    Objective,
    Query,
    QueueLimit,
    Selectors,
    Unit,
    Window,
)
from otelkit.model.parts import (
    Calendar,
    Hours,
    HttpMetrics,
    Links,
    Owner,
    Process,
    Queue,
    Service,
)

__all__ = [
    "DEFAULT_POLICY",
    "AlertPolicy",
    "Allowance",
    "Availability",
    "BudgetObjective",
    "BudgetShare",
    "Calendar",
    "Clock",
    "Environment",
    "Exclusion",
    "Hours",
    "HttpMetrics",
    "Latency",
    "Learned",
    "Links",
    "NewBreaches",
    "Objective",
    "Owner",
    "Process",
    "Query",
    "Queue",
    "QueueLimit",
    "Release",
    "Selectors",
    "Service",
    "Sla",
    "Unit",
    "Window",
]


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
