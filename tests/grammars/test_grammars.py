"""Generated dashboards against Grafana's own grammars and types, in Node.

`@grafana/schema` has a type for a whole classic dashboard with its variables, panels and field
configurations, and one for the options of each kind of panel used here but `traces`. It has none
for the queries of Prometheus, Loki and Tempo: those are held to their grammars instead.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from conftest import missing
from otelkit import spec
from otelkit.generate.dashboards import dashboards
from shop.servers import MissingServerError

HERE = Path(__file__).parent
SLA_FILES = [HERE.parent / "unit" / "data" / name for name in ("full.yaml", "odd.yaml")]
SLA_FILES += [HERE.parents[1] / "examples" / "shop" / "sla.yaml"]
Node = Callable[[str, Any], Any]


@pytest.fixture(scope="session")
def node() -> Node:
    """Runs a script of this folder: an object in, an object out."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            missing(MissingServerError(program, "nodejs npm"))
    installed = HERE / "node_modules" / ".package-lock.json"
    wanted = HERE / "package.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        subprocess.run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"],  # noqa: S607
            cwd=HERE,
            check=True,
            timeout=300,
        )

    def run(script: str, given: Any) -> Any:
        done = subprocess.run(
            ["node", HERE / script],  # noqa: S607
            input=json.dumps(given),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return {
        f"{path.stem}/{name}": board
        for path in SLA_FILES
        for name, board in dashboards(spec.load(path)).items()
    }


def test_every_logql_and_traceql_query_parses(node: Node, made: dict[str, dict[str, Any]]) -> None:
    kinds = {"loki": ("logql", "expr"), "tempo": ("traceql", "query")}
    asked = []
    for board in made.values():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                if target["datasource"]["type"] in kinds:
                    language, key = kinds[target["datasource"]["type"]]
                    asked.append({"language": language, "text": filled_in(target[key])})
    by_id = [one for one in asked if one["text"] == "0123456789abcdef"]  # no TraceQL, a trace's id
    queries = [one for one in asked if one not in by_id]
    assert {one["language"] for one in queries} == {"logql", "traceql"}
    assert len(by_id) == len(SLA_FILES)
    wrong = [*({**one, "text": one["text"].replace("=", "=}", 1)} for one in queries)]
    errors = node("queries.mjs", [*queries, *wrong])
    assert [(one, at) for one, at in zip(queries, errors, strict=False) if at] == []
    assert all(errors[len(queries) :]), "the grammar lets anything pass"


def filled_in(query: str) -> str:
    """A query as Grafana sends it, with values in the place of variables."""
    query = query.replace("$trace_id", "0123456789abcdef")
    query = re.sub(r"\$\{\w+:doublequote\}", '"a\\\\"b"', query)
    return re.sub(r"\$__\w+", "5m", query)


def test_every_dashboard_is_of_the_type_that_grafana_reads(
    node: Node, made: dict[str, dict[str, Any]]
) -> None:
    found = node("types.mjs", made)
    assert found["said"] == []
    assert found["checked"] > 3 * len(made)


MISTAKES: dict[str, Callable[[Any], object]] = {
    """'"tgas"' does not exist in type""": lambda board: board.update(tgas=["otelkit"]),
    "not assignable to type 'number'": lambda board: board.update(schemaVersion="39"),
    "Property 'type' is missing": lambda board: board["panels"][-1].pop("type"),
    """'"showHedaer"' does not exist""": lambda board: options(board).update(showHedaer=True),
    """'"huge"' is not assignable""": lambda board: options(board).update(cellHeight="huge"),
}


def test_a_wrong_dashboard_is_not_of_that_type(node: Node, made: dict[str, dict[str, Any]]) -> None:
    boards = {said: deepcopy(made["sla/shop-order-journey.json"]) for said in MISTAKES}
    for said, mistake in MISTAKES.items():
        mistake(boards[said])
    found = node("types.mjs", boards)["said"]
    # Each message begins with its dashboard's name, which here is what has to be said of it.
    unseen = [said for said in MISTAKES if not any(said in one.partition(said)[2] for one in found)]
    assert unseen == []


def options(board: Any) -> Any:
    return next(panel["options"] for panel in board["panels"] if panel["type"] == "table")
