"""What Prometheus and Alertmanager need to know: scrape jobs, routes, inhibition.

Alertmanager cannot include files, so its part comes as a fragment to merge, or as a whole file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from otelkit import names
from otelkit.generate import text
from otelkit.generate.health import from_collector, watches_orders
from otelkit.generate.scope import narrowed
from otelkit.model import Clock, QueueLimit, Sla

Matcher = tuple[str, str, str]
"""A label, how it is compared, and with what."""

COLLECTOR_JOB: Final = "otelkit-collector"
PORT: Final = 9464
"""Default port of the OpenTelemetry Prometheus exporter, by its specification."""
COLLECTOR_PORT: Final = 9465
UNROUTED: Final = "unrouted"
"""Receiver of a whole Alertmanager configuration for alerts that are nobody's."""
_FROM_COLLECTOR: Final = (
    names.ALERT_ERROR_BUDGET_BURN,
    names.ALERT_ORDERS_OVERDUE,
    names.ALERT_ORDERS_AT_RISK,
    names.ALERT_DEAD_LETTERS,
)


def scrape_jobs(sla: Sla, source: str) -> str:
    """Scrape jobs for the services that otelkit instruments, and for the collector."""
    return text.render("scrape.yml.j2", source=source, jobs=_jobs(sla))


def routes(sla: Sla, source: str) -> str:
    """A fragment of an Alertmanager configuration: routes, inhibition, receivers."""
    return text.render("routes.yml.j2", source=source, **routing(sla))


def prometheus(sla: Sla, source: str) -> str:
    """A whole prometheus.yml, to be started from the folder it stands in."""
    return text.render("prometheus.yml.j2", source=source, system=sla.system, jobs=_jobs(sla))


def alertmanager(sla: Sla, source: str) -> str:
    """A whole alertmanager.yml; its receivers still notify nobody."""
    found = routing(sla)
    receivers = list(dict.fromkeys((*found["receivers"], UNROUTED)))
    values = found | {"receivers": receivers, "unrouted": UNROUTED}
    return text.render("alertmanager.yml.j2", source=source, **values)


def _jobs(sla: Sla) -> list[dict[str, Any]]:
    targets: dict[str, list[str]] = {}  # services may share a job, and Prometheus wants it once
    for name, service in sla.services.items():
        if not service.foreign and "job" in service.match:
            host = name.rpartition("/")[2]  # of a job called namespace/name, as in Kubernetes
            targets.setdefault(service.match["job"], []).append(f"{host}:{PORT}")
    if watches_orders(sla):
        targets.setdefault(COLLECTOR_JOB, []).append(f"{COLLECTOR_JOB}:{COLLECTOR_PORT}")
    labels = [dict(one.match) for one in sla.environments] or [{}]
    return [
        {"name": name, "targets": found, "labels": labels, "several": name == COLLECTOR_JOB}
        for name, found in targets.items()
    ]


def routing(sla: Sla) -> dict[str, Any]:
    """What Alertmanager has to know, in either form: routes, receivers, inhibition."""
    by_severity = [
        {"owner": owner.name, "severity": severity, "receiver": receiver}
        for owner in sla.owners.values()
        for severity, receiver in (
            (names.SEVERITY_PAGE, owner.page),
            (names.SEVERITY_TICKET, owner.ticket),
        )
    ]
    return {
        "system": sla.system,
        "routes": by_severity,
        "receivers": list(dict.fromkeys(route["receiver"] for route in by_severity)),
        "inhibition": list(_inhibition(sla)),
    }


@dataclass(frozen=True, slots=True)
class _Inhibition:
    """While an alert fires that ``source`` matches, those are hidden that ``target`` matches."""

    comment: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


def _inhibition(sla: Sla) -> Iterator[_Inhibition]:
    own: Matcher = ("system", "=", sla.system)
    every = [objective for one in narrowed(sla) for objective in one.objectives]
    by = dict.fromkeys(label for one in narrowed(sla) for o in one.budgets for label in o.by)
    yield _Inhibition(
        "A page says all that its ticket says.",
        (("severity", "=", names.SEVERITY_PAGE), own),
        (("severity", "=", names.SEVERITY_TICKET), own),
        ("alertname", "environment", "objective", *by),
    )
    collected = dict.fromkeys(o.name for o in every if from_collector(o))
    told = dict.fromkeys(o.name for o in every if isinstance(o, (Clock, QueueLimit)))
    stale: Matcher = ("alertname", "=", names.ALERT_COLLECTOR_STALE)
    if told:
        yield _Inhibition(
            "What a stale collector says is old, and orders whose events it lacks look late to it.",
            (stale, own),
            (
                ("alertname", "=~", "|".join(_FROM_COLLECTOR)),
                ("objective", "=~", "|".join(told)),
                own,
            ),
            ("environment",),
        )
    if collected:
        yield _Inhibition(
            "It is why nothing is known of what only it can measure.",
            (stale, own),
            (
                ("alertname", "=", names.ALERT_OBJECTIVE_NO_DATA),
                ("objective", "=~", "|".join(collected)),
                own,
            ),
            ("environment",),
        )
