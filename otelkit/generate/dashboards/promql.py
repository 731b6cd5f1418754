"""PromQL selectors as text: each panel names the system whose series it shows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from otelkit.generate.rule import matchers
from otelkit.generate.text import quoted
from otelkit.model import Sla


def select(sla: Sla, metric: str, *more: str) -> str:
    """The series of a metric that belong to the system, narrowed by further matchers."""
    own = matchers({"system": sla.system})
    return metric + own[:-1] + "".join(f",{matcher}" for matcher in more) + "}"


def any_of(label: str, values: Iterable[str]) -> str:
    """A matcher for a label that has one of the values."""
    return f"{label}=~{quoted('|'.join(re.escape(value) for value in values))}"


def labelled(expr: str, label: str, value: str) -> str:
    """The series of an expression with one more label."""
    return f'label_replace({expr}, "{label}", {quoted(value)}, "", "")'
