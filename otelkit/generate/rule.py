"""Rules and rule files: what they hold, and how they read as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otelkit.generate import text


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule. ``comment`` says what the series means."""

    record: str
    expr: str
    labels: Mapping[str, str]
    comment: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule. ``hold`` is its ``for:``, empty to fire at once."""

    alert: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    comment: str
    hold: str = ""


Rule = Recording | Alert


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Rule, ...]


def matchers(labels: Mapping[str, str]) -> str:
    """Equality matchers as PromQL writes them, braces included."""
    return "{" + ",".join(f"{name}={text.quoted(value)}" for name, value in labels.items()) + "}"


def keeping(aggregation: str, by: Sequence[str]) -> str:
    """The start of an aggregation that keeps these labels and no others."""
    return f"{aggregation} by ({', '.join(by)}) " if by else aggregation


def joined_on(by: Sequence[str]) -> str:
    """The matching of a raw expression with a recording, which carries more than these labels."""
    return f"on ({', '.join(by)})"


def rule_file(group: Group, *, source: str, purpose: str) -> str:
    """A Prometheus rule file of one group."""
    return text.render("rules.yml.j2", source=source, purpose=purpose, group=group)
