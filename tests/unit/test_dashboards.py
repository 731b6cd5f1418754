"""The generated dashboards: what Grafana, and a person without rights to edit, needs of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelkit import names, spec
from otelkit.generate import files
from otelkit.generate.dashboards import dashboards
from queries import queries

FULL = Path(__file__).parent / "data" / "full.yaml"
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml"
Dashboard = dict[str, Any]


@pytest.fixture(scope="module", params=[FULL, SHOP], ids=["full", "shop"])
def made(request: pytest.FixtureRequest) -> dict[str, Dashboard]:
    return dashboards(spec.load(request.param))


def test_every_query_is_promql(made: dict[str, Dashboard]) -> None:
    texts = {f"dashboards/{name}": json.dumps(board) for name, board in made.items()}
    found = list(queries(texts))
    assert len(found) > 25
    for query in found:
        assert query.parsed is not None, query.where


def test_uids_are_unique_and_short_enough(made: dict[str, Dashboard]) -> None:
    uids = [board["uid"] for board in made.values()]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40


def test_a_long_system_name_still_gives_different_uids() -> None:
    text = SHOP.read_text().replace("system: shop", "system: " + "a" * 60)
    uids = {board["uid"] for board in dashboards(spec.loads(text, "sla.yaml")).values()}
    assert len(uids) == 4
    assert max(map(len, uids)) == 40


def test_grafana_can_provision_them(made: dict[str, Dashboard]) -> None:
    for board in made.values():
        assert not {"id", "version", "__inputs"} & set(board)
        assert board["schemaVersion"] == 39
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_panels_do_not_overlap(made: dict[str, Dashboard]) -> None:
    for board in made.values():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells


def test_every_panel_says_what_it_shows_and_in_which_unit(made: dict[str, Dashboard]) -> None:
    for board in made.values():
        for panel in board["panels"]:
            if panel["type"] != "row":
                assert panel["description"], panel["title"]
            if panel["type"] not in ("row", "text"):
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_data_sources_are_variables_of_the_dashboard(made: dict[str, Dashboard]) -> None:
    for board in made.values():
        variables = {variable["name"] for variable in board["templating"]["list"]}
        used = {
            target["datasource"]["uid"].strip("${}")
            for panel in board["panels"]
            for target in panel.get("targets", ())
        }
        assert used == {name for name in variables if name.endswith("_datasource")}


def test_links_stay_on_dashboards_that_exist_and_set_variables_they_have(
    made: dict[str, Dashboard],
) -> None:
    boards = {board["uid"]: board for board in made.values()}
    links = [link for board in made.values() for link in _data_links(board)]
    assert links
    for link in links:
        match = re.fullmatch(r"/d/([^?]+)\?(.*)", link)
        assert match, f"{link} leads away, perhaps to a page that a viewer may not open"
        variables = {v["name"] for v in boards[match[1]]["templating"]["list"]}
        set_by_name = set(re.findall(r"var-(\w+)=", match[2]))
        passed_on = set(re.findall(r"\$\{(\w+):queryparam\}", match[2]))
        assert set_by_name | passed_on <= variables, link


def test_links_of_alerts_set_variables_that_the_dashboards_have() -> None:
    sla = spec.load(FULL)
    boards = {board["uid"]: board for board in dashboards(sla).values()}
    rules = "".join(t for p, t in files.files(sla, "sla.yaml").items() if p.startswith("alert"))
    found = re.findall(r"https://grafana\.example/d/([\w-]+)\?(\S*)", rules)
    assert found
    for uid, parameters in found:
        variables = {v["name"] for v in boards[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", parameters)) <= variables


def test_a_click_on_a_trace_shows_it_on_the_same_dashboard(made: dict[str, Dashboard]) -> None:
    board = next(b for name, b in made.items() if names.DASHBOARD_JOURNEY in name)
    (search,) = [p for p in board["panels"] if p["type"] == "table"]
    (trace,) = [p for p in board["panels"] if p["type"] == "traces"]
    (link,) = search["fieldConfig"]["defaults"]["links"]
    assert link["url"].startswith(f"/d/{board['uid']}?")
    assert "var-trace_id=${__data.fields.traceID}" in link["url"]
    assert [target["query"] for target in trace["targets"]] == ["$trace_id"]


def test_a_search_for_traces_says_how_many_it_wants_and_looks_back_no_further_than_tempo_does(
    made: dict[str, Dashboard],
) -> None:
    board = next(b for name, b in made.items() if names.DASHBOARD_JOURNEY in name)
    (search,) = [p for p in board["panels"] if p["type"] == "table"]
    (target,) = search["targets"]
    assert (target["limit"], target["spss"]) > (20, 3), "what Tempo gives unless it is asked"
    assert board["time"] == {"from": "now-7d", "to": "now"}, "168 hours are the most it searches"


def test_a_system_without_orders_has_no_dashboards_about_them() -> None:
    text = "version: 1\nsystem: s\nservices: {api: {}}\nobjectives:\n"
    text += "  - {name: a, service: api, availability: 99%}\n"
    made = list(dashboards(spec.loads(text, "s.yaml")))
    assert made == ["s-sla-overview.json", "s-service.json"]


def test_services_that_otelkit_does_not_instrument_have_dashboards_of_their_own() -> None:
    text = "version: 1\nsystem: s\nservices:\n  api: {}\n  mes: {match: {job: m, plant: 'a,b'}}\n"
    text += "  a/b: {match: {job: ab}, http: {duration: latency, status: code, route: uri}}\n"
    text += "  a_b: {http: {duration: latency}}\n"
    text += "objectives:\n  - {name: a, service: api, availability: 99%}\n"
    made = dashboards(spec.loads(text, "s.yaml"))
    shared, *foreign = (made[name] for name in made if "-service" in name)
    assert [name for name in made if "-service" in name] == [
        "s-service.json", "s-service-a_b-c14cddc0.json", "s-service-a_b.json",
    ]  # fmt: skip
    (variable,) = [v for v in shared["templating"]["list"] if v["name"] == "service"]
    assert variable["query"] == r'api : job="api",mes : job="m"\,plant="a\,b"'
    asked = [t["expr"] for p in foreign[0]["panels"] for t in p.get("targets", ())]
    assert asked
    assert [expr for expr in asked if "latency_" not in expr or '{job="ab"' not in expr] == []


def _data_links(node: Any) -> Iterator[str]:
    """Addresses of links within panels, wherever they stand."""
    if isinstance(node, dict):
        if "url" in node and node.get("type") != "dashboards":
            yield node["url"]
        for value in node.values():
            yield from _data_links(value)
    elif isinstance(node, list):
        for value in node:
            yield from _data_links(value)
