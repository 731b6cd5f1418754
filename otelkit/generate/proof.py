"""A promtool test file: what it holds, and how it reads as YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from otelkit import names
from otelkit.generate import text
from otelkit.generate.rule import matchers
from otelkit.model import BudgetObjective, Objective


@dataclass(frozen=True, slots=True)
class Series:
    """An input series in promtool's notation, a value at each interval (``0+10x60 _x5``)."""

    name: str
    labels: Mapping[str, str]
    values: str


@dataclass(frozen=True, slots=True)
class Expect:
    """An expression and all that it yields in a minute: label sets with their values."""

    expr: str
    minute: int
    samples: tuple[tuple[Mapping[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class ExpectAlert:
    """All firing alerts of a name in a minute, with every label and annotation."""

    alert: str
    minute: int
    alerts: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Test:
    """A scenario: series, and what has to follow from them."""

    name: str
    series: tuple[Series, ...]
    expressions: tuple[Expect, ...] = ()
    alerts: tuple[ExpectAlert, ...] = ()
    evaluated: int = 1
    """Minutes from one evaluation of the rules to the next."""
    interval: str = "1m"
    """From one sample of a series to the next."""


def each(objective: Objective) -> dict[str, str]:
    """A value for each label of ``by``: budgets and alerts are told apart by them."""
    by = objective.by if isinstance(objective, BudgetObjective) else ()
    return dict.fromkeys(by, "proof")


def firing(alert: str, labels: Mapping[str, str]) -> str:
    """The series of a firing alert, selected by labels that tell it from others."""
    return "ALERTS" + matchers({"alertname": alert, "alertstate": "firing", **labels})


def silent(alert: str, labels: Mapping[str, str], minute: int) -> Expect:
    """The alert does not fire in this minute."""
    return Expect(firing(alert, labels), minute, ())


def fires(alert: str, labels: Mapping[str, str], minute: int) -> Expect:
    """The alert fires in this minute, once, with exactly these labels."""
    sample = {"__name__": "ALERTS", "alertname": alert, "alertstate": "firing", **labels}
    return Expect(firing(alert, labels), minute, ((sample, 1),))


def elsewhere(
    name: str, labels: Mapping[str, str], apart: Iterable[str], values: str
) -> Iterator[Series]:
    """Series that differ in one label alone: of others, whom the rules are not about."""
    yield from (Series(name, {**labels, label: "elsewhere"}, values) for label in apart)


def beating(labels: Mapping[str, str], minute: int) -> Expect:
    """The group of rules with these labels has been evaluated in this minute."""
    name = names.RULES_EVALUATED
    return Expect(name, minute, (({"__name__": name, **labels}, minute * 60),))


def proof_file(
    tests: Iterable[Test], rules: str, *, source: str, purpose: str, evaluated: int = 1
) -> str:
    """A promtool test file for one rule file; ``rules`` is its path from the test file.

    All tests of a file are evaluated at the same interval, in minutes.
    """
    return text.render(
        "proof.yml.j2",
        tests=tuple(tests),
        rules=rules,
        every=f"{evaluated}m",
        source=source,
        purpose=purpose,
        matchers=matchers,
        sample=_sample,
    )


def _sample(labels: Mapping[str, str]) -> str:
    """A sample's labels as promtool reads them, with the metric's name before them."""
    rest = {name: value for name, value in labels.items() if name != "__name__"}
    return labels.get("__name__", "") + matchers(rest)


def notation(values: Sequence[float | None]) -> str:
    """Values as promtool writes them, one after the other; None is no sample."""
    return " ".join(_pieces(values))


def _pieces(values: Sequence[float | None]) -> Iterator[str]:
    at = 0
    while at < len(values):
        first = values[at]
        end = at + 1
        if first is None:
            while end < len(values) and values[end] is None:
                end += 1
            yield f"_x{end - at}"
        else:
            step, end = _run(values, at)
            change = f"{'+' if step > 0 else ''}{_number(step)}" if step else ""
            yield f"{_number(first)}{change}x{end - at - 1}"
        at = end


def _run(values: Sequence[float | None], start: int) -> tuple[float, int]:
    """By how much values grow from here on, and where they no longer grow by that."""
    step: float | None = None
    end = start + 1
    while end < len(values):
        then, now = values[end - 1], values[end]
        if then is None or now is None or step not in (None, now - then):
            break
        step, end = now - then, end + 1
    return step or 0, end


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
