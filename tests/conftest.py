"""Servers for tests: RabbitMQ once a session, the others once for whoever asks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NoReturn, TypeVar
from uuid import uuid4

import pytest
from hypothesis import settings

from shop.databases import MariaDB, PostgreSQL
from shop.prometheus import Alertmanager, Prometheus
from shop.servers import MissingServerError, RabbitMQ, Server

S = TypeVar("S", bound=Server)
StartPrometheus = Callable[..., Prometheus]
StartAlertmanager = Callable[[str], Alertmanager]


# A background job of a shell starts with Ctrl-C ignored, and so would all that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes any example slow, which says nothing of the code.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


LONGEST: Final = ("promtool", "wheel", "verify")
"""Folders of tests that take minutes. They come first: whoever came to one of them last would keep
the other worker waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(folders).parts[0] not in LONGEST)


def missing(error: MissingServerError) -> NoReturn:
    """Skips the test on a machine without the server; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A broker that all tests share: use ``vhost`` for a space of your own, never stop this one."""
    try:
        broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    except MissingServerError as error:
        missing(error)
    with broker:
        yield broker


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> str:
    """AMQP URL of an empty virtual host."""
    return rabbitmq.vhost(f"test-{uuid4().hex[:8]}")


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A broker for a test that stops it."""
    try:
        broker = RabbitMQ(tmp_path / "rabbitmq")
    except MissingServerError as error:
        missing(error)
    with broker:
        yield broker


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server that all tests share: use ``database``, never stop this one."""
    with ExitStack() as stack:
        yield enter(stack, lambda: PostgreSQL(tmp_path_factory.mktemp("postgresql")))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store can be made, in each of the databases."""
    if request.param == "sqlite":
        return tmp_path / "orders.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def own_postgresql(tmp_path: Path) -> Iterator[PostgreSQL]:
    """A server for a test that stops it."""
    with ExitStack() as stack:
        yield enter(stack, lambda: PostgreSQL(tmp_path / "postgresql"))


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server that all tests share: use ``database``, never stop this one."""
    with ExitStack() as stack:
        yield enter(stack, lambda: MariaDB(tmp_path_factory.mktemp("mariadb")))


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """``start_prometheus(config, files)`` starts an empty Prometheus; it ends with the test."""
    with ExitStack() as stack:

        def start(config: str, files: dict[str, str] | None = None) -> Prometheus:
            folder = tmp_path / f"prometheus-{uuid4().hex[:8]}"
            return enter(stack, lambda: Prometheus(folder, config, files))

        yield start


@pytest.fixture
def start_alertmanager(tmp_path: Path) -> Iterator[StartAlertmanager]:
    """``start_alertmanager(config)`` starts an empty Alertmanager; it ends with the test."""
    with ExitStack() as stack:

        def start(config: str) -> Alertmanager:
            folder = tmp_path / f"alertmanager-{uuid4().hex[:8]}"
            return enter(stack, lambda: Alertmanager(folder, config))

        yield start


def enter(stack: ExitStack, make: Callable[[], S]) -> S:
    try:
        server = make()
    except MissingServerError as error:
        missing(error)
    stack.enter_context(server)
    return server
