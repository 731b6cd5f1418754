"""May we release? Asked of a real Prometheus that has recorded budgets."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otelkit import names
from otelkit.verify.gate import Finding, Verdict, overall
from shop.prometheus import Prometheus
from shop.servers import RabbitMQ
from verify.conftest import MINUTE, StartWithHistory

SLA = """
version: 1
system: shop
release: {freeze_below: 10%}
environments:
  prod: {match: {env: prod}}
  staging: {match: {env: staging}, override: {checkout: off, unscraped: off}}
services: {api: {}, web: {}}
objectives:
  - {name: healthy, service: api, availability: 99%}
  - {name: spent, service: api, latency: {below: 250ms, target: 99%}}
  - {name: silent, service: web, availability: 99%}
  - {name: unscraped, service: web, availability: 99%}
  - {name: checkout, bad: bad_total, total: all_total, target: 99%, by: [region]}
"""
LEFT = {
    ("prod", "healthy", ""): 0.1,
    ("prod", "spent", ""): 0.099,
    ("prod", "checkout", "eu"): 0.8,
    ("prod", "checkout", "us"): -1.5,
    ("prod", "checkout", "cn"): 0.7,
    ("prod", "checkout", "uk"): -0.5,
    ("prod", "unscraped", ""): 1.0,
    ("staging", "healthy", ""): 1.0,
    ("staging", "spent", ""): 1.0,
    ("staging", "silent", ""): 1.0,
}

EVENTS = f"{names.TOTAL}5m"
PAST, AHEAD = 26 * 60, 30
"""Minutes of history, and of samples beyond now, so that no answer hangs on how long we take."""
SILENT = {"unscraped": PAST, "cn": 30, "uk": 25 * 60}
"""For so many minutes nothing of these objectives and regions has been counted."""


def lately(value: float, end: int) -> list[float | None]:
    """The same value for an hour and a half up to a minute of the past."""
    begin = max(0, end - 90)
    return [*[None] * begin, *[value] * (end - begin)]


@pytest.fixture
def server(start_with_history: StartWithHistory) -> Prometheus:
    """A Prometheus that has these budgets on record."""
    past: dict[str, list[float | None]] = {}
    for (environment, objective, region), left in LEFT.items():
        own = f'{{system="shop",environment="{environment}",objective="{objective}"'
        own += f',region="{region}"}}' if region else "}"
        end = PAST - SILENT.get(region or objective, -AHEAD)
        past[names.ERROR_BUDGET_REMAINING + own] = lately(left, PAST + AHEAD)
        past[EVENTS + own] = lately(600.0, end)
    return start_with_history(int(time.time()) // MINUTE * MINUTE - PAST * MINUTE, past)


@pytest.fixture
def sla(tmp_path: Path) -> Path:
    path = tmp_path / "sla.yaml"
    path.write_text(SLA)
    return path


def gate(sla: Path, url: str, *more: str) -> tuple[int, str, str]:
    program = str(Path(sys.executable).with_name("otelkit"))
    command = [program, "gate", str(sla), "--prometheus", url, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_budget_below_the_limit_says_no_and_one_at_the_limit_yes(
    sla: Path, server: Prometheus
) -> None:
    code, out, _ = gate(sla, server.url, "--environment", "prod", "--service", "api", "--json")
    found = {one["objective"]: one for one in json.loads(out)["objectives"]}
    assert (code, json.loads(out)["release"]) == (2, "no")
    assert {name: one["verdict"] for name, one in found.items()} == {
        "healthy": "yes",
        "spent": "no",
    }
    assert gate(sla, server.url, "--environment", "prod", "--objective", "healthy")[0] == 0


def test_what_is_not_on_record_is_unknown_unless_something_says_no(
    sla: Path, server: Prometheus
) -> None:
    code, out, err = gate(sla, server.url, "--environment", "prod", "--service", "web")
    assert (code, "not on record" in out) == (3, True)
    assert "are the rules loaded, and the services scraped?" in err
    assert gate(sla, server.url)[0] == 2


def test_a_budget_whose_events_no_longer_come_in_is_unknown(sla: Path, server: Prometheus) -> None:
    code, out, _ = gate(
        sla, server.url, "--environment", "prod", "--objective", "unscraped", "--json"
    )
    (found,) = json.loads(out)["objectives"]
    assert (code, found["verdict"], found["budget_left"]) == (3, "unknown", 1.0)


def test_a_value_that_falls_silent_makes_the_answer_unknown_until_it_is_gone(
    sla: Path, server: Prometheus
) -> None:
    asked = ("--environment", "prod", "--objective", "checkout", "--json")
    _, out, _ = gate(sla, server.url, *asked)
    found = {one["labels"]["region"]: one["verdict"] for one in json.loads(out)["objectives"]}
    assert found == {"eu": "yes", "cn": "unknown", "us": "no", "uk": "gone"}


@pytest.mark.parametrize(
    ("told", "verdict"),
    [("yes gone", "yes"), ("yes unknown", "unknown"), ("unknown no", "no"), ("gone", "unknown")],
)
def test_what_is_gone_has_no_say_and_no_weighs_most(told: str, verdict: str) -> None:
    found = [Finding("o", "prod", (), None, Verdict(one)) for one in told.split()]
    assert overall(found) is Verdict(verdict)


def test_each_value_of_a_by_label_has_its_say(sla: Path, server: Prometheus) -> None:
    code, out, err = gate(sla, server.url, "--environment", "prod", "--objective", "checkout")
    assert code == 2
    assert "region=us" in out
    assert "-150.0%" in out
    assert err == "release: no: less than 10% of a budget is left\n"


def test_another_environment_has_an_answer_of_its_own(sla: Path, server: Prometheus) -> None:
    assert gate(sla, server.url, "--environment", "staging")[0] == 0


def test_without_a_policy_the_answer_is_unknown(sla: Path) -> None:
    sla.write_text(SLA.replace("release: {freeze_below: 10%}", ""))
    code, _, err = gate(sla, "http://127.0.0.1:9")
    assert (code, err) == (3, f"{sla} has no release policy; add release: {{freeze_below: 10%}}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--objective", "nope"], "no objective with a budget is called 'nope' in the SLA file"),
        (["--service", "nope"], "no objective is left; correct --objective or --service"),
        (["--environment", "nope"], "no environment is called 'nope'; name one of prod, staging"),
    ],
)
def test_a_misspelt_choice_is_no_answer(sla: Path, arguments: list[str], sentence: str) -> None:
    assert gate(sla, "http://127.0.0.1:9", *arguments) == (1, "", f"otelkit: {sentence}\n")


def test_a_prometheus_that_does_not_answer_is_a_sentence_without_its_password(sla: Path) -> None:
    code, _, err = gate(sla, "http://user:secret@127.0.0.1:9")
    assert code == 1
    assert err.startswith("otelkit: no Prometheus answers at http://127.0.0.1:9 (")
    assert "secret" not in err


def test_what_is_no_prometheus_is_told(sla: Path, rabbitmq: RabbitMQ) -> None:
    code, _, err = gate(sla, rabbitmq.management_url)
    assert code == 1
    assert "no Prometheus" in err
