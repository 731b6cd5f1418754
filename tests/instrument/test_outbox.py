"""The outbox in the databases that services have: state and event stand or fall together."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

import otelkit
from instrument.conftest import Init, StartChild, statuses, take_events
from otelkit import outbox
from otelkit.errors import ConfigError, UnavailableError
from otelkit.instrument.databases import database
from otelkit.instrument.spool import Spool
from shop.databases import MariaDB, PostgreSQL
from shop.servers import HOST
from shop.waiting import until


@pytest.fixture(scope="module")
def in_postgresql(postgresql: PostgreSQL) -> str:
    """The address of a database."""
    return postgresql.database()


@pytest.fixture(scope="module")
def in_mariadb(mariadb: MariaDB) -> str:
    """The address of a database."""
    return mariadb.database()


def pymysql_to(url: str, **options: Any) -> Any:
    at = urlsplit(url)
    return pymysql.connect(
        host=at.hostname or "",
        port=at.port or 0,
        user=at.username,
        password=at.password or "",
        database=at.path.removeprefix("/"),
        **options,
    )


@dataclass(frozen=True)
class Way:
    """One way in which a service talks to its database."""

    connect: Callable[[], Any]
    run: Callable[[Any, str], Any]

    def rows(self, table: str) -> int:
        with closing(self.connect()) as connection:
            found = self.run(connection, f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            return int(found)


def dbapi(connection: Any, statement: str) -> Any:
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor


def alchemy(connection: Any, statement: str) -> Any:
    return connection.execute(sqlalchemy.text(statement))


def _address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if "sqlite" in request.param:
        return f"sqlite:///{tmp_path / 'service.db'}?timeout=0.2"
    if "postgresql" in request.param:
        return str(request.getfixturevalue("in_postgresql")).replace("l:", "l+psycopg:", 1)
    return str(request.getfixturevalue("in_mariadb"))


@pytest.fixture(
    params=[
        "sqlite3",
        "psycopg to postgresql",
        "pymysql to mysql",
        "connection to sqlite",
        "connection to postgresql",
        "connection to mysql",
        "session to sqlite",
        "session to postgresql",
    ]
)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """A service's database with a table of orders and an outbox, both empty."""
    with ExitStack() as stack:
        made = _way(request, tmp_path, stack)
        with closing(made.connect()) as connection:
            made.run(connection, "DROP TABLE IF EXISTS orders")
            made.run(connection, "DROP TABLE IF EXISTS otelkit_outbox")
            made.run(connection, "CREATE TABLE orders (id VARCHAR(20))")
            outbox.create(connection)
            outbox.create(connection)
            connection.commit()
        yield made


