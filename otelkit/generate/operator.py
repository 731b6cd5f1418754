"""Rules and routes as resources of the Prometheus operator.

Their shapes are those of its custom resource definitions, PrometheusRule ``v1`` and
AlertmanagerConfig ``v1alpha1``; names and labels are Kubernetes' own.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from otelkit.generate import stack, text
from otelkit.generate.rule import Group
from otelkit.model import Sla

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""The part of Kubernetes' names that has no empty part between dots is made sure of below."""
_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def prometheus_rule(sla: Sla, group: Group, *, source: str, purpose: str) -> str:
    """A PrometheusRule of one group."""
    return text.render(
        "prometheusrule.yml.j2",
        source=source,
        purpose=purpose,
        group=group,
        name=resource_name(group.name),
        system=label_value(sla.system),
    )


def alertmanager_config(sla: Sla, source: str) -> str:
    """An AlertmanagerConfig; its receivers still notify nobody."""
    found = stack.routing(sla)
    receivers = list(dict.fromkeys((*found["receivers"], stack.UNROUTED)))
    return text.render(
        "alertmanagerconfig.yml.j2",
        source=source,
        name=resource_name(f"otelkit.{sla.system}"),
        label=label_value(sla.system),
        unrouted=stack.UNROUTED,
        **found | {"receivers": receivers},
    )


def resource_name(name: str) -> str:
    """A name that Kubernetes takes, the same one if it does.

    What has to be changed ends in a digest, so that two names never become one.
    """
    if _NAME.fullmatch(name) and not re.search(r"[.-][.]|[.]-", name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{plain[:200]}-{_digest(name)}"


def label_value(value: str) -> str:
    """A value that Kubernetes takes for a label, likewise."""
    if _VALUE.fullmatch(value):
        return value
    plain = re.sub(r"[^A-Za-z0-9]+", "-", value).strip("-")
    return f"{plain[:50]}-{_digest(value)}".lstrip("-")


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:8]
