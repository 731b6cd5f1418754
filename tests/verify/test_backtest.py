"""Which alerts would have fired: a real Prometheus with an outage in its past, and promtool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from otelkit import spec
from otelkit.generate import files
from otelkit.verify.backtest import Backtest
from otelkit.verify.prometheus import Prometheus
from otelkit.verify.replay import Rule
from otelkit.verify.scratch import find, scratch
from shop.waiting import until
from verify.conftest import History, Otelkit, StartWithHistory

BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
"""A Thursday and the first of a month, as the day is on which promtool begins."""
MINUTES = 36 * 60
OUTAGE = range(30 * 60, 30 * 60 + 30)
"""Half an hour without one good answer, from 2026-01-02T06:00Z."""
TRICKLE = range(10 * 60, 10 * 60 + 90)
"""An hour and a half in which every tenth order of one region fails, from 2026-01-01T10:00Z."""
GAP = range(11 * 60 + 30, 12 * 60 + 10)
"""Forty minutes in which that region is not scraped, right after."""
LATE = range(13 * 60, 13 * 60 + 20)
"""Twenty minutes in each of which one order is newly overdue, from 2026-01-01T13:00Z."""
ASKED = ("--from", "2026-01-01T06:00Z", "--to", "2026-01-02T11:30Z")

SLA = """
version: 1
system: shop
labels: {division: commerce}
environments: {prod: {match: {env: prod}}}
services: {api: {match: {job: api}}}
processes: {order: {stages: [new], done: [shipped], cancelled: [], paused: [], tiers: [any]}}
objectives:
  - {name: availability, service: api, availability: 99.9%, window: month}
  - {name: checkout, bad: failed_total, total: all_total, target: 99%, by: [region], window: 7d,
     exclude: [{from: 2026-01-01T10:30Z, to: 2026-01-01T10:40Z, reason: a test of ours}]}
  - {name: shipped, process: order, stage: new, within: 1h, target: 95%,
     overdue: {page: 5 new in 1h}}
