"""What a live Prometheus lacks of what rules read, asked of real ones."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from shop.prometheus import Prometheus
from shop.waiting import until
from verify.conftest import Otelkit, StartTarget, StartWithHistory

SCRAPED = """
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{le="0.1"} 5
http_server_request_duration_seconds_bucket{le="0.5"} 8
http_server_request_duration_seconds_bucket{le="1.0"} 9
http_server_request_duration_seconds_bucket{le="+Inf"} 10
http_server_request_duration_seconds_count 10
http_server_request_duration_seconds_sum 4
# TYPE checkout_total counter
checkout_total{outcome="ok"} 5
checkout_total{outcome="slow"} 5
# TYPE depth gauge
depth{kind="good"} 3
"""

LACKING = """
version: 1
system: shop
services: {api: {}, crm: {}}
processes: {order: {stages: [new], done: [shipped], cancelled: [], paused: []}}
objectives:
  - {name: status, service: api, availability: 99%}
  - {name: slow, service: api, latency: {below: 250ms, target: 99%}}
  - {name: fast, service: api, latency: {below: 1s, target: 99%}}
  - {name: job, service: crm, availability: 99%}
  - {name: misspelt, good: chekout_total, total: checkout_total, target: 99%}
  - {name: value, good: 'checkout_total{outcome="okay"}', total: checkout_total, target: 99%}
  - {name: none-bad, bad: 'checkout_total{outcome="failed"}', total: checkout_total, target: 99%}
  - {name: region, bad: 'checkout_total{outcome="slow"}', total: checkout_total, target: 99%,
     by: [region]}
  - {name: gauge, bad: 'depth{kind="bad"}', total: depth, target: 99%}
  - {name: shipped, process: order, stage: new, within: 1h, target: 99%}
"""


@pytest.fixture
def scraping(start_prometheus: Callable[..., Prometheus], start_target: StartTarget) -> Prometheus:
    """A Prometheus that scrapes a service as the job `api`."""
    target = start_target(SCRAPED.encode(), "text/plain; version=0.0.4")
    jobs = [{"job_name": "api", "static_configs": [{"targets": [target]}]}]
    server = start_prometheus(
        json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})
    )

    def scraped() -> bool:
        answer = httpx.get(f"{server.url}/api/v1/query", params={"query": "depth"}).json()
        return bool(answer["data"]["result"])

    assert until(scraped, 30)
    return server


def written(folder: Path, text: str) -> Path:
    path = folder / "sla.yaml"
    path.write_text(text)
    return path


def told(out: str) -> list[tuple[str, str, str]]:
    """Level, objective and words of each finding, without its selector."""
    found = re.findall(r"^(missing|doubtful): ([\w-]+): \S+: (.*)$", out, re.MULTILINE)
    return list(dict.fromkeys(found))


def test_what_is_missing_is_a_sentence_with_what_there_is_instead(
    tmp_path: Path, scraping: Prometheus, otelkit: Otelkit
) -> None:
    sla = written(tmp_path, LACKING)
    done = otelkit("check", str(sla), "--prometheus", scraping.url)
    assert done.returncode == 2
    assert f"{scraping.url}: 22 selectors asked for, 23 findings\n" == done.stderr
    never = "is its target scraped?"
    assert [one for one in told(done.stdout) if "no event" not in one[2]] == [
        ("missing", "status", ("its series have no label http_response_status_code; "
         "name one that they have: instance or job")),
        ("missing", "slow", ("it has no bucket that ends at 0.25 s; "
         "take a neighbour that it has (0.1 s or 0.5 s), or give it that bucket")),
        ("missing", "job", ("its series have the job api, none that fits 'crm'; "
         "correct the SLA file, or the labels of the target")),
        ("missing", "misspelt", "no series is called chekout_total; is it checkout_total?"),
        ("missing", "value", ("its series have the outcome ok and slow, none that fits 'okay'; "
         "correct the SLA file, or the labels of the target")),
        ("doubtful", "none-bad", ("its series have the outcome ok and slow, none that fits "
         "'failed'; that is right as long as nothing has failed; else correct the value")),
        ("missing", "region", ("its series have no label region; "
         "name one that they have: instance, job or outcome")),
        ("missing", "gauge", ("its target says that it is a gauge, no counter; "
         "name a counter of the same events, or write a `query:`")),
        ("doubtful", "gauge", ("its series have the kind good, none that fits 'bad'; "
         "that is right as long as nothing has failed; else correct the value")),
        ("missing", "shipped", f"no series is called otelkit_order_clocks_total; {never}"),
        ("missing", "collector",
         f"no series is called otelkit_collector_tick_timestamp_seconds; {never}"),
        ("missing", "collector", f"no series is called otelkit_source_up; {never}"),
    ]  # fmt: skip


COUNTERS = """
version: 1
system: shop
objectives:
  - {name: checkout, bad: bad_total, total: all_total, target: 99%, by: [region]}
