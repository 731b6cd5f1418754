"""The PromQL of generated files, and whether it selects what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client.parser import text_string_to_metric_families

from otelkit.generate import files
from otelkit.model import Sla

Series = Mapping[str, str]
"""Labels of one series; ``__name__`` is its metric's name."""

# What Grafana puts in the place of its variables, as any value would do.
_VARIABLES = (
    (re.compile(r"\$service\b"), 'job=~".+"'),
    (re.compile(r"\$__(rate_interval|interval|range)"), "5m"),
    (re.compile(r"\$__(from|to)"), "0"),
    (re.compile(r"\$\{?\w+(:\w+)?\}?"), ".*"),
)
_ASKED = re.compile(r'query (?:`([^`]*)`|"([^"]*)")')


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and the place where it stands."""

    where: str
    text: str

    @property
    def parsed(self) -> Any:
        return promql_parser.parse(self.text)


def queries(made: Mapping[str, str]) -> Iterator[Query]:
    """Every PromQL expression of rules, of what alerts say, and of dashboards."""
    for path, text in made.items():
        if path.startswith("alert_rules/"):
            for rule in rules(text):
                yield Query(f"{path}: {rule_name(rule)}", rule["expr"])
                for said in rule.get("annotations", {}).values():
                    yield from (Query(f"{path}: {rule_name(rule)} says", q) for q in _asked(said))
        elif path.startswith("dashboards/"):
            for panel in json.loads(text)["panels"]:
                for target in panel.get("targets", ()):
                    if "expr" in target and target["datasource"]["type"] == "prometheus":
                        yield Query(f"{path}: {panel['title']}", without_variables(target["expr"]))


def _asked(template: str) -> list[str]:
    """The queries of an annotation."""
    return [found[0] or found[1] for found in _ASKED.findall(template)]


def rule_texts(sla: Sla) -> dict[str, str]:
    """The rule files of an SLA by their names."""
    made = files.files(sla, "sla.yaml")
    return {Path(path).name: text for path, text in made.items() if path.startswith(files.RULES)}


def rules(text: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(text)["groups"]:
        yield from group["rules"]


def rule_name(rule: Mapping[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


def without_variables(text: str) -> str:
    for variable, value in _VARIABLES:
        text = variable.sub(value, text)
    return text


def recorded(files: Mapping[str, str]) -> Iterator[Series]:
    """The series that the rules themselves write, alerts among them."""
    for path, text in files.items():
        if not path.startswith("alert_rules/"):
            continue
        for rule in rules(text):
            labels = {k: v for k, v in rule.get("labels", {}).items() if "{{" not in v}
            if "record" in rule:
                yield labels | {"__name__": rule["record"]}
            else:
                own = {"alertname": rule["alert"], "alertstate": "firing"}
                yield labels | own | {"__name__": "ALERTS"}


def exposed(metrics: str, job: str) -> Iterator[Series]:
    """The series of a ``/metrics`` page as Prometheus keeps them."""
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            yield sample.labels | {"__name__": sample.name, "job": job, "instance": job}


def unmatched(files: Mapping[str, str], series: Iterable[Series]) -> list[str]:
    """A complaint for each selector, and each label grouped by, that nothing there has."""
    known: dict[str, list[Series]] = {}
    for one in series:
        known.setdefault(one["__name__"], []).append(one)
    found = []
    for query in queries(files):
        found += [f"{query.where}: {complaint}" for complaint in _complaints(query.parsed, known)]
    return found


def _complaints(expression: Any, known: Mapping[str, list[Series]]) -> Iterator[str]:
    for node in _nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            if not any(_matches(node, one) for one in known.get(node.name or "", ())):
                yield f"nothing matches {node.prettify()}"
        elif isinstance(node, promql_parser.AggregateExpr):
            lacking = _grouped_by(node) - _labels(node.expr, known)
            if lacking:
                yield f"nothing has the labels {sorted(lacking)} of {node.prettify()}"


def _grouped_by(aggregate: Any) -> set[str]:
    modifier = aggregate.modifier
    if modifier is None or modifier.type != promql_parser.AggModifierType.By:
        return set()
    return set(modifier.labels)


def _nodes(expression: Any) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    return found


def _labels(expression: Any, known: Mapping[str, list[Series]]) -> set[str]:
    found: set[str] = set()
    for node in _nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            found.update(*(one for one in known.get(node.name or "", ())))
        elif isinstance(node, promql_parser.Call) and node.func.name == "label_replace":
            found.add(node.args[1].val)
    return found


def _matches(selector: Any, series: Series) -> bool:
    return all(
        matcher.name in series and _holds(matcher, series[matcher.name])
        for matcher in selector.matchers.matchers
    )


def _holds(matcher: Any, value: str) -> bool:
    operator = promql_parser.MatchOp
    if matcher.op in (operator.Re, operator.NotRe):
        equal = re.fullmatch(matcher.value, value) is not None
    else:
        equal = matcher.value == value
    return equal == (matcher.op in (operator.Equal, operator.Re))
