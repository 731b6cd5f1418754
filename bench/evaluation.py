"""What generated rules cost a live Prometheus, against the same objectives as seven raw windows.

A hundred objectives count the requests of a service with 20 series, scraped every 30 s. Before
either starts, three days of counters and thirty days of recordings are on disk: a rule over an
empty database reads nothing, whatever it costs later.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from bench.figure import Figure
from bench.target import Target, backfill, counters, recordings
from otelkit import spec
from otelkit.generate import files
from shop.prometheus import Prometheus
from shop.servers import HOST
from shop.waiting import until

OBJECTIVES = 100
RAW_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
EVALUATIONS = 5
INTERVAL = 15
"""Seconds between two evaluations: four times as often as the rules ask for, to wait less."""
PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one evaluation of all rules: samples read, and seconds (the median)."""

    samples: int
    seconds: float


def measure() -> Iterator[Figure]:
    """Samples read and time taken, both as a share of what the raw windows need."""
    sla = spec.loads(_sla(), "sla.yaml")
    ours = {
        path: text for path, text in files.files(sla, "sla.yaml").items() if "alert_rules/" in path
    }
    names = [objective.name for objective in sla.budgets]
    with tempfile.TemporaryDirectory() as name, Target() as target:
        folder = Path(name)
        mine = _cost(folder / "ours", ours, target, lambda now: recordings(sla.system, names, now))
        raw = _cost(folder / "raw", {"alert_rules/raw.rules.yml": _raw()}, target, lambda _: ())
    each = f"{mine.samples / OBJECTIVES:,.0f} against {raw.samples / OBJECTIVES:,.0f} an objective"
    yield Figure(
        "samples read per evaluation", "seven raw windows", mine.samples / raw.samples, 1 / 50, each
    )
    took = f"{mine.seconds:.2f} s against {raw.seconds:.2f} s for {OBJECTIVES}"
    yield Figure("evaluation time", "seven raw windows", mine.seconds / raw.seconds, 1.0, took)


def _cost(
    folder: Path,
    rules: Mapping[str, str],
    target: Target,
    recorded: Callable[[float], Iterable[str]],
) -> Cost:
    now = time.time()
    data = folder / "data"
    backfill(data, counters(now, target.port), recorded(now))
    config = {
        "global": {"scrape_interval": "30s", "evaluation_interval": f"{INTERVAL}s"},
        "rule_files": ["alert_rules/*.rules.yml"],
        "scrape_configs": [
            {"job_name": "svc", "static_configs": [{"targets": [f"{HOST}:{target.port}"]}]}
        ],
    }
    with Prometheus(folder, json.dumps(config), rules) as server:
        samples = sum(_samples(server, rule["expr"]) for rule in _rules(rules))
        return Cost(samples, _seconds(server))


def _samples(server: Prometheus, expr: str) -> int:
    answer = httpx.get(
        f"{server.url}/api/v1/query", params={"query": expr, "stats": "all"}, timeout=60
    )
    return int(
        answer.raise_for_status().json()["data"]["stats"]["samples"]["totalQueryableSamples"]
    )


def _seconds(server: Prometheus) -> float:
    """The median over some evaluations of what all groups take together."""
    found: list[float] = []
    evaluated: set[float] = set()

    def enough() -> bool:
        page = httpx.get(f"{server.url}/metrics", timeout=30).text
        last = sum(_values(page, "prometheus_rule_group_last_evaluation_timestamp_seconds"))
        if last not in evaluated:
            evaluated.add(last)
            found.append(sum(_values(page, "prometheus_rule_group_last_duration_seconds")))
        return len(found) > EVALUATIONS

    until(enough, PATIENCE, interval=INTERVAL / 3)
    return statistics.median(found[1:])  # the first page may show groups that have not run yet


def _values(page: str, metric: str) -> list[float]:
    return [float(v) for v in re.findall(rf"^{metric}{{.*}} (\S+)$", page, re.MULTILINE)]


def _rules(rule_files: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for text in rule_files.values():
        for group in yaml.safe_load(text)["groups"]:
            yield from group["rules"]


def _sla() -> str:
    lines = ["version: 1", "system: bench", "services: {svc: {}}", "objectives:"]
    lines += [
        f"  - {{name: availability-{n}, service: svc, availability: 99.9%}}"
        for n in range(OBJECTIVES)
    ]
    return "\n".join(lines)


def _raw() -> str:
    """The error ratio of each window, straight from the counters, as generators commonly do."""
    bad, all_ = (
        f'http_server_request_duration_seconds_count{{job="svc"{more}}}'
        for more in (',http_response_status_code=~"5.."', "")
    )
    rules = [
        {
            "record": f"raw:error_ratio:rate{window}",
            "expr": f"sum(rate({bad}[{window}])) / sum(rate({all_}[{window}]))",
            "labels": {"objective": f"availability-{n}"},
        }
        for n in range(OBJECTIVES)
        for window in RAW_WINDOWS
    ]
    groups = [
        {"name": f"raw-{n}", "rules": rules[n * len(RAW_WINDOWS) : (n + 1) * len(RAW_WINDOWS)]}
        for n in range(OBJECTIVES)
    ]
    return yaml.safe_dump({"groups": groups})
