"""Resources for the Prometheus operator, held against the shapes that its definitions allow.

The schemas below say what the custom resource definitions of version 0.93 say of the fields that
otelkit writes, and allow no others.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from otelkit import spec
from otelkit.generate import files, operator
from otelkit.generate.form import Form
from otelkit.model import Environment, Sla
from queries import rule_texts

ROOT = Path(__file__).parents[2]
SLA_FILES = [ROOT / "examples" / "shop" / "sla.yaml", Path(__file__).parent / "data" / "full.yaml"]
Json = dict[str, Any]

TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "object", "additionalProperties": TEXT}
_UNITS = "".join(f"([0-9]+{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
DURATION: Json = {"type": "string", "pattern": f"^(0|{_UNITS})$"}


def exactly(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def many(item: Json) -> Json:
    return {"type": "array", "items": item}


def resource(version: str, kind: str, content: Json) -> Json:
    part = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    name = {"type": "string", "maxLength": 253, "pattern": rf"^{part}(\.{part})*$"}
    value = {"type": "string", "pattern": r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"}
    labels = {"type": "object", "additionalProperties": value, "minProperties": 2}
    return exactly(
        {
            "apiVersion": {"const": f"monitoring.coreos.com/{version}"},
            "kind": {"const": kind},
            "metadata": exactly({"name": name, "labels": labels}),
            "spec": content,
        }
    )


RULE: Json = {
    "oneOf": [
        exactly({"record": TEXT, "expr": TEXT}, {"labels": TEXTS}),
        exactly({"alert": TEXT, "expr": TEXT},
                {"for": DURATION, "labels": TEXTS, "annotations": TEXTS}),
    ]
}  # fmt: skip
PROMETHEUS_RULE = resource(
    "v1", "PrometheusRule",
    exactly({"groups": many(exactly({"name": TEXT | {"minLength": 1}, "rules": many(RULE)}))}),
)  # fmt: skip
MATCHERS = many(
    exactly(
        {
            "name": TEXT | {"minLength": 1},
            "matchType": {"enum": ["=", "!=", "=~", "!~"]},
            "value": TEXT,
        }
    )
)
ALERTMANAGER_CONFIG = resource(
    "v1alpha1",
    "AlertmanagerConfig",
    exactly(
        {
            "route": exactly(
                {
                    "receiver": TEXT, "groupBy": many(TEXT) | {"uniqueItems": True},
                    "groupWait": DURATION, "groupInterval": DURATION, "repeatInterval": DURATION,
                    "matchers": MATCHERS,
                    "routes": many(exactly({"receiver": TEXT, "matchers": MATCHERS})),
                }
            ),
            "inhibitRules": many(
                exactly({"sourceMatch": MATCHERS, "targetMatch": MATCHERS, "equal": many(TEXT)})
            ),
            "receivers": many(exactly({"name": TEXT | {"minLength": 1}})),
        }
    ),
)  # fmt: skip


@pytest.fixture(params=SLA_FILES, ids=lambda path: path.parent.name)
def sla(request: pytest.FixtureRequest) -> Sla:
    return spec.load(request.param)


def resources(sla: Sla) -> dict[str, Json]:
    made = files.files(sla, "sla.yaml", form=Form.OPERATOR)
    return {path: yaml.safe_load(text) for path, text in made.items() if path.endswith("l")}


def test_every_rule_is_in_a_resource_that_the_operator_takes(sla: Sla) -> None:
    made = {p: r for p, r in resources(sla).items() if p.startswith(files.RULES)}
    for path, found in made.items():
        problems = [e.message for e in Draft202012Validator(PROMETHEUS_RULE).iter_errors(found)]
        assert problems == [], path
    assert [r["spec"] for r in made.values()] == [
        yaml.safe_load(text) for text in rule_texts(sla).values()
    ]


def test_routes_and_inhibition_are_those_of_the_fragment(sla: Sla) -> None:
    found = resources(sla)[f"{files.DEPLOY}/{sla.system}.alertmanagerconfig.yml"]
    problems = [e.message for e in Draft202012Validator(ALERTMANAGER_CONFIG).iter_errors(found)]
    assert problems == []
    fragment = yaml.safe_load(
        files.files(sla, "sla.yaml")[f"{files.DEPLOY}/{sla.system}.routes.yml"]
    )
    content = found["spec"]
    own = as_text(content["route"]["matchers"])
    routes = [(r["receiver"], own + as_text(r["matchers"])) for r in content["route"]["routes"]]
    assert routes == [(r["receiver"], r["matchers"]) for r in fragment["routes"]]
    assert [
        (as_text(r["sourceMatch"]), as_text(r["targetMatch"]), r["equal"])
        for r in content["inhibitRules"]
    ] == [
        (r["source_matchers"], r["target_matchers"], r["equal"]) for r in fragment["inhibit_rules"]
    ]
    known = {receiver["name"] for receiver in content["receivers"]}
    assert {content["route"]["receiver"], *(name for name, _ in routes)} == known


def as_text(matchers: list[dict[str, str]]) -> list[str]:
    return [f'{m["name"]} {m["matchType"]} "{m["value"]}"' for m in matchers]


def test_there_is_no_rule_file_and_no_fragment_beside_them(sla: Sla) -> None:
    made = files.files(sla, "sla.yaml", form=Form.OPERATOR)
    assert [p for p in made if re.search(r"rules\.yml|routes\.yml|test\.yml", p)] == []


def test_names_that_kubernetes_refuses_are_changed_and_stay_apart() -> None:
    sla = spec.load(SLA_FILES[0])
    (first, *_) = sla.objectives
    odd = tuple(replace(first, name=name) for name in ("Check_Out", "check-out", "check_out", "a-"))
    sla = replace(
        sla, system="_Shop" + "x" * 58, objectives=odd,
        environments=(Environment("Prod_", {}, "page", odd),),
    )  # fmt: skip
    made = [r for p, r in resources(sla).items() if p.startswith(files.RULES)]
    for found in made:
        assert not list(Draft202012Validator(PROMETHEUS_RULE).iter_errors(found)), found["metadata"]
    assert len({found["metadata"]["name"] for found in made}) == len(made) == len(odd) + 2
    assert operator.resource_name("otelkit.shop.check-out") == "otelkit.shop.check-out"