"""


def counted(each: Iterable[float]) -> list[float]:
    return list(accumulate(each))


def without_gap(values: Sequence[float]) -> list[float | None]:
    return [None if minute in GAP else value for minute, value in enumerate(values)]


def past() -> History:
    """600 answers a minute; the series of failures appears with the first of them."""
    good = counted(0 if minute in OUTAGE else 600 for minute in range(MINUTES))
    bad = counted(600 if minute in OUTAGE else 0 for minute in range(MINUTES))
    failed = counted(20 if minute in TRICKLE else 0 for minute in range(MINUTES))
    every = counted(200 for _ in range(MINUTES))
    answers = "http_server_request_duration_seconds_count"
    api = '{job="api",instance="a:1",env="prod",http_response_status_code="%s"}'
    shop = '{job="shop",instance="s:1",env="prod",region="%s"}'
    clocks = 'otelkit_order_clocks_total{system="shop",objective="shipped",env="prod",outcome="%s"}'
    return {
        answers + api % 200: good,
        answers + api % 503: [value or None for value in bad],
        "all_total" + shop % "eu": without_gap(every),
        "all_total" + shop % "us": every,
        "failed_total" + shop % "eu": without_gap(failed),
        "failed_total" + shop % "us": [0.0] * MINUTES,
        clocks % "met": counted(10 for _ in range(MINUTES)),
        clocks % "breached": counted(1 if minute in LATE else 0 for minute in range(MINUTES)),
    }


@pytest.fixture
def sla(tmp_path: Path) -> Path:
    path = tmp_path / "sla.yaml"
    path.write_text(SLA)
    return path


def minute(text: str) -> int:
    """Minutes since the past began."""
    return int(datetime.fromisoformat(text).timestamp() - BEGIN) // 60


def test_alerts_and_their_minutes_are_those_of_promtool(
    sla: Path, tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    # A server that is asked for too much at once has to be asked for less.
    server = start_with_history(BEGIN, past(), "--query.max-samples=2000")
    done = otelkit("backtest", str(sla), "--prometheus", server.url, *ASKED, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    firings = json.loads(done.stdout)["firings"]
    (paged,) = [f for f in firings if f["labels"].get("region") and f["alert"] == "ErrorBudgetBurn"]
    assert paged["labels"] == {
        "system": "shop",
        "environment": "prod",
        "objective": "checkout",
        "region": "eu",
        "severity": "page",
        "owner": "default",
        "division": "commerce",
    }
    labels = [(f["alert"], f["labels"]) for f in firings]
    told = {(alert, own.get("objective", ""), own["severity"]) for alert, own in labels}
    assert told == {
        ("ErrorBudgetBurn", "checkout", "page"),
        ("ErrorBudgetBurn", "availability", "page"),
        ("ErrorBudgetBurn", "availability", "ticket"),
        ("ObjectiveNoData", "checkout", "ticket"),
        ("OrdersOverdue", "shipped", "page"),
        ("CollectorStale", "", "page"),
    }
    assert promtool_objects(sla, tmp_path / "rules", firings) == ""


def promtool_objects(sla: Path, folder: Path, firings: Sequence[dict[str, Any]]) -> str:
    """What `promtool test rules` has against these firings on the same data; empty if nothing.

    Each has to begin and to end in its minute, and all that fires has to be among them.
    """
    # promtool begins in 1970, which matters to nothing but excluded times.
    sla.write_text(SLA.replace("2026-01-01", "1970-01-01"))
    made = files.files(spec.load(sla), sla.name)
    rules = [path for path in made if path.startswith("alert_rules/")]
    (folder / "alert_rules").mkdir(parents=True)
    for path in rules:
        (folder / path).write_text(made[path])
    series = [
        {"series": name, "values": " ".join("_" if v is None else f"{v:.0f}" for v in values)}
        for name, values in past().items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [*expected(firings)]}
    groups = [file.group.name for file in files.rule_files(spec.load(sla))]
    document = {
        "rule_files": rules,
        "evaluation_interval": "1m",
        "group_eval_order": groups,  # or it is another each time, and so are minutes
        "tests": [test],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(document))
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def expected(firings: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    begin, end = minute(ASKED[1]), minute(ASKED[3])
    for one in firings:
        labels = {"alertname": one["alert"], "alertstate": "firing", **one["labels"]}
        own = "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
        fires = [{"labels": f"ALERTS{own}", "value": 1}]
        since, to = minute(one["from"]), minute(one["to"])
        after = fires if one["still_firing"] else []
        before = fires if one["began_before"] else []
        for at, samples in {since - 1: before, since: fires, to - 1: fires, to: after}.items():
            yield {"expr": f"ALERTS{own}", "eval_time": f"{at}m", "exp_samples": samples}
    minutes = sum(one["seconds"] / 60 + one["still_firing"] for one in firings)
    every = 'sum(count_over_time(ALERTS{alertname!="RulesNotEvaluating",alertstate="firing"}'
    yield {
        "expr": f"{every}[{end - begin}m:1m]))",
        "eval_time": f"{end}m",
        "exp_samples": [{"labels": "{}", "value": minutes}],
    }


def test_two_files_are_told_apart_by_what_on_call_would_have_seen(
    sla: Path, tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    server = start_with_history(BEGIN, past())
    old = tmp_path / "old.yaml"
    old.write_text(
        SLA.replace("99%", "95%").replace("99.9%", "99%").replace("division: commerce", "a: b")
    )
    asked = ("backtest", str(sla), "--prometheus", server.url, *ASKED, "--against", str(old))
    done = otelkit(*asked)
    assert done.returncode == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines()]
    page, ticket = ["page", "ErrorBudgetBurn"], ["ticket", "ErrorBudgetBurn"]
    eu = "prod.checkout region=eu"
    assert [row for row in rows if row] == [
        ["page", "CollectorStale", "prod", "before 2026-01-01 06:00", "over 1d5h", "the same"],
        [*page, eu, "2026-01-01 10:22", "1h49m", "silent"],
        ["ticket", "ObjectiveNoData", eu, "2026-01-01 11:49", "21m", "the same"],
        ["page", "OrdersOverdue", "prod.shipped", "2026-01-01 13:04", "1h13m", "the same"],
        [*page, "prod.availability", "2026-01-02 06:01", "1h2m", "10m later, 13m shorter"],
        [*ticket, "prod.availability", "2026-01-02 07:00", "over 4h30m", "silent"],
    ]
    said = done.stderr.splitlines()
    assert said[0] == (
        f"{sla}: 6 firings from 2026-01-01 06:00Z to 2026-01-02 11:30Z; "
        "2 of them only by it, and 0 only by the old file"
    )
    assert said[2] == (
        "prod.checkout: data only from 2026-01-01 00:01Z; its budget would look back to "
        "2025-12-25 03:43Z, and is reckoned from less"
    )


def test_an_objective_that_the_old_file_did_not_have_was_silent_then(
    sla: Path, tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    server = start_with_history(BEGIN, past())
    old = tmp_path / "old.yaml"
    old.write_text(SLA[: SLA.index("  - {name: checkout")])
    asked = ("--objective", "checkout", "--against", str(old), "--json")
    done = otelkit("backtest", str(sla), "--prometheus", server.url, *ASKED, *asked)
    pairs = json.loads(done.stdout)["pairs"]
    assert [(pair["old"], pair["new"]["alert"]) for pair in pairs] == [
        (None, "ErrorBudgetBurn"),
        (None, "ObjectiveNoData"),
    ]


def test_an_objective_without_data_makes_the_answer_unknown(
    sla: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    server = start_with_history(BEGIN, past())
    before = ("--from", "2026-02-20", "--to", "2026-02-20T03:00+01:00", "--objective", "checkout")
    done = otelkit("backtest", str(sla), "--prometheus", server.url, *before)
    assert done.returncode == 3
    assert "before 2026-02-20 00:00 │ over 2h" in done.stdout  # ObjectiveNoData
    assert done.stderr.splitlines() == [
        f"{sla}: 1 firing from 2026-02-20 00:00Z to 2026-02-20 02:00Z",
        (
            "prod.checkout: no data in this time, so that its silence means nothing; "
            "ask `otelkit check --prometheus` what is missing"
        ),
    ]


def test_an_objective_without_data_in_the_old_file_makes_the_answer_unknown_too(
    sla: Path, tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    server = start_with_history(BEGIN, past())
    old = tmp_path / "old.yaml"
    old.write_text(SLA.replace("all_total", "every_total"))
    asked = ("--from", "2026-01-02T10:00Z", "--to", "2026-01-02T11:00Z", "--objective", "checkout")
    done = otelkit("backtest", str(sla), "--prometheus", server.url, *asked, "--against", str(old))
    assert done.returncode == 3
    assert done.stderr.splitlines()[2:] == [
        (
            f"{old}: prod.checkout: no data in this time, so that its silence means nothing; "
            "ask `otelkit check --prometheus` what is missing"
        )
    ]


def test_a_recording_ends_when_its_series_does_and_not_five_minutes_later(
    start_with_history: StartWithHistory,
) -> None:
    server = start_with_history(BEGIN, past())
    start, end = (datetime.fromisoformat(ASKED[at]) for at in (1, 3))
    step = timedelta(minutes=1)

    def replayed(shown: str) -> Backtest:
        raw = f'all_total{{region="us"}} and on () ({shown})'
        alert = Rule("There", "a:b", {"severity": "page"}, alert=True)
        return Backtest([Rule("a:b", raw, {}), alert], start, end, step)

    (first, _) = next(iter(replayed("vector(1)").tasks[0].chunks(end.timestamp(), 60)))
    within, at_edge, last = first + 3600, first + 1440 * 60, end.timestamp() - 1800
    times = f"vector(time()) < {within} or vector(time()) > {within + 600} < {at_edge}"
    test = replayed(f"{times} or vector(time()) > {at_edge + 600} < {last}")
    with Prometheus(server.url) as live, scratch(find(), test.span) as own:
        found = test.run(live, own, lambda: None).firings
    assert [one.until for one in found] == [within, at_edge, last]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "yesterday"], "'yesterday' is no time; write one such as 2026-03-01T08:00Z"),
        (["--from", "-99999999d"], "'-99999999d' is no time"),
        (["--to", "2999-01-01"], "--to 2999-01-01 lies ahead of us; nothing is stored of it"),
        (["--from", "-1h", "--to", "-2h"], "--from -1h is not before --to -2h"),
        (["--step", "1h"], "'1h' is no step; write one from 10s to 5m, such as 1m"),
        (["--objective", "nope"], "no objective is called 'nope' in"),
        ([], "no Prometheus answers at http://127.0.0.1:9 ("),
    ],
)
def test_a_wrong_question_is_a_sentence(
    sla: Path, otelkit: Otelkit, arguments: list[str], sentence: str
) -> None:
    done = otelkit("backtest", str(sla), "--prometheus", "http://127.0.0.1:9", *arguments)
    said = " ".join(done.stderr.replace("│", " ").split())
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in said


def ended(process: psutil.Process) -> bool:
    """Whether it has, be it that nobody has asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_replay_leaves_no_process_behind_and_if_it_can_no_file(
    sla: Path, tmp_path: Path, start_with_history: StartWithHistory, number: signal.Signals
) -> None:
    server = start_with_history(BEGIN, past())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = str(Path(sys.executable).with_name("otelkit"))
    command = [program, "backtest", str(sla), "--prometheus", server.url, "--from", "-80d"]
    running = subprocess.Popen(
        [*command, "--step", "10s"], env={**os.environ, "TMPDIR": str(scratch)}
    )
    try:
        assert until(lambda: bool(list(scratch.glob("otelkit-prometheus-*/data/wal/*"))), 60)
        (own,) = psutil.Process(running.pid).children()
        assert own.name() == "prometheus"
        running.send_signal(number)
        killed = number is signal.SIGKILL
        assert running.wait(30) == (-number if killed else 128 + number)
        assert until(lambda: ended(own), 5)
        assert bool(list(scratch.iterdir())) == killed
    finally:
        running.kill()
