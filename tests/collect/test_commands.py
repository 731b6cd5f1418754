"""``otelkit order`` and ``otelkit orders overdue`` against a running collector."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import ANY

import httpx
import pytest

from collecting import batch, moved, otelkit
from shop.servers import free_port
from shop.services import SLA_FILE, Collector
from shop.waiting import until

TOKEN = "opensesame"
NOW = time.time()
LONG_AGO = NOW - 90_000
ODD = "A-[/red]:boom:"
"""An id that a console library may take for markup."""


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    collector = Collector(tmp_path_factory.mktemp("collector"), {"token": TOKEN})
    collector.start()
    told = [
        moved("A-1042", "submitted", LONG_AGO, tier="vip", partner="acme", aliases={"mes": "W-77"}),
        moved("A-1042", "manufacturing", LONG_AGO + 65),
        moved("A-1043", "submitted", LONG_AGO),
        moved("A-1043", "shipped", LONG_AGO + 5),
        moved("A-1044", "manufacturing", NOW),
        moved("A-1044", "waiting_for_customer", NOW + 1),
        moved(ODD, "manufacturing", LONG_AGO + 70),
    ]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{collector.url}/events", content=batch(told), headers=headers).raise_for_status()
    asked = f"{collector.url}/orders?limit=4"
    assert until(lambda: len(httpx.get(asked, headers=headers).json()["orders"]) == 4, 10)
    yield collector
    collector.stop()


def run(collector: Collector, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that knows address and token by environment."""
    env = os.environ | {
        "OTELKIT_COLLECTOR": collector.url,
        "OTELKIT_TOKEN": TOKEN,
        "TZ": "Europe/Moscow",
    }
    ran = otelkit(arguments, env)
    return ran.returncode, ran.stdout, ran.stderr


def rows(output: str) -> list[list[str]]:
    """The cells of the tables in what a command printed."""
    cut = [line.strip("│┃").split("│") for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in cut]


def moscow(at: float) -> str:
    return datetime.fromtimestamp(at + 3 * 3600, UTC).strftime("%Y-%m-%d %H:%M:%S MSK")


def test_an_order_is_shown_with_its_clocks_and_how_it_came_there(collector: Collector) -> None:
    code, said, errors = run(collector, "order", "W-77")
    assert (code, errors) == (0, "")
    assert said.splitlines()[:4] == [
        "A-1042: manufacturing",
        f"in stage manufacturing since {moscow(LONG_AGO + 65)}, tier vip, partner acme",
        f"waits for packed, due {moscow(LONG_AGO + 20)}",
        "called W-77 by mes",
    ]
    assert rows(said) == [
        ["delivered-on-time", "overdue", moscow(LONG_AGO + 20), "default"],
        ["manufacturing-on-time", "overdue", moscow(LONG_AGO + 71), "acme-gold"],
        [moscow(LONG_AGO), "submitted", "0:01:05", "test", ""],
        [moscow(LONG_AGO + 65), "manufacturing", ANY, "test", ""],
    ]


def test_a_paused_clock_shows_what_is_left_and_an_ended_one_how_it_ended(
    collector: Collector,
) -> None:
    _, paused, _ = run(collector, "order", "A-1044")
    assert paused.splitlines()[1].startswith("paused in stage manufacturing since ")
    assert ["manufacturing-on-time", "paused", "0:00:07 left", "default"] in rows(paused)
    _, ended, _ = run(collector, "order", "A-1043")
    assert ended.splitlines()[1].startswith("ended in stage submitted since ")
    assert ["delivered-on-time", "met", moscow(LONG_AGO + 20), "default"] in rows(ended)


