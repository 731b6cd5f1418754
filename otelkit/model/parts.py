"""What objectives are about, and who answers for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


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
