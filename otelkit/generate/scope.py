"""Where generated things belong: to a system, and to one of its environments.

Rules, proofs and dashboards are made from an SLA that was narrowed to one environment. Where the
file names none, that is ``default``, which stands in labels but in no name of a file or group.
"""

from __future__ import annotations

from collections.abc import Mapping

from otelkit import names
from otelkit.model import Sla


def environment_of(sla: Sla) -> str:
    """The environment that rules are written for."""
    return sla.environment.name if sla.environment else names.DEFAULT_ENVIRONMENT


def match_of(sla: Sla) -> Mapping[str, str]:
    """The labels that tell the environment's raw series from those of others."""
    return sla.environment.match if sla.environment else {}


def narrowed(sla: Sla) -> tuple[Sla, ...]:
    """The SLA of each environment; itself, if it is of one already."""
    return (sla,) if sla.environment else sla.in_environments()


def identity(sla: Sla, objective_name: str) -> dict[str, str]:
    """The labels that every series of an objective carries."""
    return {
        "system": sla.system,
        "environment": environment_of(sla),
        "objective": objective_name,
    }


def collected(sla: Sla) -> dict[str, str]:
    """The labels by which the collector's own series are selected."""
    return {"system": sla.system, **match_of(sla)}


def severity_of(sla: Sla, severity: str) -> str:
    """The severity of an alert in this environment: a page may be a ticket there."""
    if sla.environment and severity == names.SEVERITY_PAGE:
        return sla.environment.page_as
    return severity


def stem(sla: Sla, part: str) -> str:
    """The name of a file: ``shop.checkout``, or ``shop.prod.checkout`` in an environment."""
    return ".".join((*_parts(sla), part))


def group_name(sla: Sla, part: str) -> str:
    """The name of the rule group in that file."""
    return f"otelkit.{stem(sla, part)}"


def title(sla: Sla) -> str:
    """The system and its environment, as people read it."""
    return " ".join(_parts(sla))


def dashboard_uid(sla: Sla, dashboard: str) -> str:
    """The uid of a dashboard of this environment."""
    return names.dashboard_uid("-".join(_parts(sla)), dashboard)


def dashboard_name(sla: Sla, dashboard: str) -> str:
    """The file name of a dashboard, without its ending."""
    return "-".join((*_parts(sla), dashboard))


def _parts(sla: Sla) -> tuple[str, ...]:
    named = sla.environments and sla.environment
    return (sla.system, sla.environment.name) if named and sla.environment else (sla.system,)
