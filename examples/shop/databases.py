"""PostgreSQL and MariaDB from Debian's packages, beside the servers of :mod:`shop.servers`.

Each has a user ``shop`` of that password, who may make databases.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from otelkit.errors import ToolError
from shop.processes import Process
from shop.servers import HOST, Server, find_program, free_port
from shop.waiting import Pause

USER = "shop"


class PostgreSQL(Server):
    """A PostgreSQL on an empty cluster; ``options`` are settings of it, such as ``fsync=off``.

    It refuses to run as root, so for root it runs as ``postgres``, its data in a folder that this
    user can reach.
    """

    name = "PostgreSQL"
    package = "postgresql"
    folders = tuple(f"/usr/lib/postgresql/{version}/bin" for version in range(19, 13, -1))

    def __init__(
        self, folder: Path, options: Sequence[str] = (), pause: Pause = time.sleep
    ) -> None:
        super().__init__(folder, pause)
        self._initdb = find_program("initdb", self.package, *self.folders)
        self._psql = find_program("psql", self.package, *self.folders)
        self._is_ready = find_program("pg_isready", self.package, *self.folders)
        program = find_program("postgres", self.package, *self.folders)
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix="shop-postgresql-"))
        given = [
            f"port={self.port}",
            f"listen_addresses={HOST}",
            "unix_socket_directories=",
            "max_connections=50",
            *options,
        ]
        settings = [part for setting in given for part in ("-c", setting)]
        command = [*_as_postgres(), program, "-D", str(self._data), *settings]
        self._process = Process(self.name, command, self.folder / "server.log", pause=pause)

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def ready_url(self) -> str:
        return f"postgresql://{HOST}:{self.port}"

    @property
    def process(self) -> Process:
        return self._process

    def is_ready(self) -> bool:
        return _succeeds([self._is_ready, "-q", "-h", HOST, "-p", str(self.port)])

    def launch(self) -> None:
        if not self._data.exists():
            self._make()
        super().launch()

    def database(self) -> str:
        """Makes an empty database and answers its address."""
        name = f"d{uuid4().hex[:12]}"
        connection = ["-h", HOST, "-p", str(self.port), "-U", USER, "-d", "postgres"]
        _run([self._psql, *connection, "-c", f"CREATE DATABASE {name}"], {"PGPASSWORD": USER})
        return f"postgresql://{USER}:{USER}@{HOST}:{self.port}/{name}"

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        shutil.rmtree(self._home, ignore_errors=True)

    def _make(self) -> None:
        password = self._home / "password"
        password.write_text(USER)
        if os.geteuid() == 0:
            for path in (self._home, password):
                shutil.chown(path, "postgres", "postgres")
        words = ["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        _run([*_as_postgres(), self._initdb, "-D", str(self._data), f"--pwfile={password}", *words])


class MariaDB(Server):
    """A MariaDB on an empty data folder."""

    name = "MariaDB"
    package = "mariadb-server-core"
    client_package = "mariadb-client-core"

    def __init__(self, folder: Path, pause: Pause = time.sleep) -> None:
        super().__init__(folder, pause)
        self._install = find_program("mariadb-install-db", self.package)
        self._client = find_program("mariadb", self.client_package)
        program = find_program("mariadbd", self.package)
        self.port = free_port()
        first = self.folder / "first.sql"
        first.write_text(
            f"CREATE USER IF NOT EXISTS {USER}@'{HOST}' IDENTIFIED BY '{USER}';\n"
            f"GRANT ALL ON *.* TO {USER}@'{HOST}';\n"
        )
        command = [
            program,
            "--no-defaults",
            *self._place(),
            f"--bind-address={HOST}",
            f"--port={self.port}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={first}",
            "--skip-name-resolve",
        ]
        self._process = Process(self.name, command, self.folder / "server.log", pause=pause)

    @property
    def ready_url(self) -> str:
        return f"mysql://{HOST}:{self.port}"

    @property
    def process(self) -> Process:
        return self._process

    def is_ready(self) -> bool:
        return _succeeds([self._client, *self._connection(), "-e", "SELECT 1"])

    def launch(self) -> None:
        if not (self.folder / "data").exists():
            words = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            _run([self._install, "--no-defaults", *self._place(), *words])
        super().launch()

    def database(self) -> str:
        """Makes an empty database and answers its address."""
        name = f"d{uuid4().hex[:12]}"
        _run([self._client, *self._connection(), "-e", f"CREATE DATABASE {name}"])
        return f"mysql+pymysql://{USER}:{USER}@{HOST}:{self.port}/{name}"

    def _connection(self) -> list[str]:
        words = [f"--host={HOST}", f"--port={self.port}", f"--user={USER}", f"--password={USER}"]
        return ["--no-defaults", "--protocol=tcp", *words]

    def _place(self) -> list[str]:
        # Named even where it is the user we are, or it refuses to run as root.
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [*user, f"--datadir={self.folder}/data"]


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    setpriv = find_program("setpriv", "util-linux")  # becomes what it runs, no parent of it
    return [setpriv, "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=os.environ | (env or {}),
        cwd="/",  # where postgres may be
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"{command[0]} failed: {done.stdout[-2000:]}")


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
