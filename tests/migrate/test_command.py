"""``otelkit import`` as a process: what goes where, and what is never overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

OTELKIT = Path(sys.executable).with_name("otelkit")
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers, annotations: {a: b}}
spec:
  service: shop
  budgetingMethod: Occurrences
  timeWindow: [{duration: 28d, isRolling: true}]
  indicator:
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(answers_total{code!~"5.."})'}}}
        total: {metricSource: {type: Prometheus, spec: {query: sum(answers_total)}}}
  objectives: [{target: 0.999}, {target: 1}]
"""
SLA = """\
# Imported from OpenSLO. Read it through, then: otelkit check FILE
version: 1
system: shop
objectives:
  - name: answers-1
    good: answers_total{code!~"5.."}
    total: answers_total
    target: 99.9%
    window: 28d
"""
NOTES = """\
{0}:1:1: 'answers' names no alert, so the default policy alerts; \
write `alerting: {{page: off, ticket: off}}` to have no alerts
{0}:3:44: metadata.annotations.a: otelkit writes the annotations of its alerts itself; left out
{0}:14:33: spec.objectives[1]: left out, for an SLA file refuses it: \
"""


def otelkit(*arguments: str | Path) -> tuple[int, str, str]:
    command = [OTELKIT, "import", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def slo(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(SLO)
    return path


def test_the_file_goes_to_stdout_and_the_notes_to_stderr(slo: Path) -> None:
    code, out, err = otelkit("openslo", slo)
    assert (code, out) == (0, SLA)
    assert err.startswith(NOTES.format(slo))
    assert err.endswith(f"{slo}: 1 objective, 3 notes\n")


def test_a_written_file_passes_check(slo: Path) -> None:
    sla = slo.with_name("sla.yaml")
    code, out, err = otelkit("openslo", slo, "-o", sla)
    assert (code, out, sla.read_text()) == (0, "", SLA)
    assert err.endswith(f"3 notes; next: otelkit check {sla}\n")
    done = subprocess.run([OTELKIT, "check", sla], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in slo.parent.iterdir() if path.name[0] == "."] == []


def test_no_file_is_replaced_unless_forced_and_the_foreign_one_never(slo: Path) -> None:
    sla = slo.with_name("sla.yaml")
    sla.write_text("mine")
    assert otelkit("openslo", slo, "-o", sla) == (
        1,
        "",
        f"otelkit: {sla} is there already; name another file, or use --force\n",
    )
    assert sla.read_text() == "mine"
    assert otelkit("openslo", slo, "-o", sla, "--force")[0] == 0
    assert sla.read_text() == SLA
    link = slo.with_name("link.yaml")
    link.symlink_to(slo)
    assert otelkit("openslo", slo, "-o", link, "--force") == (
        1,
        "",
        f"otelkit: {link} is the file that is read; name another one\n",
    )
    assert slo.read_text() == SLO


def test_what_cannot_be_written_is_a_sentence(slo: Path) -> None:
    code, out, err = otelkit("openslo", slo, "-o", slo.parent / "none" / "sla.yaml")
    assert (code, out) == (1, "")
    assert err.startswith(f"otelkit: cannot write {slo.parent}/none/sla.yaml: No such file")


def test_json_holds_the_file_and_the_notes_with_their_places(slo: Path) -> None:
    code, out, err = otelkit("openslo", slo, "--json")
    answer = json.loads(out)
    assert (code, err, answer["sla"], answer["objectives"]) == (0, "", SLA, 1)
    assert [(n["line"], n["column"], n["path"]) for n in answer["notes"]] == [
        (1, 1, ""),
        (3, 44, "metadata.annotations.a"),
        (14, 33, "spec.objectives[1]"),
    ]
    code, out, _ = otelkit("sloth", slo, "--json")
    assert (code, json.loads(out)["problems"][0]["message"]) == (
        1,
        "this is OpenSLO; run: otelkit import openslo FILE",
    )


def test_a_file_without_a_single_objective_left_is_refused_with_all_its_notes(slo: Path) -> None:
    slo.write_text(SLO.replace("{target: 0.999}, ", ""))
    sla = slo.with_name("sla.yaml")
    code, out, err = otelkit("openslo", slo, "-o", sla)
    assert (code, out, sla.exists()) == (1, "", False)
    assert "left out, for an SLA file refuses it: 100% leaves no budget" in err
    assert err.endswith(f"{slo}:1:1: no objective of this file can be imported\n")
