"""The whole way from an order to its alert, on the installed wheel, from an empty directory."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from shop.waiting import until
from wheels import ROOT, Demo


def test_prometheus_alerts_on_overdue_orders_and_dead_letters_by_name(demo: Demo) -> None:
    code, output = demo.run("--once")
    assert code == 0, output
    told = output[output.index("Alertmanager received from Prometheus:") :]
    assert re.search(
        r"OrdersOverdue \((page|ticket) for plant\), \w[\w-]+: \d+ new within 1h\. "
        r"Longest overdue: (A-[\d-]+ in \w+(, )?)+\.",
        told,
    ), told
    assert re.search(r"DeadLetters \(ticket for plant\).*: \d+ from mes\.orders \(rejected\)", told)
    assert list(demo.folder.iterdir()) == [], "it leaves nothing where it is run"


def test_without_rules_nobody_writes_to_alertmanager(demo: Demo, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (ROOT / "alert_rules").glob("*.rules.yml"):
        (rules / file.name).write_text("groups: []\n")
    code, output = demo.run("--once", "--patience", "40", "--rules", str(rules))
    assert code == 1, output
    assert "a message is in the dead-letter queue" in output
    assert "overdue: A-" in output, "the collector knows, and does not tell Alertmanager"
    assert "OrdersOverdue: not in time" in output
    assert "DeadLetters: not in time" in output


def test_embedded_needs_no_server_and_finds_the_overdue_order(demo: Demo) -> None:
    with demo.start("--once", "--embedded") as process:
        commands: set[str] = set()

        def has_ended() -> bool:
            commands.update(map(_command, _children(process)))
            return process.poll() is not None

        assert until(has_ended, 240)
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert re.search(r"overdue in the collector's API, and on /metrics: A-[\d-]+", output)
    assert [c for c in commands if "shop.mes" in c], "the shop ran"
    assert [c for c in commands if re.search("rabbitmq|epmd|prometheus", c)] == []


@pytest.mark.parametrize("arguments", [(), ("--embedded",)], ids=["servers", "embedded"])
def test_ctrl_c_ends_everything_that_it_started(demo: Demo, arguments: tuple[str, ...]) -> None:
    with demo.start(*arguments) as process:
        started: set[psutil.Process] = set()

        def is_busy() -> bool:
            started.update(_children(process))
            return sum("shop.load" in command for command in map(_command, started)) > 0

        assert until(is_busy, 90), "no customers came"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert len(started) >= 5, "an API, a CRM, a MES, customers and a collector"
    _gone, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def _children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