def test_overdue_orders_are_listed_the_longest_overdue_first_whatever_they_are_called(
    collector: Collector,
) -> None:
    code, said, errors = run(collector, "orders", "overdue")
    assert (code, errors) == (0, "")
    assert [row[:5] for row in rows(said)] == [
        ["A-1042", "delivered-on-time", "manufacturing", "vip", "acme"],
        ["A-1042", "manufacturing-on-time", "manufacturing", "vip", "acme"],
        [ODD, "manufacturing-on-time", "manufacturing", "standard", ""],
        [ODD, "delivered-on-time", "manufacturing", "standard", ""],
    ]
    assert all(row[5].startswith("1 day, ") for row in rows(said))

    code, said, errors = run(collector, "orders", "overdue", "--limit", "1")
    assert (len(rows(said)), code) == (1, 0)
    assert errors.startswith("there are more; go on with --after ")
    after = errors.split()[-1]
    code, said, errors = run(collector, "orders", "overdue", "--after", after)
    assert ([row[0] for row in rows(said)], errors) == (["A-1042", ODD, ODD], "")
    code, said, errors = run(collector, "orders", "overdue", "--state", "at_risk")
    assert (code, said, errors) == (0, "", "no order is at risk\n")
    code, said, errors = run(collector, "orders", "overdue", "--stage", "packed")
    assert (code, said, errors) == (0, "", "no order is overdue\n")


def test_programs_get_what_the_collector_answers(collector: Collector) -> None:
    code, said, errors = run(collector, "order", ODD, "--json")
    assert (code, errors) == (0, "")
    assert [order["id"] for order in json.loads(said)["orders"]] == [ODD]
    code, said, errors = run(
        collector, "orders", "overdue", "--objective", "delivered-on-time", "--json"
    )
    assert (code, errors) == (0, "")
    assert [order["id"] for order in json.loads(said)["orders"]] == ["A-1042", ODD]


def test_an_order_that_nobody_has_told_of_is_unknown(collector: Collector) -> None:
    told = "no event has told of an order 'A-9999'; is the id right?\n"
    assert run(collector, "order", "A-9999") == (3, "", told)
    assert run(collector, "order", "A-9999", "--json") == (3, "", told)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--token", "guess"),
            "the collector at {url} refuses: send the collector's token: Authorization: Bearer ...",
        ),
        (
            ("--token", "schlüssel"),
            "the collector at {url} refuses: send the collector's token: Authorization: Bearer ...",
        ),
        (
            ("--stage", "lost"),
            (
                "the collector at {url} refuses: no stage 'lost' in the SLA file; "
                "it has submitted, priced, approved, manufacturing, packed"
            ),
        ),
        (
            ("--collector", "{url}/nowhere"),
            (
                "what answers at {url}/nowhere is no collector, or an older one; "
                "name another with --collector"
            ),
        ),
        (
            ("--collector", "http://127.0.0.1:{free}"),
            (
                "no collector answers at http://127.0.0.1:{free} ([Errno 111] Connection refused); "
                "start one with `otelkit collect`, or name another with --collector"
            ),
        ),
    ],
)
def test_a_collector_that_is_away_or_refuses_is_a_sentence(
    collector: Collector, arguments: tuple[str, ...], sentence: str
) -> None:
    known = {"url": collector.url, "free": free_port()}
    asked = [argument.format(**known) for argument in arguments]
    code, said, errors = run(collector, "orders", "overdue", *asked)
    assert (code, said, errors) == (1, "", f"otelkit: {sentence.format(**known)}\n")


def test_an_erased_order_has_no_partner_and_no_other_name(collector: Collector) -> None:
    told = moved("A-9", "submitted", NOW, partner="acme", aliases={"mes": "W-9"})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{collector.url}/events", content=told, headers=headers).raise_for_status()
    assert "acme" in run(collector, "order", "A-9")[1]
    said = "erased what was personal of 1 order(s)\n"
    assert run(collector, "orders", "erase", "W-9") == (0, "", said)
    code, output, _ = run(collector, "order", "A-9")
    assert (code, "acme" in output, "W-9" in output) == (0, False, False)
    assert run(collector, "orders", "erase", "W-9")[0] == 3


class _Handing(BaseHTTPRequestHandler):
    """As one of several collectors answers while a shard changes hands."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b'{"policies": [], "outdated": 0, "changeover": null}')


def test_a_plan_whose_shard_changes_hands_is_a_sentence() -> None:
    with HTTPServer(("127.0.0.1", 0), _Handing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        ran = otelkit(["clocks", "plan", "--sla", str(SLA_FILE), "--collector", url])
        thread.join()
    said = f"otelkit: the collector at {url} no longer does this; run it again to see why\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)
