"""Latency of native histograms: what promtool cannot write down, counted by a real Prometheus."""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pytest

from conftest import enter
from otelkit import names, spec
from otelkit.generate.files import rule_files
from otelkit.generate.rule import Recording
from otelkit.verify import remote_write
from otelkit.verify.backtest import Backtest
from otelkit.verify.prometheus import Prometheus
from otelkit.verify.replay import Rule
from otelkit.verify.scratch import find, scratch
from shop import prometheus
from shop.waiting import until
from verify.conftest import MINUTE, Otelkit, StartTarget

METRIC = "http_server_request_duration_seconds"
SLA = """
version: 1
system: shop
services: {old: {}, new: {}, scraped: {}}
objectives:
  - {name: classic, service: old, latency: {below: 250ms, target: 99%}}
  - {name: native, service: new, latency: {below: 250ms, target: 99%, native: true}}
  - {name: scraped, service: scraped, latency: {below: 250ms, target: 99%, native: true}}
"""
MINUTES = 8 * 60
SLOW = range(6 * 60, 6 * 60 + 30)
"""Half an hour in which every other of 60 requests a minute takes too long."""


# --- histograms as protobuf, written out by hand -------------------------------------------


def varint(number: int) -> bytes:
    head = bytes(number >> shift & 0x7F | 0x80 for shift in range(0, number.bit_length() - 7, 7))
    return head + bytes([number >> 7 * len(head)])


def integer(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def signed(field: int, value: int) -> bytes:
    return integer(field, 2 * value if value >= 0 else -2 * value - 1)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def nested(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def buckets(fast: int, slow: int, spans: int) -> bytes:
    """Requests of 125 to 250 ms and of 0.5 to 1 s, at a factor of two a bucket.

    ``spans`` is the number of the field that holds the spans; counts are in the next.
    """
    first, second = (signed(1, offset) + integer(2, 1) for offset in (-2, 1))
    counts = signed(spans + 1, fast) + signed(spans + 1, slow - fast)
    return nested(spans, first) + nested(spans, second) + counts


def written(labels: Mapping[str, str], histograms: Sequence[tuple[float, int, int]]) -> bytes:
    """A remote-write request of one series: Unix seconds, and how many were fast and slow."""
    series = b"".join(
        nested(1, nested(1, name.encode()) + nested(2, labels[name].encode()))
        for name in sorted(labels)
    )
    for at, fast, slow in histograms:
        series += nested(4, b"".join((
            integer(1, fast + slow), double(3, 0.2 * fast + 0.8 * slow), signed(4, 0),
            double(5, 1e-9), integer(6, 0), buckets(fast, slow, 11), integer(15, int(at * 1000)),
        )))  # fmt: skip
    body = nested(1, series)
    return varint(len(body)) + b"\xf4" + struct.pack("<H", len(body) - 1) + body  # one literal


def exposed(fast: int, slow: int) -> bytes:
    """The same on a target's /metrics."""
    histogram = (
        integer(1, fast + slow), double(2, 0.2 * fast + 0.8 * slow), signed(5, 0),
        double(6, 1e-9), integer(7, 0), buckets(fast, slow, 12),
    )  # fmt: skip
    metric = nested(4, nested(7, b"".join(histogram)))
    family = nested(1, METRIC.encode()) + integer(3, 4) + metric
    return varint(len(family)) + family


# --- the same requests twice ---------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, start_target: StartTarget) -> Iterator[prometheus.Prometheus]:
    """It takes a past, and scrapes a native histogram."""
    kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"
    target = start_target(exposed(5, 2), f"{kind}; encoding=delimited")
    jobs = [{"job_name": "scraped", "static_configs": [{"targets": [target]}]}]
    config = json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})

    def made() -> prometheus.Prometheus:
        found = prometheus.Prometheus(tmp_path / "prometheus", config)
        found.process.command += (
            "--enable-feature=native-histograms",
            "--web.enable-remote-write-receiver",
            "--storage.tsdb.min-block-duration=48h",  # or a past of hours is refused as too old
            "--storage.tsdb.max-block-duration=48h",
        )
        return found

    with ExitStack() as stack:
        yield enter(stack, made)


@pytest.fixture
def sla(tmp_path: Path) -> Path:
    path = tmp_path / "sla.yaml"
    path.write_text(SLA)
    return path


