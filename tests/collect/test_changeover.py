"""``otelkit clocks`` against a running collector: another SLA file while orders go on."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from collecting import OTELKIT, StartCollector, batch, moved, of, otelkit, overdue, scrape
from otelkit import names
from shop.services import SLA_FILE, Collector
from shop.waiting import until

MAKING = "manufacturing-on-time"
WHOLE = "delivered-on-time"
ORDERS = 8_000
GENEROUS = (
    SLA_FILE.read_text()
    .replace("allow: 8s", "allow: 8h")
    .replace("20s", "20h")
    .replace("approved, ", "")
    .replace("optional: [approved]", "optional: []")
)
STAYS = "status 'approved' is not in the SLA file (L-1)"


@pytest.fixture
def generous(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(GENEROUS)
    return path


def run(collector: Collector, *arguments: str) -> subprocess.CompletedProcess[str]:
    return otelkit(["clocks", *arguments], os.environ | {"OTELKIT_COLLECTOR": collector.url})


def post(collector: Collector, *told: bytes) -> None:
    answer = httpx.post(f"{collector.url}/events", content=batch(told), timeout=30)
    answer.raise_for_status()


def clocks(collector: Collector) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{collector.url}/clocks", timeout=10).json()
    return found


def test_a_plan_says_what_would_change_and_changes_nothing(
    start_collector: StartCollector, generous: Path
) -> None:
    collector = start_collector()
    ago = time.time() - 60
    post(
        collector,
        *(moved(f"A-{n}", "manufacturing", ago) for n in range(7)),
        moved("V-1", "manufacturing", ago, tier="vip"),
        moved("L-1", "approved", time.time() + 3600),
        moved("W-1", "priced", time.time()),
        moved("W-1", "waiting_for_customer", time.time() + 1),
    )
    assert until(lambda: overdue(collector.url) == 16, 10)
    plan = run(collector, "plan", "--sla", str(generous))
    assert plan.returncode == 2
    assert plan.stderr == (
        f"1 order would stay: {STAYS}\n"
        "9 of 10 open orders that followed another SLA file would change\n"
    )
    cut = [line.strip("│┃").split("│") for line in plan.stdout.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in cut] == [
        [WHOLE, "overdue -> running", "8", "A-0, A-1, A-2, A-3, A-4"],
        ["", "deadline later", "9", "by 20:00:00 (median)"],
        [MAKING, "overdue -> running", "7", "A-0, A-1, A-2, A-3, A-4"],
        ["", "deadline later", "7", "by 8:00:00 (median)"],
        ["", "unchanged", "1", ""],
    ]
    told = json.loads(run(collector, "plan", "--sla", str(generous), "--json").stdout)
    assert (told["orders"], told["changed"], told["finished"]) == (10, 9, True)
    same = run(collector, "plan", "--sla", str(SLA_FILE))
    assert (same.returncode, same.stdout) == (0, "")
    assert same.stderr == "every open order follows this SLA file\n"
    assert overdue(collector.url) == 16
    applied = run(collector, "apply", "--sla", str(generous))
    assert (applied.returncode, applied.stdout) == (0, plan.stdout)
    assert applied.stderr == (
        f"1 order had to stay: {STAYS}\n"
        "9 of 10 open orders that followed another SLA file changed\n"
        f"let the collector start with {generous} from now on\n"
    )
    shown = run(collector, "show")
    assert (shown.returncode, " 9           │ yes" in shown.stdout) == (2, True)
    assert shown.stderr.startswith("1 open order not under the SLA file in force; ")


def test_what_no_collector_takes_is_told_in_a_sentence(
    start_collector: StartCollector, tmp_path: Path
) -> None:
    collector = start_collector()
    foreign = tmp_path / "mill.yaml"
    foreign.write_text(GENEROUS.replace("system: shop", "system: mill"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 1\n")
    for file, said in (
        (foreign, "refuses: the collector works for the system 'shop', and this SLA file is that"),
        (broken, "broken.yaml:1:1: the key 'system' is missing; add it"),
    ):
        done = run(collector, "apply", "--sla", str(file))
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    for body, told in (
        (b"include: [/etc/passwd]\nversion: 1\n", "there is no folder to find this in"),
        (b"\xff", "is not UTF-8"),
    ):
        answer = httpx.post(f"{collector.url}/clocks/plan", content=body)
        assert (answer.status_code, told in answer.json()["error"]) == (400, True)
    assert clocks(collector)["changeover"] is None


def test_events_flow_while_a_file_is_applied_and_a_collector_killed_amid_it_goes_on(
    start_collector: StartCollector, generous: Path
) -> None:
    collector = start_collector()
    ago = time.time() - 60
    told = [moved(f"A-{n}", "manufacturing", ago) for n in range(ORDERS)]
    for n in range(0, ORDERS, 2_000):
        post(collector, *told[n : n + 2_000])
    assert until(lambda: overdue(collector.url) == 2 * ORDERS, 60)
    customers = Customers(collector)
    customers.start()
    env = os.environ | {"OTELKIT_COLLECTOR": collector.url}
    command = [OTELKIT, "clocks", "apply", "--sla", str(generous), "--json"]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as apply:
        assert until(lambda: 0 < reached(collector) < ORDERS, 30, interval=0.01)
        began = customers.done
        collector.process.kill()
        collector.start()
        said, errors = apply.communicate(timeout=60)
    assert (apply.returncode, errors) == (0, "")
    assert json.loads(said)["finished"]
    assert customers.done > began
    customers.stop()

    found = scrape(collector.url)
    assert sum(of(found, names.ORDERS_OUTDATED.name, "process").values()) == 0
    assert until(lambda: overdue(collector.url) == 0, 5)
    counted = of(found, names.ORDER_CLOCKS.name, "objective", "outcome")
    assert counted[MAKING, "breached"] == ORDERS, "each once, and none is taken back"
    opened = sum(of(found, names.ORDERS_OPEN.name, "stage").values())
    assert opened == ORDERS + customers.done
    (in_force,) = (one for one in clocks(collector)["policies"] if one["orders"])
    assert in_force["in_force"]
    for order in ("A-0", f"A-{ORDERS - 1}", f"new-{customers.done - 1}"):
        (one,) = httpx.get(f"{collector.url}/orders/{order}").json()["orders"]
        assert {clock["state"] for clock in one["clocks"]} == {"running"}
        assert one["policy"] == in_force["fingerprint"]
    assert run(collector, "show").returncode == 0


def reached(collector: Collector) -> int:
    work = clocks(collector)["changeover"]
    return 0 if work is None or work["finished"] else int(work["reached"])


class Customers(threading.Thread):
    """Each order is told of until the collector has it."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector
        self._stopping = threading.Event()
        self.done = 0

    def run(self) -> None:
        while not self._stopping.wait(0.01):
            event = moved(f"new-{self.done}", "priced", time.time())
            try:
                post(self._collector, event)
            except httpx.HTTPError:
                continue
            self.done += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join()
