"""Servers from Debian's packages for the demo and the tests, and RabbitMQ, the first of them.

Each runs as root or not, on free ports of the loopback interface, with all its data in a folder
of the caller's; several of a kind run side by side. A service manager has no part in it::

    with RabbitMQ(folder / "rabbitmq") as broker:
        connect(broker.amqp_url)

Leaving the block ends the server and every process it has started.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import quote

import httpx

from otelkit.errors import ToolError, UnavailableError
from shop.processes import Process
from shop.waiting import Pause, until

HOST = "127.0.0.1"
START_SECONDS = 90
"""RabbitMQ takes 10 s on two idle cores; a busy machine needs several times that."""

# Below the range from which Linux takes ports of outgoing connections (32768 and up): nobody
# else is given one of these while a server is down.
_PORTS = range(10_000, 32_000)
_given: set[int] = set()


class MissingServerError(ToolError):
    """A server's program is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed; run: apt-get install {package}")
        self.package = package


def free_port() -> int:
    """A TCP port of the loopback interface that is free, and not given to anyone here before."""
    while True:
        port = random.choice(_PORTS)
        if port not in _given and _can_bind(port):
            _given.add(port)
            return port


def _can_bind(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def find_program(program: str, package: str, *folders: str) -> str:
    """The path of a program. Root's PATH may lack sbin, so that is searched too."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if found := shutil.which(program, path=path):
        return found
    raise MissingServerError(program, package)


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with a 2xx status."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


class Server(ABC):
    """A server: ``start`` returns when it answers, ``stop`` keeps its ports and data.

    ``launch`` and ``await_ready`` are the two halves of ``start``, for whoever starts several
    servers at once. ``pause`` sleeps between two looks. Raises :class:`MissingServerError` when
    the program is not installed, UnavailableError when it does not come up.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._pause = pause

    @property
    @abstractmethod
    def ready_url(self) -> str:
        """Its address; what answers there with 200 once the server can be used, unless
        :meth:`is_ready` asks in another way."""

    @property
    @abstractmethod
    def process(self) -> Process:
        """The server itself."""

    def launch(self) -> None:
        self.process.start()

    def await_ready(self, seconds: float = START_SECONDS) -> None:
        def settled() -> bool:
            return not self.process.running or self.is_ready()

        ready = until(settled, seconds, pause=self._pause)
        if not self.process.running:
            what = "ended while it started"
        elif ready:
            return
        else:
            what = f"did not answer within {seconds:.0f} s at {self.ready_url}"
        end = self.process.tail()
        self.kill()
        raise UnavailableError(f"{self.name} {what}; {self.process.log} ends with:\n{end}")

    def is_ready(self) -> bool:
        """Whether it can be used now."""
        return answers(self.ready_url)

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def stop(self) -> None:
        """Ends it in order, so that what it was given is on disk."""
        self.process.stop()

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()  # nobody reads its data again, so there is no order to wait for


class RabbitMQ(Server):
    """A broker with the management and Prometheus plugins, user and password ``guest``."""

    name = "RabbitMQ"
    package = "rabbitmq-server"

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        # Not /usr/sbin/rabbitmq-server: that wrapper insists on the user rabbitmq.
        server = find_program("rabbitmq-server", self.package, "/usr/lib/rabbitmq/bin")
        epmd = find_program("epmd", self.package)
        self.amqp_port, self._management_port, self._metrics_port = (free_port() for _ in range(3))
        self._epmd_port, self._dist_port = free_port(), free_port()
        env = self._environment()
        self._process = Process(
            self.name, [server], self.folder / "server.log", env=env, pause=pause
        )
        # The Erlang port mapper: left alone, the broker starts one that outlives it.
        self._epmd = Process("epmd", [epmd], self.folder / "epmd.log", env=env, pause=pause)
        self._write_config()

    @property
    def amqp_url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.amqp_port}/%2F"

    @property
    def management_url(self) -> str:
        return f"http://guest:guest@{HOST}:{self._management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{HOST}:{self._metrics_port}/metrics"

    @property
    def ready_url(self) -> str:
        return f"{self.management_url}/api/health/checks/port-listener/{self.amqp_port}"

    @property
    def process(self) -> Process:
        return self._process

    def vhost(self, name: str) -> str:
        """Makes an empty virtual host, in place of one of that name, and answers its AMQP URL."""
        path = f"{self.management_url}/api/vhosts/{quote(name, safe='')}"
        httpx.delete(path, timeout=30)
        try:
            httpx.put(path, timeout=30).raise_for_status()
        except httpx.HTTPError as error:
            raise UnavailableError(f"RabbitMQ does not make the vhost {name}: {error}") from error
        return f"amqp://guest:guest@{HOST}:{self.amqp_port}/{quote(name, safe='')}"

    def eval(self, erlang: str) -> None:
        """Evaluates an expression within the broker; raises ToolError where it fails."""
        program = find_program("rabbitmqctl", self.package, "/usr/lib/rabbitmq/bin")
        env = self._environment()
        command = [program, "-n", env["RABBITMQ_NODENAME"], "eval", erlang]
        done = subprocess.run(
            command, env=os.environ | env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ToolError(f"rabbitmqctl eval: {(done.stderr or done.stdout).strip()}")

    def launch(self) -> None:
        self._epmd.start()
        until(lambda: not _can_bind(self._epmd_port), 10, pause=self._pause, interval=0.02)
        super().launch()

    def stop(self) -> None:
        super().stop()
        self._epmd.stop()

    def kill(self) -> None:
        super().kill()
        self._epmd.kill()

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "HOME": folder,  # the Erlang cookie lies there
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server, no parent of it
            "RABBITMQ_NODENAME": f"shop-{self.amqp_port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
        }

    def _write_config(self) -> None:
        (self.folder / "plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.amqp_port}\n"
            f"management.tcp.ip = {HOST}\n"
            f"management.tcp.port = {self._management_port}\n"
            f"prometheus.tcp.ip = {HOST}\n"
            f"prometheus.tcp.port = {self._metrics_port}\n"
            "collect_statistics_interval = 1000\n"
            "log.console = true\n"
            "log.file = false\n"
        )
