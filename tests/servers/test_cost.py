"""What ``otelkit explain`` says that rules read is what a Prometheus says it has read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest

from conftest import missing
from otelkit import spec
from otelkit.generate import cost, files
from otelkit.generate.rule import Recording, Rule
from queries import Series
from shop.prometheus import Prometheus
from shop.servers import MissingServerError, find_program

ROOT = Path(__file__).parents[2]
HOUR, DAY = 3600, 86_400
NOW = 1_774_000_800 + 20
"""Seconds after a whole hour; samples lie some seconds before each half minute."""
LAG = 27
INSTANCES = 3
Row = tuple[Series, range]


class Asked:
    """A Prometheus that counts its own series, and the samples that it reads."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._counted: dict[str, int] = {}

    def series(self, selector: Any) -> int:
        text = selector.prettify()
        if text not in self._counted:
            found = self.ask(f"count({text})")["result"]
            self._counted[text] = int(found[0]["value"][1]) if found else 0
        return self._counted[text]

    def interval(self, selector: Any) -> timedelta:
        return cost.ASSUMED.interval(selector)

    def groups(self, labels: int) -> int:
        raise AssertionError(f"no rule of the shop groups a subquery by {labels} labels")

    def ask(self, query: str) -> Any:
        params = {"query": query, "time": str(NOW), "stats": "all"}
        answer = self._client.get("/api/v1/query", params=params)
        answer.raise_for_status()
        return answer.json()["data"]


def shop_rules() -> list[Rule]:
    sla = spec.load(ROOT / "examples" / "shop" / "sla.yaml")
    return [rule for file in files.rule_files(sla) for rule in file.group.rules]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """All that the shop's rules read: a month of hours, and the last seven of minutes."""
    folder = tmp_path_factory.mktemp("prometheus")
    try:
        server = Prometheus(folder, "global: {}\n")
        promtool = find_program("promtool", "prometheus")
    except MissingServerError as error:
        missing(error)
    (folder / "history.txt").write_text(
        "".join(lines(series, times) for series, times in history(shop_rules())) + "# EOF\n"
    )
    blocks = ("tsdb", "create-blocks-from", "--max-block-duration=744h")
    backfill = (*blocks, "openmetrics", "history.txt", "data")
    subprocess.run([promtool, *backfill], cwd=folder, check=True, capture_output=True)
    with server:
        yield server


def history(rules: list[Rule]) -> Iterator[Row]:
    for rule in rules:
        if isinstance(rule, Recording):
            series: Series = {**rule.labels, "__name__": rule.record}
            hours = range(NOW - LAG - 30 * DAY, NOW - LAG - 7 * HOUR, HOUR)
            yield series, hours
            yield series, range(NOW - LAG - 7 * HOUR, NOW, 60)
    for series in scraped(rules):
        yield series, range(NOW - LAG - HOUR, NOW, 30)


def scraped(rules: list[Rule]) -> list[Series]:
    """Three series for each selector of metrics that no rule records."""
    found: dict[str, Series] = {}
    for rule in rules:
        nodes: list[Any] = []
        promql_parser.walk(promql_parser.parse(rule.expr), nodes.append)
        for node in nodes:
            if isinstance(node, promql_parser.VectorSelector) and ":" not in str(node.name):
                for instance in range(INSTANCES):
                    one: Series = {**matching(node), "instance": str(instance)}
                    found[str(sorted(one.items()))] = one
    return list(found.values())


def matching(selector: Any) -> dict[str, str]:
    operator = promql_parser.MatchOp
    labels = {"__name__": str(selector.name)}
    for matcher in selector.matchers.matchers:
        if matcher.op in (operator.Equal, operator.Re):
            labels[matcher.name] = matcher.value.split("|")[0]
    return labels


def lines(series: Series, times: range) -> str:
    labels = ",".join(f'{k}="{v}"' for k, v in series.items() if k != "__name__")
    name = f"{series['__name__']}{{{labels}}}"
    return "".join(f"{name} 1 {time}\n" for time in times)


def test_each_rule_of_the_shop_reads_as_many_samples_as_its_cost_says(
    prometheus: Prometheus,
) -> None:
    said, read = {}, {}
    with httpx.Client(base_url=prometheus.url, timeout=30) as client:
        asked = Asked(client)
        for rule in shop_rules():
            statistics = asked.ask(rule.expr)["stats"]["samples"]
            said[rule.expr] = cost.samples(rule.expr, asked)
            read[rule.expr] = statistics["totalQueryableSamples"]
    assert said == read
    assert sum(read.values()) > 15_000, "months and hours are read, not only the last minute"
