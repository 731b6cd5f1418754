"""Dead letters on the order flow: how many, how old, and where they came from."""

from __future__ import annotations

from collections.abc import Iterator

from otelkit import names
from otelkit.generate.dashboards import panels
from otelkit.generate.dashboards.panels import Json, prometheus
from otelkit.generate.dashboards.promql import any_of, select
from otelkit.model import Sla


def dead_letters(sla: Sla) -> Iterator[Json]:
    """A row of panels; none where the file names no queue."""
    if sla.queues:
        yield panels.row("Dead letters")
        yield _depth(sla)
        yield _oldest(sla)
        yield _arrivals(sla)


def _watched(sla: Sla) -> str:
    return any_of("queue", sla.queues)


def _depth(sla: Sla) -> Json:
    depth = select(sla, names.DLQ_MESSAGES.name, _watched(sla))
    return panels.timeseries(
        "Messages in dead-letter queues",
        "Messages that no service could process. A gap means that the queue could not be read.",
        [prometheus(f"max by (queue) ({depth})", "{{queue}}")],
        unit="short",
        width=8,
        floor=0,
    )


def _oldest(sla: Sla) -> Json:
    oldest = select(sla, names.DLQ_OLDEST_MESSAGE.name, _watched(sla))
    return panels.stat(
        "Age of the oldest message",
        "How long nobody has taken care of it.",
        [prometheus(f"time() - min by (queue) ({oldest})", "{{queue}}")],
        named=True,
        unit="s",
        width=8,
        limits=panels.thresholds((None, "text"), (1, "red")),
        empty="Empty",
    )


def _arrivals(sla: Sla) -> Json:
    arrivals = select(sla, names.DLQ_ARRIVALS.name, _watched(sla))
    return panels.bars(
        "Arrivals",
        "Messages that became dead letters, by the queue they came from and why.",
        [
            prometheus(
                f"sum by (source_queue, reason) (increase({arrivals}[$__rate_interval]))",
                "from {{source_queue}}: {{reason}}",
            )
        ],
        unit="short",
        width=8,
        floor=0,
    )
