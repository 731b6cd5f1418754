"""The demo: a shop with load, its SLA watched, and the alerts as they arrive.

::

    python -m shop.demo                  until Ctrl-C, with RabbitMQ, Prometheus, Alertmanager
    python -m shop.demo --once           until both alerts have arrived
    python -m shop.demo --embedded       no server at all: events over HTTP into SQLite
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from otelkit.errors import OtelkitError, ToolError
from shop import monitoring, packages
from shop.mes import WAYS
from shop.running import Running
from shop.screen import Screen
from shop.servers import RabbitMQ
from shop.services import Collector, Shop
from shop.waiting import Pause

RULES = Path(__file__).parents[2] / "alert_rules"
RATE = 2.0
ORDERS = 100_000
"""Half a day of them: whoever watches leaves before the customers do."""
PATIENCE = 180.0
"""Seconds that ``--once`` waits for the alerts, once everything runs; it takes some 30."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make demo", description="Runs the shop, with its SLA watched."
    )
    parser.add_argument("--once", action="store_true", help="end when the alerts have arrived")
    parser.add_argument("--embedded", action="store_true", help="use no server at all")
    parser.add_argument(
        "--work-by",
        choices=WAYS,
        default=WAYS[0],
        help="which order the MES makes next (%(default)s)",
    )
    parser.add_argument("--no-install", action="store_true", help="install no Debian package")
    parser.add_argument(
        "--patience",
        type=float,
        metavar="SECONDS",
        default=PATIENCE,
        help="how long --once waits for them (%(default).0f)",
    )
    parser.add_argument("--rules", type=Path, default=RULES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        code = _run(given, _pause_until_told_to_end())
    except OtelkitError as error:
        print(f"demo: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _run(given: argparse.Namespace, pause: Pause) -> int:
    embedded = given.embedded or not _has_servers(may_install=not given.no_install)
    pause(0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otelkit-demo-")))
        if embedded:
            running = _start_embedded(stack, folder, given.work_by, pause)
        else:
            running = _start(stack, folder, given, pause)
        running.shop.open(rate=RATE, count=ORDERS)
        screen = Screen(running, sys.stdout)
        with screen:
            end = time.monotonic() + given.patience
            while not given.once or (not running.complete and time.monotonic() < end):
                running.look()
                screen.show()
                pause(0.5)
        print(running.summary(), flush=True)
        return 0 if running.complete else 1


def _has_servers(*, may_install: bool) -> bool:
    """Whether the servers are here, or could be brought."""
    missing = packages.missing()
    if not missing:
        return True
    named = ", ".join(missing)
    if not may_install:
        print(f"not installed: {named}. Running without any server.", flush=True)
        return False
    print(f"installing Debian's packages {named} ...", flush=True)
    try:
        with tempfile.NamedTemporaryFile(prefix="otelkit-demo-apt-") as log:
            packages.install(missing, Path(log.name))
    except ToolError as error:
        print(f"cannot install {named}: {error}. Running without any server.", flush=True)
        return False
    return True


def _start(stack: ExitStack, folder: Path, given: argparse.Namespace, pause: Pause) -> Running:
    print("starting RabbitMQ, Prometheus, Alertmanager and the shop ...", flush=True)
    broker = RabbitMQ(folder / "rabbitmq", pause)
    alertmanager = monitoring.alertmanager(folder / "alertmanager", pause)
    # All at once: RabbitMQ takes longest.
    stack.callback(broker.kill)
    broker.launch()
    stack.enter_context(alertmanager)
    broker.await_ready()
    addresses = {"amqp": broker.amqp_url, "management": broker.management_url}
    collector = Collector(folder / "collector", addresses, pause=pause)
    stack.callback(collector.process.kill)
    asked = _asked(collector, given.work_by)
    shop = Shop(folder / "shop", broker.amqp_url, broker.amqp_url, collector=asked, pause=pause)
    stack.callback(shop.kill)
    collector.start()
    shop.start()
    targets = {**shop.metrics_ports, "otelkit-collector": collector.port}
    prometheus = monitoring.prometheus(
        folder / "prometheus", given.rules, targets, alertmanager, pause
    )
    stack.enter_context(prometheus)
    pages = {
        "Prometheus": f"{prometheus.url}/classic/alerts",
        "Alertmanager": f"{alertmanager.url}/api/v2/alerts",
        "RabbitMQ": broker.management_url,
    }
    return Running(shop, collector, alertmanager, pages)


def _asked(collector: Collector, work_by: str) -> str | None:
    """Whom the MES asks what is due."""
    return None if work_by == "arrival" else collector.url


def _start_embedded(stack: ExitStack, folder: Path, work_by: str, pause: Pause) -> Running:
    print("starting the shop and its collector, without any server ...", flush=True)
    collector = Collector(folder / "collector", {}, pause=pause)
    stack.callback(collector.process.kill)
    line, asked = str(folder / "line.db"), _asked(collector, work_by)
    shop = Shop(folder / "shop", line, collector.url, collector=asked, pause=pause)
    stack.callback(shop.kill)
    collector.start()
    shop.start()
    return Running(shop, collector, None, {})


def _pause_until_told_to_end() -> Pause:
    """Sleeps, and raises KeyboardInterrupt once a signal has told us to end.

    A signal only makes a note: raised wherever it arrives, the exception would now and then arrive
    where Python throws it away, or in the middle of bringing a server down.
    """
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: told.append(number))

    def pause(seconds: float) -> None:
        end = time.monotonic() + seconds
        while not told and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        if told:
            raise KeyboardInterrupt

    return pause


if __name__ == "__main__":
    main()