"""
HOUR = 60
DAY = 24 * HOUR
AHEAD = 30
"""Minutes for which there are samples beyond now, so that no answer hangs on how long we take."""


def now() -> int:
    """The last whole minute, in Unix seconds."""
    return int(time.time()) // 60 * 60


def recent(values: list[float | None]) -> dict[str, list[float | None]]:
    """One counter of all events and one of the bad ones, both alike."""
    labels = '{job="shop",instance="s:1",region="eu"}'
    return {"all_total" + labels: values, "bad_total" + labels: values}


def test_a_prometheus_that_has_everything_is_fine(
    tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    steady: list[float | None] = [10.0 * minute for minute in range(2 * HOUR + AHEAD)]
    server = start_with_history(now() - 2 * HOUR * 60, recent(steady))
    sla = written(tmp_path, COUNTERS)
    done = otelkit("check", str(sla), "--prometheus", server.url, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (0, True)
    assert answer["prometheus"] == {"address": server.url, "selectors": 2, "findings": []}


def test_series_that_are_doubtful_are_told_and_do_not_fail(
    tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    minutes = range(DAY + HOUR + AHEAD)
    idle: list[float | None] = [None if minute % 2 else 7.0 for minute in minutes]
    falling: list[float | None] = [5000.0 - minute for minute in minutes]
    started: list[float | None] = [1.0 if minute < DAY else 2.0 for minute in minutes]
    process = 'process_start_time_seconds{job="shop",instance="s:1"}'
    (total, bad) = recent(idle)
    no_region = bad.replace(',region="eu"', "")
    past = {total: idle, bad: falling, no_region: falling, process: started}
    server = start_with_history(now() - (DAY + HOUR) * 60, past)
    sla = written(tmp_path, COUNTERS)
    done = otelkit("check", str(sla), "--prometheus", server.url)
    assert done.returncode == 0
    assert {(level, name) for level, name, _ in told(done.stdout)} == {("doubtful", "checkout")}
    assert [words.split("; ")[0] for _, _, words in told(done.stdout)] == [
        "it has not begun at 0 again, though its process has restarted within a day",
        "it is scraped about every 120 s",
        "1 of its 2 series have no label region",
        "one of its series has fallen 59 times within the last hour",
        "no event within the last hour",
    ]
    assert "is it a gauge, or do several processes write one series?" in done.stdout


def test_a_target_that_went_away_is_told_from_one_that_never_was(
    tmp_path: Path, start_with_history: StartWithHistory, otelkit: Otelkit
) -> None:
    until_lately: list[float | None] = [float(minute) for minute in range(HOUR)]
    server = start_with_history(now() - (HOUR + 20) * 60, recent(until_lately))
    done = otelkit("check", str(written(tmp_path, COUNTERS)), "--prometheus", server.url)
    assert done.returncode == 2
    assert (
        "missing: checkout: all_total: it had series within the last hour, but has none now; "
        "is its target up?"
    ) in done.stdout.splitlines()


def test_a_prometheus_that_does_not_answer_is_no_answer(tmp_path: Path, otelkit: Otelkit) -> None:
    sla = written(tmp_path, COUNTERS)
    done = otelkit("check", str(sla), "--prometheus", "http://u:secret@127.0.0.1:9", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("otelkit: no Prometheus answers at http://127.0.0.1:9 (")
    assert "secret" not in done.stderr
