"""The shop's own processes, its customers and its collector, as one starts them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from otelkit.errors import ToolError, UnavailableError
from shop.processes import Process
from shop.servers import HOST, answers, free_port
from shop.waiting import Pause, until

EXAMPLES = Path(__file__).parents[1]
SLA_FILE = Path(__file__).with_name("sla.yaml")
START_SECONDS = 60
SEED = "246"
"""Luck with which both an order that jams and one that nobody can make come among the first ten."""


class Collector:
    """``otelkit collect`` for the shop's SLA file, looking for passed deadlines every second.

    ``settings`` are those of its configuration file, by name; ``config`` is the text of such a
    file, for what has more than one value; ``program`` is run in the place of ``otelkit``, with
    ``env`` on top of the environment.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        config: str = "",
        pause: Pause = time.sleep,
        *,
        program: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._pause = pause
        given = {
            "store": str(folder / "orders.db"),
            "listen": f"{HOST}:{self.port}",
            "tick": "1s",
            "lateness": "1s",
            **settings,
        }
        told = {f"OTELKIT_COLLECTOR_{name.upper()}": value for name, value in given.items()}
        command = [*(program or (_otelkit(),)), "collect", "--sla", str(SLA_FILE)]
        if config:
            (folder / "collector.yaml").write_text(config)
            command += ["--config", str(folder / "collector.yaml")]
        told.update(env or {})
        self.process = Process("the collector", command, folder / "log", env=told, pause=pause)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Returns once it answers. Raises UnavailableError when it does not."""
        self.process.start()
        _await_answer(self.process, f"{self.url}/healthz", self._pause)

    def stop(self) -> None:
        self.process.stop()


class Shop:
    """API, CRM and MES, each a process. ``line`` carries messages, ``events`` order events.

    The MES asks the collector at that address which order is next; without one it works by arrival.
    """

    def __init__(
        self,
        folder: Path,
        line: str,
        events: str,
        *,
        collector: str | None = None,
        seed: str = SEED,
        pause: Pause = time.sleep,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._pause = pause
        self._seed = seed
        self.api_port = free_port()
        self.metrics_ports = {name: free_port() for name in ("shop-api", "crm", "mes")}
        works = ["--work-by", "arrival"] if collector is None else ["--collector", collector]
        modules = {"shop-api": ["shop.api"], "crm": ["shop.crm"], "mes": ["shop.mes", *works]}
        self._services = [
            self._process(
                name,
                modules[name],
                {
                    "SHOP_LINE": line,
                    "SHOP_API_PORT": str(self.api_port),
                    "SHOP_SEED": seed,
                    "OTELKIT_EVENTS": events,
                    "OTELKIT_METRICS_PORT": str(port),
                    "OTELKIT_SPOOL": str(folder / f"{name}.spool"),
                },
            )
            for name, port in self.metrics_ports.items()
        ]
        self._customers: Process | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    def start(self) -> None:
        """Returns once every service answers. Raises UnavailableError when one does not."""
        for service in self._services:
            service.start()
        for service, port in zip(self._services, self.metrics_ports.values(), strict=True):
            _await_answer(service, f"http://{HOST}:{port}/metrics", self._pause)
        _await_answer(self._services[0], f"{self.url}/openapi.json", self._pause)

    def open(self, *, rate: float, count: int) -> None:
        """Let customers in: so many orders a second, and so many in all."""
        arguments = [self.url, "--rate", str(rate), "--count", str(count), "--seed", self._seed]
        self._customers = self._process("customers", ["shop.load", *arguments], {})
        self._customers.start()

    @property
    def has_customers(self) -> bool:
        return self._customers is not None and self._customers.running

    def stop(self) -> None:
        for process in (self._customers, *self._services):
            if process is not None:
                process.stop()

    def kill(self) -> None:
        """Ends them at once: what they had in hand is lost."""
        for process in (self._customers, *self._services):
            if process is not None:
                process.kill()

    def _process(self, name: str, module: list[str], env: Mapping[str, str]) -> Process:
        path = os.pathsep.join(filter(None, (str(EXAMPLES), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", *module]
        log = self._folder / f"{name}.log"
        return Process(name, command, log, env={**env, "PYTHONPATH": path}, pause=self._pause)


def _otelkit() -> str:
    """The command of the environment that this Python belongs to."""
    found = shutil.which("otelkit", path=str(Path(sys.executable).parent))
    if found is None:
        raise ToolError("the command otelkit is not installed; run: pip install -e '.[all]'")
    return found


def _await_answer(process: Process, url: str, pause: Pause) -> None:
    until(lambda: not process.running or answers(url), START_SECONDS, pause=pause)
    if not (process.running and answers(url)):
        raise UnavailableError(
            f"{process.name} does not answer at {url}; {process.log} ends with:\n{process.tail()}"
        )