def _way(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Way:
    kind = str(request.param).split(" to ", maxsplit=1)[0]
    if kind == "sqlite3":
        return Way(lambda: sqlite3.connect(tmp_path / "service.db", timeout=0.2), dbapi)
    if kind == "psycopg":
        url = request.getfixturevalue("in_postgresql")
        return Way(lambda: psycopg.connect(url), dbapi)
    if kind == "pymysql":
        url = request.getfixturevalue("in_mariadb")
        return Way(lambda: pymysql_to(url, charset="utf8mb4"), dbapi)
    engine = sqlalchemy.create_engine(_address(request, tmp_path))
    stack.callback(engine.dispose)
    return Way(engine.connect if kind == "connection" else lambda: Session(engine), alchemy)


def spooled(spool: Path) -> list[dict[str, Any]]:
    """What waits in the spool for an exchange that nobody runs."""
    kept = Spool(spool, limit=1_000, fsync=False)
    try:
        return [json.loads(body) for _, body in kept.head(1_000)]
    finally:
        kept.close()


@pytest.fixture
def away(init: Init) -> otelkit.Telemetry:
    """Order events go to a collector that is not there, so that they stay in the spool."""
    return init(events=f"http://{HOST}:9")


def test_a_change_and_its_event_stand_or_fall_together(
    way: Way, away: otelkit.Telemetry, spool: Path
) -> None:
    with otelkit.order("Заказ-№1 📦", tier="vip") as order, closing(way.connect()) as connection:
        way.run(connection, "INSERT INTO orders VALUES ('lost')")
        outbox.moved_to(connection, order, "submitted")
        connection.rollback()
        assert (way.rows("orders"), way.rows(outbox.TABLE)) == (0, 0)
        way.run(connection, "INSERT INTO orders VALUES ('kept')")
        outbox.moved_to(connection, order, "priced", version=7)
        assert (way.rows("orders"), way.rows(outbox.TABLE)) == (0, 0), "of others, until commit"
        connection.commit()
    assert (way.rows("orders"), way.rows(outbox.TABLE)) == (1, 1)
    with closing(way.connect()) as connection:
        assert outbox.forward(connection) == 1
        assert outbox.forward(connection) == 0
    assert way.rows(outbox.TABLE) == 0
    (event,) = spooled(spool)
    assert (event["source"], event["subject"]) == ("shop", "Заказ-№1 📦")
    assert event["data"] == {"process": "order", "status": "priced", "tier": "vip", "version": 7}
    assert away.settings.service == "shop"


@pytest.mark.usefixtures("away")
def test_two_relays_do_not_take_the_same_event(way: Way, spool: Path) -> None:
    with otelkit.order("A-1") as order, closing(way.connect()) as connection:
        outbox.moved_to(connection, order, "priced")
        connection.commit()
    with closing(way.connect()) as first, closing(way.connect()) as second:
        assert len(outbox._held(database(first))) == 1
        if database(first).dialect == "sqlite":
            with pytest.raises(Exception, match="locked"):
                outbox.forward(second)
        else:
            assert outbox.forward(second) == 0, "it passes over what the first one holds"
        first.rollback()
        assert outbox.forward(second) == 1
    assert len(spooled(spool)) == 1


def priced(connection: Any, *ids: str) -> None:
    for order_id in ids:
        with otelkit.order(order_id) as order:
            outbox.moved_to(connection, order, "priced")
    connection.commit()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a SQLite file with an outbox."""
    with closing(sqlite3.connect(tmp_path / "service.db")) as connection:
        outbox.create(connection)
        yield connection


@pytest.mark.usefixtures("away")
def test_a_relay_that_dies_sends_the_same_event_again(
    file: sqlite3.Connection, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced(file, "A-1")
    monkeypatch.setattr(outbox, "_DELETE", outbox._DELETE.replace("seq", "0 = 1 AND seq"))
    assert outbox.forward(file) == 1
    monkeypatch.undo()
    assert outbox.forward(file) == 1
    first, second = spooled(spool)
    assert (first["source"], first["id"]) == (second["source"], second["id"])


def test_what_the_spool_has_no_room_for_stays_in_the_outbox(
    file: sqlite3.Connection, init: Init, spool: Path
) -> None:
    init(events=f"http://{HOST}:9", spool_limit=2)
    priced(file, "A-1", "A-2", "A-3")
    with pytest.raises(UnavailableError, match="takes no more"):
        outbox.forward(file)
    assert [event["subject"] for event in spooled(spool)] == ["A-1", "A-2"]
    assert file.execute("SELECT count(*) FROM otelkit_outbox").fetchone() == (1,)


def test_a_spool_that_cannot_be_opened_leaves_outbox_and_connection_as_they_were(
    file: sqlite3.Connection, init: Init, tmp_path: Path
) -> None:
    (tmp_path / "no folder").touch()
    init(events=f"http://{HOST}:9", spool=tmp_path / "no folder")
    priced(file, "A-1")
    with pytest.raises(OSError, match="no folder"):
        outbox.forward(file)
    assert not file.in_transaction, "others are not kept out"
    assert file.execute("SELECT count(*) FROM otelkit_outbox").fetchone() == (1,)


CRASH = """
import signal, psycopg
otelkit.init(service="shop", logs=False)
connection = psycopg.connect(os.environ["DATABASE"])
with otelkit.order("A-1") as order:
    otelkit.outbox.moved_to(connection, order, "priced", version=1)
    connection.commit()
    otelkit.outbox.moved_to(connection, order, "approved", version=2)
    connection.rollback()
    otelkit.outbox.moved_to(connection, order, "packed", version=3)
os.kill(os.getpid(), signal.SIGKILL)
"""

RELAY = """
import psycopg
otelkit.init(service="shop", logs=False)
relay = otelkit.outbox.relay(lambda: psycopg.connect(os.environ["DATABASE"]), every=0.05)
input()
print(relay.stop())
"""


def test_a_service_that_dies_between_commit_and_relay_loses_nothing_and_says_nothing_else(
    child: StartChild, vhost: str, in_postgresql: str
) -> None:
    with psycopg.connect(in_postgresql) as connection:
        connection.execute("DROP TABLE IF EXISTS otelkit_outbox")
        outbox.create(connection)
    settings = {"OTELKIT_EVENTS": vhost, "DATABASE": in_postgresql}
    child(CRASH, **settings).process.wait(20)
    relays = [child(RELAY, **settings) for _ in range(2)]
    assert statuses(take_events(vhost, 1)) == ["priced"]
    for relay in relays:
        relay.tell()
    assert [relay.end() for relay in relays] == ["True\n", "True\n"]
    assert take_events(vhost, 1, seconds=0.5) == []


DJANGO = """
from django.conf import settings
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["FILE"]}
settings.configure(DATABASES={"default": database})
import django
django.setup()
from django.db import connection, transaction
from otelkit import outbox
otelkit.init(service="shop", logs=False, events="http://127.0.0.1:9")
with transaction.atomic():
    outbox.create(connection)
