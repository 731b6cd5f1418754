"""PostgreSQL and MariaDB from Debian's packages, as services have them; like shop.servers.

Each is empty, takes connections of anyone on its port of the loopback interface, and forgets all
when it ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from otelkit.errors import ToolError
from shop.packages import POSTGRESQL_FOLDER
from shop.processes import Process
from shop.servers import HOST, Server, find_program, free_port
from shop.waiting import Pause


def _can_connect(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed: {done.stderr or done.stdout}")


class _Database(Server):
    """A server that speaks no HTTP: it is ready when its port is open."""

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        self.port = free_port()
        self._process: Process

    @property
    def process(self) -> Process:
        return self._process

    def is_ready(self) -> bool:
        return _can_connect(self.port)


class PostgreSQL(_Database):
    """Database ``postgres``, user ``postgres`` without a password.

    It refuses to run as root, and so runs as the user postgres then, who has to be able to reach
    ``folder``.
    """

    name = "PostgreSQL"
    package = "postgresql"

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        server = find_program("postgres", self.package, POSTGRESQL_FOLDER)
        initdb = find_program("initdb", self.package, POSTGRESQL_FOLDER)
        data = self.folder / "data"
        become: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
            user = str(pwd.getpwnam("postgres").pw_uid)
            become = ["setpriv", f"--reuid={user}", "--regid=postgres", "--clear-groups"]
        _run([*become, initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"])
        self._ask = [find_program("pg_isready", self.package, POSTGRESQL_FOLDER)]
        self._ask += ["-q", "-h", HOST, "-p", str(self.port)]
        options = ["-h", HOST, "-p", str(self.port), "-k", "", "-c", "fsync=off"]
        command = [*become, server, "-D", str(data), *options]
        self._process = Process(self.name, command, self.folder / "server.log", pause=pause)

    @property
    def ready_url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def is_ready(self) -> bool:
        """It takes connections before it lets anyone in."""
        return subprocess.run(self._ask, check=False).returncode == 0


class MariaDB(_Database):
    """Database ``test``, user ``root`` without a password."""

    name = "MariaDB"
    package = "mariadb-server-core"

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        server = find_program("mariadbd", self.package)
        install = find_program("mariadb-install-db", self.package)
        data = f"--datadir={self.folder / 'data'}"
        user = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
        _run([install, "--no-defaults", data, user, "--auth-root-authentication-method=normal"])
        options = [f"--bind-address={HOST}", f"--port={self.port}", "--skip-name-resolve"]
        options += [f"--socket={self.folder / 'socket'}", "--innodb-flush-log-at-trx-commit=0"]
        command = [server, "--no-defaults", data, user, *options]
        self._process = Process(self.name, command, self.folder / "server.log", pause=pause)

    @property
    def ready_url(self) -> str:
        return f"mysql://root@{HOST}:{self.port}/test"
