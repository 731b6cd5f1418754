"""The collectors of a registry, each asked on its own: one that fails costs its own families."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

log = logging.getLogger("otelkit")

Encode = Callable[[Collector], bytes]
"""Writes all families of a collector or registry in a text format."""


class Collectors:
    """Those of a registry, as it is at each scrape.

    ``failed`` hears of every failure; the log has one sentence for each collector that ever fails.
    """

    def __init__(self, registry: CollectorRegistry, failed: Callable[[], object]) -> None:
        self._registry = registry
        self._failed = failed
        self._said: set[str] = set()

    def guarded(self, encode: Encode) -> CollectorRegistry:
        """A registry of the same collectors for one scrape, whose ``collect`` raises nothing.

        What it yields can be written with ``encode``: a family whose values are no numbers, or
        that its collector has not finished, is left out with the others of that collector.
        """
        asked = self._registry
        made = CollectorRegistry(target_info=asked.get_target_info())
        nameless = getattr(asked, "_support_collectors_without_names", False)  # since 0.25
        made._support_collectors_without_names = nameless
        with asked._lock:
            known = dict(asked._collector_to_names)
        for collector, names in known.items():
            made.register(_Guarded(collector, names, encode, self._say))
        return made

    def _say(self, who: str, error: Exception) -> None:
        self._failed()
        if who not in self._said:
            self._said.add(who)
            why = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
            log.error("/metrics goes on without the collector %s, which failed: %s", who, why)


class _Guarded(Collector):
    """A collector that yields all of its families or none."""

    def __init__(
        self,
        collector: Collector,
        names: list[str],
        encode: Encode,
        failed: Callable[[str, Exception], object],
    ) -> None:
        self._collector = collector
        self._names = names
        self._encode = encode
        self._failed = failed

    def describe(self) -> Iterator[Metric]:
        """The names that its registry knows it by: it is not asked again."""
        return (Metric(name, "", "unknown") for name in self._names)

    def collect(self) -> Iterable[Metric]:
        try:
            families = list(self._collector.collect())
            # prometheus_client's own metrics refuse a wrong value when it is set.
            if not isinstance(self._collector, MetricWrapperBase):
                for family in families:
                    self._try(family)
        except Exception as error:
            kind = type(self._collector)
            known = f" ({self._names[0]})" if self._names else ""
            self._failed(f"{kind.__module__}.{kind.__qualname__}{known}", error)
            return ()
        return families

    def _try(self, family: Metric) -> None:
        try:
            self._encode(_Collected([family]))
            for sample in family.samples:
                if sample.native_histogram is None:
                    float(sample.value)  # OpenMetrics' encoder writes nothing for None
        except Exception as error:  # it holds all that the family holds
            why, name = error.args[0], getattr(family, "name", family)
            raise ValueError(f"{name} cannot be written: {why}") from error


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
