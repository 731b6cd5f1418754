"""Prometheus and Alertmanager from Debian's packages, beside the servers of :mod:`shop.servers`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from shop.processes import Process
from shop.servers import HOST, Server, find_program, free_port
from shop.waiting import Pause


class _OnOnePort(Server):
    """A server with pages, and an address that says whether it is ready."""

    def __init__(self, folder: Path, pause: Pause) -> None:
        super().__init__(folder, pause)
        self._program = find_program(self.package, self.package)  # they bear the same name
        self.port = free_port()
        self._process: Process

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ready_url(self) -> str:
        return f"{self.url}/-/ready"

    @property
    def process(self) -> Process:
        return self._process

    def _runs(self, *options: str) -> Process:
        command = [self._program, *options, f"--web.listen-address={HOST}:{self.port}"]
        return Process(self.name, command, self.folder / "server.log", pause=self._pause)


class Prometheus(_OnOnePort):
    """A Prometheus with ``config`` as prometheus.yml; ``files`` (rules, say) lie beside it."""

    name = "Prometheus"
    package = "prometheus"

    def __init__(
        self,
        folder: Path,
        config: str,
        files: Mapping[str, str] | None = None,
        pause: Pause = time.sleep,
    ) -> None:
        super().__init__(folder, pause)
        for name, text in {**(files or {}), "prometheus.yml": config}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._process = self._runs(
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            "--storage.tsdb.retention.time=90d",  # a budget's month is longer than the default
            # An alert that fires before Alertmanager is found would wait for a whole minute.
            "--rules.alert.resend-delay=5s",
        )


class Alertmanager(_OnOnePort):
    """An Alertmanager with ``config`` as alertmanager.yml, and no peers."""

    name = "Alertmanager"
    package = "prometheus-alertmanager"

    def __init__(self, folder: Path, config: str, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        (self.folder / "alertmanager.yml").write_text(config)
        self._process = self._runs(
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            "--cluster.listen-address=",
        )