def beginning() -> int:
    """So long ago that the past reaches up to this minute."""
    return int(time.time()) // MINUTE * MINUTE - (MINUTES - 1) * MINUTE


def write_past(live: Prometheus, begin: int) -> None:
    """The same requests as a classic and as a native histogram, once a minute."""
    slow = list(accumulate(30 if minute in SLOW else 0 for minute in range(MINUTES)))
    fast = [60 * (minute + 1) - late for minute, late in enumerate(slow)]
    times = [float(begin + MINUTE * minute) for minute in range(MINUTES)]
    own = {"job": "old", "instance": "o:1"}
    counts = {
        "_bucket": ({"le": "0.25"}, fast),
        "_count": ({}, [60 * (minute + 1) for minute in range(MINUTES)]),
    }
    live.write(remote_write.request(
        ({"__name__": METRIC + suffix, **own, **more}, list(zip(times, values, strict=True)))
        for suffix, (more, values) in counts.items()
    ))  # fmt: skip
    labels = {"__name__": METRIC, "job": "new", "instance": "n:1"}
    live.write(written(labels, list(zip(times, fast, slow, strict=True))))


def counted(sla: Path, live: Prometheus, begin: int) -> Callable[[str], list[list[float]]]:
    """Replays what counts events; good, bad and total of an objective, minute by minute."""
    rules = [
        Rule(rule.record, rule.expr, rule.labels)
        for file in rule_files(spec.load(sla))
        for rule in file.group.rules
        if isinstance(rule, Recording)
    ]
    recorded = [f"{event}5m" for event in (names.GOOD, names.BAD, names.TOTAL)]
    rules.append(Rule("All", " or ".join(recorded), {}, alert=True))
    start, end = begin + 5 * MINUTE, begin + (MINUTES - 1) * MINUTE
    first, last = (datetime.fromtimestamp(at, UTC) for at in (start, end))
    test = Backtest(rules, first, last, timedelta(seconds=MINUTE))
    found: dict[tuple[str, str], list[float]] = {}
    with scratch(find(), test.span) as own:
        test.run(live, own, lambda: None)
        for name in recorded:
            for one in own.query_range(name, start, end, MINUTE):
                values = [value for _, value in one.points]
                found[name, one.labels["objective"]] = values
    return lambda objective: [found[name, objective] for name in recorded]


def test_a_native_histogram_counts_and_alerts_as_the_classic_one_of_the_same_requests(
    sla: Path, server: prometheus.Prometheus, otelkit: Otelkit
) -> None:
    begin = beginning()
    with Prometheus(server.url) as live:
        write_past(live, begin)
        of = counted(sla, live, begin)
    for native, classic in zip(of("native"), of("classic"), strict=True):
        assert native == pytest.approx(classic, abs=1e-9)
    in_the_midst = SLOW[0] + 5
    assert [values[in_the_midst] for values in of("native")] == pytest.approx([150, 150, 300])
    done = otelkit("backtest", str(sla), "--prometheus", server.url, "--from", "-3h", "--json")
    told = [
        (one["labels"]["objective"], one["labels"]["severity"], one["from"], one["to"])
        for one in json.loads(done.stdout)["firings"]
        if one["alert"] == names.ALERT_ERROR_BUDGET_BURN
    ]
    assert {objective for objective, *_ in told} == {"native", "classic"}
    assert [one[1:] for one in told[::2]] == [one[1:] for one in told[1::2]]


def test_check_asks_for_native_histograms_as_for_counters(
    sla: Path, server: prometheus.Prometheus, otelkit: Otelkit
) -> None:
    begin = beginning()
    falling = [(begin + MINUTE * at, at % 10, 0) for at in range(MINUTES)]
    with Prometheus(server.url) as live:
        write_past(live, begin)
        live.write(written({"__name__": METRIC, "job": "new", "instance": "n:2"}, falling))
        count = f'histogram_count({METRIC}{{job="scraped"}})'
        assert until(lambda: [one.value for one in live.query(count)] == [7], 30)
    done = otelkit("check", str(sla), "--prometheus", server.url, "--json")
    findings = json.loads(done.stdout)["prometheus"]["findings"]
    told = [(one["level"], one["objective"], re.sub(r"\d+", "N", one["found"])) for one in findings]
    assert told == [
        ("doubtful", "native", "one of its series has fallen N times within the last hour"),
        ("doubtful", "scraped", "no event within the last hour"),
    ]