with otelkit.order("A-1") as order:
    try:
        with transaction.atomic():
            outbox.moved_to(connection, order, "lost")
            raise KeyError
    except KeyError:
        pass
    with transaction.atomic():
        outbox.moved_to(connection, order, "priced")
    try:
        outbox.moved_to(connection, order, "lost")
    except otelkit.errors.ConfigError as error:
        print(error)
print(outbox.forward(connection.get_new_connection(connection.get_connection_params())))
sys.stdout.flush()
os._exit(0)
"""


def test_djangos_connection_is_one_inside_atomic(
    child: StartChild, tmp_path: Path, spool: Path
) -> None:
    said, count = child(DJANGO, FILE=str(tmp_path / "django.db")).end().splitlines()
    assert "is in autocommit mode and in no transaction" in said
    assert count == "1"
    assert statuses(spooled(spool)) == ["priced"]


@pytest.mark.usefixtures("away")
def test_a_relay_says_once_that_the_database_is_away_and_goes_on(
    file: sqlite3.Connection, tmp_path: Path, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures = 2

    def connect() -> sqlite3.Connection:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("no route to the database")
        return sqlite3.connect(tmp_path / "service.db", check_same_thread=False)

    priced(file, "A-1")

    def said() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "otelkit.outbox"]

    relay = outbox.relay(connect, every=0.01)
    try:
        assert until(lambda: len(spooled(spool)) == 1, 15)
        assert until(lambda: len(said()) == 2, 5)
    finally:
        assert relay.stop()
    assert said() == [
        "order events wait in the outbox and are tried again: no route to the database",
        "order events are taken from the outbox again",
    ]


def test_before_init_and_without_a_destination_nothing_happens_but_one_warning(
    file: sqlite3.Connection, init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    priced(file, "A-1", "A-2")
    assert file.execute("SELECT count(*) FROM otelkit_outbox").fetchone() == (0,)
    init()
    priced(file, "A-1")
    assert outbox.forward(file) == 0
    assert file.execute("SELECT count(*) FROM otelkit_outbox").fetchone() == (1,)
    said = [message for message in caplog.messages if "does nothing until" in message]
    assert [message.split(" does nothing until ") for message in said] == [
        ["otelkit.outbox.moved_to", "otelkit.init(...) is called"],
        ["otelkit.outbox.forward", "otelkit.init(...) tells it where events go (events=)"],
    ]


# --- what cannot be right ------------------------------------------------------------------


@pytest.mark.usefixtures("away")
def test_a_wrong_status_raises_so_that_the_change_can_be_taken_back(
    file: sqlite3.Connection,
) -> None:
    with otelkit.order("A-1") as order, pytest.raises(ValueError, match="status is ''"):
        outbox.moved_to(file, order, "")


def test_what_is_no_connection_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"builtins\.str is no database connection; pass one"):
        outbox.create("sqlite:///orders.db")
    with pytest.raises(ConfigError, match=r"Engine is no connection; pass"):
        outbox.create(sqlalchemy.create_engine("sqlite://"))
    with pytest.raises(ConfigError, match=r"AsyncSession is asynchronous; pass .*run_sync"):
        outbox.create(AsyncSession())


def test_a_connection_that_commits_by_itself_is_refused_outside_a_transaction(
    tmp_path: Path, in_postgresql: str, in_mariadb: str
) -> None:
    alone: list[Any] = [
        sqlite3.connect(tmp_path / "service.db", isolation_level=None),
        psycopg.connect(in_postgresql, autocommit=True),
        pymysql_to(in_mariadb, autocommit=True),
    ]
    for connection in alone:
        with closing(connection):
            with pytest.raises(ConfigError, match=r"autocommit mode .* begin a transaction first"):
                outbox.create(connection)
            dbapi(connection, "BEGIN")
            outbox.create(connection)
    engine = sqlalchemy.create_engine(
        "sqlite://", execution_options={"isolation_level": "AUTOCOMMIT"}
    )
    with engine.connect() as autocommit, pytest.raises(ConfigError, match="autocommit mode"):
        outbox.create(autocommit)
    engine.dispose()


def test_a_database_that_otelkit_knows_no_table_for_is_named() -> None:
    with pytest.raises(ConfigError, match="no table for 'oracle'; make one called otelkit_outbox"):
        outbox.ddl("oracle")


# --- the page ------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "outbox.md"


def test_the_page_shows_each_table_as_it_is_made() -> None:
    (shown,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    made = [f"-- {name}\n{outbox.ddl(name)}\n" for name in ("sqlite", "postgresql", "mysql")]
    assert shown == "".join(made)


def test_the_example_of_the_page_sends_its_event(child: StartChild, vhost: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    folder = tempfile.mkdtemp(prefix="otelkit-example-")
    service = child(f"os.chdir({folder!r})\n{example}\ninput()", OTELKIT_EVENTS=vhost)
    assert statuses(take_events(vhost, 1)) == ["priced"]
    service.tell()
    service.end()
    shutil.rmtree(folder)
