"""PromQL selectors as text: each panel names the system whose series it shows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from otelkit.generate.rule import matchers
from otelkit.generate.scope import collected, environment_of
from otelkit.generate.text import quoted
from otelkit.model import Sla


def select(sla: Sla, metric: str, *more: str) -> str:
    """The series of a metric that belong to the system, narrowed by further matchers.

    Where there are environments, also to this one's: by the label that rules set, or by those that
    its raw series have.
    """
    own = matchers(_of_rules(sla) if _recorded(metric) else collected(sla))
    return metric + own[:-1] + "".join(f",{matcher}" for matcher in more) + "}"


def _recorded(metric: str) -> bool:
    return ":" in metric or metric == "ALERTS"


def _of_rules(sla: Sla) -> dict[str, str]:
    named = {"environment": environment_of(sla)} if sla.environments else {}
    return {"system": sla.system, **named}


def any_of(label: str, values: Iterable[str]) -> str:
    """A matcher for a label that has one of the values."""
    return f"{label}=~{quoted('|'.join(re.escape(value) for value in values))}"


def labelled(expr: str, label: str, value: str) -> str:
    """The series of an expression with one more label."""
    return f'label_replace({expr}, "{label}", {quoted(value)}, "", "")'
