"""Grafana dashboards of an SLA file, as the JSON that Grafana reads."""

from __future__ import annotations

from otelkit import names
from otelkit.generate.dashboards.overview import overview
from otelkit.generate.dashboards.panels import Json
from otelkit.model import Sla


def dashboards(sla: Sla) -> dict[str, Json]:
    """Every dashboard by its file name."""
    return {f"{sla.system}-{names.DASHBOARD_OVERVIEW}.json": overview(sla)}
