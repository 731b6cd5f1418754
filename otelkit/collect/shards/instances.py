"""The metrics of several shards on one page, each sample with its shard as ``instance``.

Counters belong to the shard, whichever collector exposes them now: to ``increase()`` a change of
holders is no change. The scrape job has ``honor_labels``, or Prometheus would rename the label.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from copy import copy

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from otelkit.errors import StoreError

log = logging.getLogger(__name__)


class Instances(Collector):
    """``shards`` gives those whose lease holds, at the moment when each is asked for."""

    def __init__(self, shards: Callable[[], Iterator[tuple[str, Collector]]]) -> None:
        self._shards = shards

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that a registry does not scrape on registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for instance, shard in self._shards():
            try:
                families = list(shard.collect())
            except StoreError as error:  # the others can still tell
                log.warning("%s has no metrics now: %s", instance, error)
                continue
            for family in families:
                if family.name not in found:
                    found[family.name] = copy(family)
                    found[family.name].samples = []
                found[family.name].samples += [
                    sample._replace(labels={**sample.labels, "instance": instance})
                    for sample in family.samples
                ]
        return found.values()
