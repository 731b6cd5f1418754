"""Grafana dashboards of an SLA file, as the JSON that Grafana reads."""

from __future__ import annotations

from otelkit import names
from otelkit.generate.dashboards.flow import flow
from otelkit.generate.dashboards.journey import journey
from otelkit.generate.dashboards.overview import overview
from otelkit.generate.dashboards.panels import Json
from otelkit.generate.dashboards.service import services
from otelkit.generate.scope import dashboard_name
from otelkit.model import Sla


def dashboards(sla: Sla) -> dict[str, Json]:
    """Every dashboard of an environment by its file name.

    Those about orders are there only where there are processes.
    """
    found = {names.DASHBOARD_OVERVIEW: overview(sla)}
    if sla.processes:
        found[names.DASHBOARD_FLOW] = flow(sla)
        found[names.DASHBOARD_JOURNEY] = journey(sla)
    found |= services(sla)
    return {f"{dashboard_name(sla, name)}.json": dashboard for name, dashboard in found.items()}
