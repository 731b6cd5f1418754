"""``/metrics`` of the collector: fresh families on every scrape, from one snapshot of memory.

Every combination that the SLA file makes possible is there from the start at 0, so that the first
breach is an increase. What is not known is an absent sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from otelkit import names
from otelkit.collect.api.orders import Deadlines, Orders
from otelkit.collect.clocks.ages import AGE_BUCKETS, Aged
from otelkit.collect.clocks.revision import outdated
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import OUTCOMES
from otelkit.collect.sources import rabbitmq
from otelkit.collect.sources.conditions import Condition
from otelkit.collect.sources.deadletters import Reading
from otelkit.model import Clock, Sla

HTTP: Final = "http"
"""The source name of events that are posted."""
ALONE: Final = "0"
"""The shard of a collector that shares its orders with no other."""

Family = CounterMetricFamily | GaugeMetricFamily
Labels = tuple[str, ...]


class Exposition(Collector):
    """The contract's metrics. ``readings`` gives the dead-letter queues that can be read now."""

    def __init__(
        self,
        engine: Engine,
        orders: Orders,
        readings: Callable[[], Mapping[str, Reading]],
        clock: Callable[[], float],
        databases: Sequence[str] = (),
        shard: str = ALONE,
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._readings = readings
        self._clock = clock
        self._event_sources = (rabbitmq.NAME, HTTP, *databases)
        self._shard = shard

    @property
    def _sla(self) -> Sla:
        return self._engine.terms.sla

    def describe(self) -> Iterable[Family]:
        """Nothing, so that a registry does not scrape on registration."""
        return ()

    def collect(self) -> Iterator[Family | HistogramMetricFamily | GaugeHistogramMetricFamily]:
        seen = self._orders.seen(self._clock())
        tallies = self._engine.tallies()
        places = list(self._places())
        for metric in (names.ORDERS_OPEN, names.ORDERS_PAUSED):
            yield self._from_tallies(metric, places, tallies)
        clocks = list(self._clock_places())
        yield self._overdue(clocks, tallies, seen.acknowledged)
        yield self._from_tallies(names.ORDERS_AT_RISK, clocks, tallies)
        yield self._ages(places)
        yield self._durations(places, tallies)
        yield self._from_tallies(names.ORDER_CLOCKS, self._outcomes(), tallies)
        yield self._from_tallies(names.ORDER_CLOCK_CORRECTIONS, self._corrections(), tallies)
        yield from self._deadlines(seen.deadlines)
        behind = outdated(self._engine.policies, tallies)
        yield self._family(names.ORDERS_OUTDATED, (((name,), n) for name, n in behind.items()))
        possible = product(self._event_sources, OUTCOMES)
        yield self._from_tallies(names.ORDER_EVENTS, possible, tallies)
        yield from self._queues(tallies)
        yield from self._own()

    # --- what the SLA file makes possible --------------------------------------------------

    def _places(self) -> Iterator[Labels]:
        for process in self._sla.processes.values():
            yield from product((process.name,), process.stages, process.tiers)

    def _clock_places(self) -> Iterator[Labels]:
        for clock in self._sla.clocks:
            yield from product((clock.name,), clock.stages(), clock.process.tiers)

    def _outcomes(self) -> Iterator[Labels]:
        for clock, tier in self._clock_tiers():
            yield from product((clock.name,), (tier,), clock.agreements(tier), names.CLOCK_OUTCOMES)

    def _corrections(self) -> Iterator[Labels]:
        for clock, tier in self._clock_tiers():
            for before, after in product(names.CLOCK_OUTCOMES, repeat=2):
                if before != after:
                    yield clock.name, tier, before, after

    def _clock_tiers(self) -> Iterator[tuple[Clock, str]]:
        for clock in self._sla.clocks:
            yield from ((clock, tier) for tier in clock.process.tiers)

    # --- families --------------------------------------------------------------------------

    def _family(self, metric: names.Metric, samples: Iterable[tuple[Labels, float]]) -> Family:
        return _family(self._sla.system, metric, samples)

    def _from_tallies(
        self, metric: names.Metric, possible: Iterable[Labels], tallies: Tallies
    ) -> Family:
        """All that is possible, and what was counted besides: under an SLA file of before, say."""
        counted = (key[1:] for key in tallies if key[0] == metric.name)
        every = dict.fromkeys((*possible, *counted))
        return self._family(metric, ((labels, tallies[metric.name, *labels]) for labels in every))

    def _overdue(
        self, places: Iterable[Labels], tallies: Tallies, known: Mapping[Labels, int]
    ) -> Family:
        metric = names.ORDERS_OVERDUE
        samples: list[tuple[Labels, float]] = []
        for place in places:
            # A clock may have ended between the two looks.
            acknowledged = min(known.get(place, 0.0), tallies[metric.name, *place])
            samples.append(((*place, "false"), tallies[metric.name, *place] - acknowledged))
            samples.append(((*place, "true"), acknowledged))
        return self._family(metric, samples)

    def _deadlines(self, deadlines: Deadlines) -> Iterator[Family]:
        yield self._family(names.ORDER_EARLIEST_DEADLINE, deadlines.earliest.items())
        yield self._family(names.ORDER_OVERDUE_DEADLINE, deadlines.overdue.items())

    def _ages(self, places: Iterable[Labels]) -> GaugeHistogramMetricFamily:
        metric = names.ORDER_STAGE_AGE
        family = GaugeHistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        none = Aged((0.0,) * (len(AGE_BUCKETS) + 1), 0.0)
        for place, aged in {
            **dict.fromkeys(places, none),
            **self._engine.ages(self._clock()),
        }.items():
            *counts, total = accumulate(aged.buckets)
            buckets = _buckets(AGE_BUCKETS, counts, total)
            family.add_metric((self._sla.system, *place), buckets, aged.seconds)
        return family

    def _durations(self, places: Iterable[Labels], tallies: Tallies) -> HistogramMetricFamily:
        metric = names.ORDER_STAGE_DURATION
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for place in places:
            counts, total = [], 0.0
            for bound in names.STAGE_BUCKETS:
                total += tallies[metric.name, *place, str(bound)]
                counts.append(total)
            total += tallies[metric.name, *place, str(float("inf"))]
            family.add_metric(
                (self._sla.system, *place),
                _buckets(names.STAGE_BUCKETS, counts, total),
                tallies[metric.name, *place, "sum"],
            )
        return family

    def _queues(self, tallies: Tallies) -> Iterator[Family]:
        readings = self._readings()
        yield self._family(
            names.DLQ_MESSAGES, (((queue,), at.depth) for queue, at in readings.items())
        )
        yield self._family(
            names.DLQ_OLDEST_MESSAGE,
            (((queue,), at.oldest) for queue, at in readings.items() if at.oldest is not None),
        )
        yield self._from_tallies(names.DLQ_ARRIVALS, (), tallies)

    def _own(self) -> Iterator[Family]:
        now, calendars = self._clock(), self._engine.terms.calendars
        yield self._family(
            names.CALENDAR_OPEN,
            (((name,), calendar.is_open(now)) for name, calendar in calendars.items()),
        )
        ticked = self._engine.ticked
        samples = () if ticked is None else (((self._shard,), ticked),)
        yield self._family(names.COLLECTOR_TICK, samples)
        drift = self._engine.drift
        yield self._family(names.COLLECTOR_DRIFT, () if drift is None else (((), drift),))


class ProcessExposition(Collector):
    """What is the process's own, however many shards it works on.

    ``refused`` are requests by the status of the answer, ``conditions`` those of sources.
    """

    def __init__(
        self,
        system: str,
        conditions: Callable[[], Mapping[str, Condition]],
        refused: Mapping[int, int],
    ) -> None:
        self._system = system
        self._conditions = conditions
        self._refused = refused

    def describe(self) -> Iterable[Family]:
        """Nothing, so that a registry does not scrape on registration."""
        return ()

    def collect(self) -> Iterator[Family]:
        refused = dict(self._refused).items()
        counts = (((str(status),), count) for status, count in refused)
        yield _family(self._system, names.COLLECTOR_REFUSED, counts)
        conditions = self._conditions().items()
        up = (((name,), found.up) for name, found in conditions)
        yield _family(self._system, names.SOURCE_UP, up)


def _family(system: str, metric: names.Metric, samples: Iterable[tuple[Labels, float]]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric((system, *labels), value)
    return family


def _buckets(
    bounds: Iterable[float], counts: Iterable[float], total: float
) -> list[tuple[str, float]]:
    """Cumulative buckets as client libraries write them, ``+Inf`` last."""
    pairs = zip(bounds, counts, strict=True)
    return [*((str(bound), count) for bound, count in pairs), ("+Inf", total)]
