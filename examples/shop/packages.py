"""The Debian packages that the servers come from.

``python -m shop.packages`` installs what is missing of them, and of what the tests need beside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from otelkit.errors import ToolError
from shop.databases import MariaDB, PostgreSQL
from shop.prometheus import Alertmanager, Prometheus
from shop.servers import MissingServerError, RabbitMQ, find_program

_Program = tuple[str, str, tuple[str, ...]]
"""A package, its program, and the folders it may be in where that is not on the path."""
_SERVERS: tuple[_Program, ...] = (
    (RabbitMQ.package, "rabbitmq-server", ("/usr/lib/rabbitmq/bin",)),
    (Prometheus.package, "prometheus", ()),
    (Alertmanager.package, "prometheus-alertmanager", ()),
)
_FOR_TESTS: tuple[_Program, ...] = (
    (PostgreSQL.package, "postgres", PostgreSQL.folders),
    (MariaDB.package, "mariadbd", ()),
    (MariaDB.client_package, "mariadb", ()),
    ("nodejs", "node", ()),
    ("npm", "npm", ()),
)
"""Databases of services and of the collector; and Grafana's grammars are JavaScript."""


def missing(programs: Sequence[_Program] = _SERVERS) -> list[str]:
    """The packages whose programs are not on this machine."""
    found = []
    for package, program, folders in programs:
        try:
            find_program(program, package, *folders)
        except MissingServerError:
            found.append(package)
    return found


def install(packages: Sequence[str], log: Path) -> None:
    """Install Debian packages, as root or with passwordless sudo.

    Raises ToolError where that cannot be done; what apt says is in ``log``.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise ToolError("this is no Debian machine: there is no apt-get")
    become_root = _become_root()
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with log.open("ab") as output:
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                [*become_root, apt, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise ToolError(f"apt-get could not install them:\n{end}")


def _become_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is not None:
        asked = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [sudo, "-n"]
    raise ToolError("you are not root and sudo asks for a password")


def main() -> None:
    lacking = missing((*_SERVERS, *_FOR_TESTS))
    if not lacking:
        return
    print(f"installing Debian's packages {', '.join(lacking)} ...", flush=True)
    with tempfile.NamedTemporaryFile(prefix="shop-apt-") as log:
        try:
            install(lacking, Path(log.name))
        except ToolError as error:
            sys.exit(f"cannot install {', '.join(lacking)}: {error}")


if __name__ == "__main__":
    main()
