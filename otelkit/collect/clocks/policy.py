"""The terms of a process: its stages and clocks, with the business time of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from otelkit.calendars import ALWAYS, BusinessTime
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.learned import NOTHING_LEARNED, Percentiles
from otelkit.errors import EventError
from otelkit.model import Clock, Learned, Process


@dataclass(frozen=True)
class Policy:
    """A process with its clocks and the business time of each.

    Policies with the same ``fingerprint`` give every order the same clocks.
    """

    process: Process
    clocks: tuple[Clock, ...]
    times: Mapping[str, BusinessTime]
    fingerprint: str = ""
    percentiles: Percentiles = NOTHING_LEARNED

    @cached_property
    def clock(self) -> Mapping[str, Clock]:
        """Its clocks by name."""
        return {clock.name: clock for clock in self.clocks}

    @cached_property
    def rank(self) -> Mapping[str, int]:
        """The place of each stage in the order of the process."""
        return {stage: n for n, stage in enumerate(self.process.stages)}

    @cached_property
    def starting(self) -> Mapping[str, tuple[Clock, ...]]:
        """By stage, the clocks that start when an order comes to it."""
        stages = {clock.name: clock.stages() for clock in self.clocks}
        return {
            stage: tuple(clock for clock in self.clocks if stage in stages[clock.name])
            for stage in self.process.stages
        }

    @cached_property
    def ending(self) -> Mapping[str, frozenset[str]]:
        """By stage, the names of the clocks that end when an order comes to it."""
        return {
            stage: frozenset(
                clock.name
                for clock in self.clocks
                if clock.stops is None or self.rank.get(clock.stops, len(self.rank)) <= rank
            )
            for stage, rank in self.rank.items()
        }

    @cached_property
    def statuses(self) -> frozenset[str]:
        """Every status that an event may carry."""
        return frozenset(self.process.statuses)

    @cached_property
    def learning(self) -> frozenset[str]:
        """The objectives that are at risk by what clocks took before."""
        return frozenset(c.name for c in self.clocks if isinstance(c.at_risk, Learned))

    def check(self, event: Event) -> None:
        """Raises :class:`EventError` for a status or tier that the SLA file does not know.

        An unknown tier is refused rather than taken for the default one: its orders would get a
        deadline that nobody agreed on.
        """
        if event.status not in self.statuses:
            raise EventError(
                f"process {self.process.name!r} has no status {event.status!r}; "
                "add it to the SLA file or send another"
            )
        if event.tier is not None and event.tier not in self.process.tiers:
            raise EventError(
                f"process {self.process.name!r} has no tier {event.tier!r}; "
                "add it to the SLA file or send another"
            )

    def time_of(self, objective: str, *, business: bool) -> BusinessTime:
        """The time that a clock counts."""
        return self.times[objective] if business else ALWAYS
