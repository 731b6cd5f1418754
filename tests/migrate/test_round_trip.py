"""What an imported SLA file selects is what the foreign queries select, by promtool's own count.

Each series grows at a rate of its own, so that equal sums are sums of the same series.
"""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import missing
from otelkit.migrate import sloth
from otelkit.migrate.foreign import read_text
from otelkit.migrate.text import sla_text
from shop.servers import MissingServerError, find_program

DATA = Path(__file__).parent / "data"
LABELS = {
    "job": ("checkout", "api", "other"),
    "code": ("200", "404", "429", "500"),
    "region": ("eu", "us"),
}
BOUNDS = ("0.1", "0.25", "0.5", "+Inf")


@pytest.fixture(scope="session")
def promtool() -> str:
    try:
        return find_program("promtool", "prometheus")
    except MissingServerError as error:
        missing(error)


def imported(text: str) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
    """The line of each SLO that came over, the services of the SLA file, and its objective."""
    draft, _ = read_text(text, "slo.yaml", lambda docs, book: sloth.draft(docs, book, "slo"))
    sla = yaml.safe_load(sla_text(draft))
    return [
        (objective.at.node.mark.line, sla.get("services", {}), written)
        for objective, written in zip(draft.objectives, sla["objectives"], strict=True)
    ]


def slos(text: str) -> dict[int, dict[str, Any]]:
    """The SLIs of a Sloth file by the line of their SLO, in the words of its first form."""
    found: dict[int, dict[str, Any]] = {}
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "- name: " in line]
    documents = yaml.safe_load_all(text)
    every = [slo for one in documents for slo in one.get("spec", one)["slos"]]
    for line, slo in zip(lines, every, strict=True):
        (sli,) = slo["sli"].values()
        found[line] = {
            re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", key): text for key, text in sli.items()
        }
    return found


def counted(by: list[str], selector: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({selector}[5m]))"


def of_sla(services: dict[str, Any], one: dict[str, Any]) -> tuple[str, str] | str:
    """Bad and all events of an objective, or its share of good."""
    if "query" in one:
        return str(one["query"])
    by = one.get("by", [])
    if "latency" in one:
        service = services[one["service"]]
        match = service.get("match", {"job": one["service"]})
        inside = ",".join(f'{label}="{value}"' for label, value in match.items())
        below = float(one["latency"]["below"].removesuffix("ms")) / 1000
        name = service["http"]["duration"]
        one = {
            "good": f'{name}_bucket{{{inside},le="{below:g}"}}',
            "total": f"{name}_count{{{inside}}}",
        }
    sums = {kind: counted(by, one[kind]) for kind in ("good", "bad", "total") if kind in one}
    total = sums.get("total") or f"({sums['good']} + {sums['bad']})"
    return sums.get("bad") or f"({total} - {sums['good']})", total


def of_sloth(words: dict[str, str]) -> tuple[str, str] | str:
    at_5m = {key: re.sub(r"\{\{.*?\}\}", "5m", str(text)) for key, text in words.items()}
    if "error_ratio_query" in at_5m:
        return f"1 - ({at_5m['error_ratio_query']})"
    return at_5m["error_query"], at_5m["total_query"]


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """What has to be equal."""
    known = slos(text)
    for line, services, one in imported(text):
        ours, theirs = of_sla(services, one), of_sloth(known[line])
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            yield from zip(ours, theirs, strict=True)
        else:
            yield share(ours), share(theirs)


def share(of: tuple[str, str] | str) -> str:
    return of if isinstance(of, str) else f"1 - ({of[0]}) / ({of[1]})"


def series(text: str) -> Iterator[dict[str, str]]:
    """A world in which each selector of the file selects some series and leaves others."""
    rates = random.Random(7)
    names = sorted(set(re.findall(r"[a-z]\w*_(?:total|count|bucket|ratio|celsius)\b", text)))
    for name in names:
        labels = LABELS | ({"le": BOUNDS} if name.endswith("_bucket") else {})
        for values in itertools.product(*labels.values()):
            inside = ",".join(f'{k}="{v}"' for k, v in zip(labels, values, strict=True))
            kind = f"0+{rates.randint(1, 10**6)}x10"
            gauge = f"{rates.randint(1, 60)}+0x10"
            yield {
                "series": f"{name}{{{inside}}}",
                "values": gauge if name.endswith(("_celsius", "_ratio")) else kind,
            }


def run(promtool: str, folder: Path, text: str, equal: list[tuple[str, str]]) -> str:
    """What promtool has to say against the equality of queries in this world."""
    tests = []
    for ours, theirs in equal:
        differ = f"count(abs(({ours}) - ({theirs})) > 1e-6) or vector(0)"
        there = f"(count({theirs}) == bool count({ours})) or vector(0)"
        tests += [
            {"expr": expr, "eval_time": "8m", "exp_samples": [{"labels": "{}", "value": value}]}
            for expr, value in ((differ, 0), (there, 1))
        ]
    world = {"interval": "1m", "input_series": list(series(text)), "promql_expr_test": tests}
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [world]}, width=10000))
    command = [promtool, "test", "rules", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


FILES = {path.stem: path.read_text() for path in DATA.glob("sloth*.yaml")}


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_imported_file_counts_what_the_foreign_one_counts(
    name: str, tmp_path: Path, promtool: str
) -> None:
    text = FILES[name]
    equal = list(pairs(text))
    assert len(equal) >= 3
    assert run(promtool, tmp_path, text, equal) == ""


def test_promtool_sees_a_selector_that_selects_one_status_too_many(
    tmp_path: Path, promtool: str
) -> None:
    text = FILES["sloth-shapes"]
    wrong = [(a.replace('"2..",code!="404"', '"2.."'), b) for a, b in pairs(text)]
    assert run(promtool, tmp_path, text, wrong).count("expr: ") == 1
