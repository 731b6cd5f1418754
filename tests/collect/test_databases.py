"""Tables of others as a source of order events: read again and again, counted once."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from collecting import StartCollector, of, scrape, source_up, value
from jobs import CONFIG, Jobs, secrets
from otelkit import names, spec
from otelkit.collect import settings
from otelkit.collect.engine.engine import Engine
from otelkit.collect.settings import Settings
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.sqlquery import Query, bound
from otelkit.collect.sources.sqlsource import DatabaseSource, Own
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import open_store
from otelkit.errors import ConfigError, OtelkitError, StoreError
from shop.databases import MariaDB, PostgreSQL
from shop.services import SLA_FILE
from shop.waiting import until


@pytest.fixture(params=["PostgreSQL", "MariaDB"])
def jobs(request: pytest.FixtureRequest) -> Iterator[Jobs]:
    if request.param == "PostgreSQL":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.database().replace("postgresql:", "postgresql+psycopg:")
        found = Jobs(url, "TIMESTAMP WITH TIME ZONE")
    else:
        maria: MariaDB = request.getfixturevalue("mariadb")
        found = Jobs(maria.database(), "DATETIME(6)", ZoneInfo("Europe/Moscow"))
    yield found
    found.engine.dispose()


def config(jobs: Jobs) -> str:
    moscow = "    timezone: Europe/Moscow\n" if jobs.url.startswith("mysql") else ""
    return CONFIG + moscow


def outcomes(url: str) -> dict[str, float]:
    counted = of(scrape(url), names.ORDER_EVENTS.name, "source", "outcome")
    return {outcome: n for (source, outcome), n in counted.items() if source == "erp" and n}


def test_rows_become_orders_and_are_counted_once_however_often_they_are_read(
    jobs: Jobs, start_collector: StartCollector
) -> None:
    jobs.insert("A-1", "submitted", 0, 1, tier="vip", mes="W-77")
    jobs.insert("A-1", "manufacturing", 1, 2)
    jobs.insert("A-2", "submitted", 1, 1)
    collector = start_collector(secrets(jobs), config(jobs))
    assert until(lambda: outcomes(collector.url) == {"applied": 3}, 15), outcomes(collector.url)
    (order,) = httpx.get(f"{collector.url}/orders/W-77").json()["orders"]
    assert (order["id"], order["stage"], order["tier"]) == ("A-1", "manufacturing", "vip")
    assert order["since"] == (jobs.now + timedelta(seconds=1)).isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")
    # At the watermark's own time, and of a transaction that commits after others have been read.
    with jobs.engine.begin() as slow:
        jobs.insert("A-3", "submitted", -30, 1, within=slow)
        jobs.insert("A-4", "submitted", 1, 1)
        assert until(lambda: outcomes(collector.url) == {"applied": 4}, 10)
    assert until(lambda: outcomes(collector.url) == {"applied": 5}, 10)
    assert httpx.get(f"{collector.url}/readyz").json()["sources"]["erp"] == {"up": True}

    collector.stop()
    jobs.insert("A-4", "priced", 2, 2)
    collector.start()
    again = {"applied": 6, "duplicate": 5}  # what lies within the overlap, read once more
    assert until(lambda: outcomes(collector.url) == again, 15), outcomes(collector.url)
    assert "Traceback" not in collector.process.log.read_text()


def test_hostile_rows_are_counted_and_hold_up_none_of_the_others(
    postgresql: PostgreSQL, start_collector: StartCollector
) -> None:
    url = postgresql.database().replace("postgresql:", "postgresql+psycopg:")
    jobs = Jobs(url, "TIMESTAMP WITH TIME ZONE")
    jobs.insert(None, "submitted", 0, 1)
    jobs.insert("A-1'; DROP TABL", 'x"} 1', 0, 1)
    jobs.insert("A-2", "submitted", 0, -1)
    jobs.insert("A-3", "submitted", 0, 1, tier="'; DROP TABLE jobs; --")
    jobs.insert("A-4", "submitted", 10 * 86_400, 1)  # a clock that is wrong hides nothing
    collector = start_collector(secrets(jobs), config(jobs))
    assert until(lambda: outcomes(collector.url) == {"quarantined": 5}, 15)
    jobs.insert("A-5", "submitted", 0, 1)
    assert until(lambda: outcomes(collector.url).get("applied") == 1, 10)
    reasons = [e["reason"] for e in httpx.get(f"{collector.url}/quarantine").json()["events"]]
    assert "not an order event: Expected `str` of length >= 1 - at `$.subject`" in reasons
    assert "not an order event: Expected `int` >= 0 - at `$.data.version`" in reasons
    assert "DROP" not in httpx.get(f"{collector.url}/metrics").text
    jobs.engine.dispose()


def test_a_database_that_is_away_is_a_sentence_and_judges_no_deadline_until_it_is_back(
    own_postgresql: PostgreSQL, start_collector: StartCollector
) -> None:
    url = own_postgresql.database().replace("postgresql:", "postgresql+psycopg:")
    with _disposing(Jobs(url, "TIMESTAMP WITH TIME ZONE")) as jobs:
        collector = start_collector(secrets(jobs), CONFIG)
        assert until(lambda: source_up(collector.url, "erp"), 15)
        jobs.engine.dispose()
        own_postgresql.stop()
        assert until(lambda: not source_up(collector.url, "erp"), 15)
        why = httpx.get(f"{collector.url}/readyz").json()["sources"]["erp"]["why"]
        assert why.startswith("the database is away (")
        assert why.endswith("; trying again")

        def ticked() -> float | None:
            return value(scrape(collector.url), names.COLLECTOR_TICK.name, shard="0")

        until(lambda: False, 1.5)  # the tick in hand ends
        stands = ticked()
        until(lambda: False, 2)
        assert ticked() == stands
        own_postgresql.start()
        jobs.insert("A-1", "submitted", 0, 1)
        assert until(lambda: outcomes(collector.url) == {"applied": 1}, 20)
        assert until(lambda: ticked() != stands, 10)
        assert source_up(collector.url, "erp")
        log = collector.process.log.read_text()
        assert "Traceback" not in log
        assert "shop:shop" not in log


@contextmanager
def _disposing(jobs: Jobs) -> Iterator[Jobs]:
    yield jobs
    jobs.engine.dispose()


# --- within one process --------------------------------------------------------------------


def test_the_watermark_is_committed_with_its_events_or_neither_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str, value: float) -> None:
        raise StoreError(f"no room for {name} {value}: the disk is full")

    url = f"sqlite:///{tmp_path}/jobs.db"
    with (
        _disposing(Jobs(url, "DATETIME", UTC)) as jobs,
        closing(open_store(tmp_path / "orders.db")) as store,
    ):
        monkeypatch.setattr(store, "write_number", full)
        jobs.insert("A-1", "submitted", 0, 1)
        with _reading(url, store) as (engine, sources):
            assert until(lambda: "full" in sources.all()["erp"].why, 10)
            assert engine.tallies() == {}
            monkeypatch.undo()
            assert until(lambda: sources.all()["erp"].up, 10)
            assert engine.tallies()[names.ORDER_EVENTS.name, "erp", "applied"] == 1
        assert store.read_number("watermark:erp") == jobs.now.timestamp()


def test_the_hour_that_clocks_repeat_in_autumn_is_read_twice() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    since = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50 in summer time

    def asked(minutes: int) -> str:
        at = (since + timedelta(minutes=minutes)).timestamp()
        return str(bound(since.timestamp(), at, berlin))

    assert asked(minutes=5) == "2026-10-25 02:50:00"
    assert asked(minutes=15) == "2026-10-25 01:50:00", "now it is 02:05 for the second time"
    assert bound(since.timestamp(), since.timestamp(), None) == since


@contextmanager
def _reading(url: str, store: Store) -> Iterator[tuple[Engine, Sources]]:
    given = "    timezone: UTC\n    url: "
    engine, sources, stopping = Engine(spec.load(SLA_FILE), store), Sources(), threading.Event()
    sources.down("erp", "")
    (database,) = _load(CONFIG + given + url).databases
    source = DatabaseSource(Query(database), Own(engine), sources, stopping, batch=1000)
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield engine, sources
    finally:
        stopping.set()
        thread.join()


def _load(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return settings.load(Path(file.name), environ or {})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda text: text.replace(">= :watermark", "> 0"),
            (
                "databases.erp.query: the query does not ask for rows since :watermark; "
                "write such as WHERE changed_at >= :watermark"
            ),
        ),
        (lambda text: text.replace("status: state", "stat: state"), "unknown key 'stat'"),
        (lambda text: text.replace("order: number\n", "\n"), "the key 'order' is missing; add it"),
        (lambda text: text.replace("erp:", "http:"), "'http' cannot name a database; write"),
        (lambda text: text.replace("1s", "1d"), "1d is out of range; write 1s to 1h"),
        (
            lambda text: text + "    timezone: Mars\n",
            "'Mars' is no time zone; write such as UTC or Europe/Moscow",
        ),
        (
            lambda text: text,
            (
                "the database 'erp' has no address such as postgresql+psycopg://user@host/name; "
                "set url or OTELKIT_COLLECTOR_DATABASE_ERP_URL"
            ),
        ),
    ],
    ids=["watermark", "key", "missing", "name", "every", "timezone", "address"],
)
def test_a_database_that_is_configured_wrongly_is_refused_with_a_sentence(
    change: Callable[[str], str], sentence: str
) -> None:
    with pytest.raises(OtelkitError) as refused:
        _load(change(CONFIG))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("url", "given", "sentence"),
    [
        ("nothing://shop:hidden@host/x", "", "the address of the database 'erp' cannot be used"),
        ("mysql+pymysql://shop:hidden@host:port/x", "", "cannot be used: its port is no number"),
        (
            "mysql+pymysql://host/x?foo=bar",
            "",
            "the address of the database cannot be used: Connection.__init__() got an unexpected",
        ),
        ("sqlite:///{folder}/jobs.db", "", "the times in column 'changed' name no time zone; say"),
        (
            "sqlite:///{folder}/jobs.db",
            "    timezone: UTC\n",
            "there is no column 'work_order'; there are number, state",
        ),
        (
            "sqlite:///{folder}/none.db",
            "    timezone: UTC\n",
            "the database is away (no such table: jobs); trying again",
        ),
    ],
    ids=["driver", "port", "parameter", "times", "column", "table"],
)
def test_a_database_that_does_not_fit_its_configuration_says_what_does_not(
    tmp_path: Path, url: str, given: str, sentence: str
) -> None:
    address = url.format(folder=tmp_path)
    text = CONFIG.replace(", work_order FROM", " FROM") if "work_order" in sentence else CONFIG
    with _disposing(Jobs(f"sqlite:///{tmp_path}/jobs.db", "DATETIME", UTC)) as jobs:
        jobs.insert("A-1", "submitted", 0, 1)
    (database,) = _load(f"{text}{given}    url: {address}").databases
    sources, stopping = Sources(), threading.Event()
    with closing(open_store(tmp_path / "store.db")) as store:
        engine = Engine(spec.load(SLA_FILE), store)
        told: list[Any] = []
        try:
            source = DatabaseSource(Query(database), Own(engine), sources, stopping, batch=1000)
        except ConfigError as error:
            told.append(str(error))
        else:
            thread = threading.Thread(target=source.run)
            thread.start()
            until(lambda: "erp" in sources.all(), 10)
            stopping.set()
            thread.join()
            told.append(sources.all()["erp"].why)
    assert sentence in told[0]
    assert "hidden" not in told[0]
