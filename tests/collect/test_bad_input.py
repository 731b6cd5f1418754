"""A collector that cannot start says why in a sentence; one that runs stops when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from collecting import (
    OTELKIT,
    StartCollector,
    batch,
    moved,
    otelkit,
    scrape,
    source_up,
    value,
)
from otelkit.collect import settings as collector_settings
from otelkit.collect.storage.stores import open_store
from otelkit.errors import StoreError
from shop.servers import RabbitMQ, free_port
from shop.services import SLA_FILE, Collector
from shop.waiting import until


def refusal(
    folder: Path, *, sla: Path = SLA_FILE, config: str = "", env: Mapping[str, str] | None = None
) -> str:
    """What ``otelkit collect`` says when it does not even start."""
    settings = folder / "collector.yaml"
    settings.write_text(f"store: {folder}/orders.db\nlisten: 127.0.0.1:{free_port()}\n{config}")
    ran = otelkit(
        ["collect", "--sla", str(sla), "--config", str(settings)], os.environ | (env or {})
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran.stderr.replace(f"{folder}/", "").strip()


def test_a_broken_sla_file(tmp_path: Path) -> None:
    sla = tmp_path / "sla.yaml"
    sla.write_text("version: 1\nsystem: shop\nobjectivs: []\n")
    assert "\nsla.yaml:3:1: objectivs: unknown key" in refusal(tmp_path, sla=sla)
    missing = refusal(tmp_path, sla=tmp_path / "nope.yaml")
    assert missing == "nope.yaml:1:1: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("tick: 1h", "collector.yaml:3:7: tick: 1h is too long; write at most 10m"),
        ("batch: 0", "collector.yaml:3:8: batch: 0 is out of range; write 1 to 10000"),
        ("toke: x", "collector.yaml:3:1: toke: unknown key 'toke'; did you mean 'token'?"),
        (
            "token: open sesame",
            (
                "collector.yaml:3:8: token: write a token of at most 255 ASCII letters, digits and "
                "signs, no spaces"
            ),
        ),
        (
            "amqp: http://user:hidden@broker",
            "collector.yaml:3:7: amqp: this is no address of the kind amqp://user:password@host",
        ),
        (
            "management: http://broker:15672",
            "management is set without amqp; give the address of the broker too",
        ),
        (
            "amqp: amqp://shop@broker/",
            (
                "amqp names the user 'shop' and no password; give the whole address in "
                "OTELKIT_COLLECTOR_AMQP"
            ),
        ),
    ],
)
def test_a_wrong_setting_in_the_file(tmp_path: Path, config: str, sentence: str) -> None:
    said = refusal(tmp_path, config=config)
    assert said.removeprefix("otelkit: ") == sentence, (
        "and not the line itself, which may hold a password"
    )


def test_a_wrong_setting_in_the_environment(tmp_path: Path) -> None:
    said = refusal(tmp_path, env={"OTELKIT_COLLECTOR_LISTEN": "everywhere"})
    assert said == (
        "otelkit: the environment variable OTELKIT_COLLECTOR_LISTEN: 'everywhere' is no host and "
        "port; write such as 127.0.0.1:9465"
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "amqp: amqp://shop:hidden@broker/?heartbeat=often",
            "this address has parameters that cannot be used: Invalid heartbeat value 'often'",
        ),
        (
            "store: postgresql://shop:hidden@host/x?host_name=y",
            "the address of the store cannot be used: invalid URI query parameter; write such as",
        ),
        ('store: "orders\\0.db"', "this is no file's name; write one such as"),
        ('listen: "local\\0host:80"', "'local\\x00host:80' is no host and port; write such as"),
    ],
    ids=["broker", "database", "file", "host"],
)
def test_an_address_that_a_driver_cannot_take(tmp_path: Path, setting: str, sentence: str) -> None:
    file = tmp_path / "collector.yaml"
    file.write_text(f"{setting}\ntoken: x\n")
    ran = otelkit(["collect", "--sla", str(SLA_FILE), "--config", str(file)])
    assert ran.returncode == 1
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hidden" not in ran.stderr


def test_an_address_to_divide_into_that_a_driver_cannot_take(tmp_path: Path) -> None:
    open_store(tmp_path / "orders.db").close()
    for store, database in (
        (tmp_path / "orders.db", "postgresql://shop:hidden@host/x?host_name=y"),
        ("mysql://shop:hidden@host/x", "postgresql://host/x"),
    ):
        ran = otelkit(["divide", str(store), database, "--shards", "4"])
        assert ran.returncode == 1
        assert ran.stderr.startswith("otelkit: the address of the store cannot be used: ")
        assert "hidden" not in ran.stderr


def test_it_serves_everyone_only_with_a_token(tmp_path: Path) -> None:
    said = refusal(tmp_path, env={"OTELKIT_COLLECTOR_LISTEN": "0.0.0.0:9465"})
    assert said == (
        "otelkit: the collector would listen on 0.0.0.0 for everyone; "
        "set a token, or listen on 127.0.0.1"
    )


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refusal(tmp_path, env={"OTELKIT_COLLECTOR_LISTEN": f"127.0.0.1:{port}"})
    assert said == (
        f"otelkit: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop what uses the port, or set another with listen"
    )


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE pictures (name TEXT)")
    db.close()


def damaged(path: Path) -> None:
    open_store(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"?" * (len(content) - 4096))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda path: path.write_text("holiday pictures" * 100),
            (
                "the store orders.db refuses: file is not a database; "
                "restore it, or give the collector another file"
            ),
        ),
        (
            foreign,
            "orders.db is a database of another program; give the collector its own file",
        ),
        (
            damaged,
            (
                "the store orders.db refuses: database disk image is malformed; "
                "restore it, or give the collector another file"
            ),
        ),
        (Path.mkdir, "the store orders.db is a folder; name a file in it"),
    ],
    ids=["text", "database of another program", "damaged", "folder"],
)
def test_a_store_that_is_none_is_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], Any], sentence: str
) -> None:
    store = tmp_path / "orders.db"
    make(store)
    before = store.read_bytes() if store.is_file() else None
    assert refusal(tmp_path) == f"otelkit: {sentence}"
    assert before is None or store.read_bytes() == before


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_without_a_name_is_no_store_either(tmp_path: Path, folder: str) -> None:
    said = refusal(tmp_path, env={"OTELKIT_COLLECTOR_STORE": folder})
    assert said == f"otelkit: the store {folder} is a folder; name a file in it"


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = tmp_path / "file" / "orders.db"
    said = refusal(tmp_path, env={"OTELKIT_COLLECTOR_STORE": str(store)})
    assert said == (
        "otelkit: cannot write beside file/orders.db: Not a directory; choose another place"
    )


def test_settings_that_are_all_commented_out_are_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "collector.yaml"
    for text in ("", "# tick: 5s\n\n  # lateness: 30s\n"):
        file.write_text(text)
        assert collector_settings.load(file, {}) == collector_settings.load(None, {})


def test_a_store_that_another_collector_works_on(
    tmp_path: Path, start_collector: StartCollector
) -> None:
    store = tmp_path / "orders.db"
    first = start_collector({"store": str(store)})
    assert refusal(tmp_path) == (
        "otelkit: another collector works on orders.db; stop it, or give this one a file of its own"
    )
    assert httpx.get(f"{first.url}/healthz").text == "ok\n"


def test_a_store_that_others_hold_or_damage_is_an_error_of_ours(tmp_path: Path) -> None:
    store = open_store(tmp_path / "orders.db")
    store._db.run("PRAGMA busy_timeout = 1")
    with sqlite3.connect(tmp_path / "orders.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"orders.db refuses: database is locked; see to"):
            store.write_number("x", 1)
        with (
            pytest.raises(StoreError, match="database is locked"),
            store.transaction(),
        ):
            pass
    other.close()
    store.close()


def test_shards_whose_database_is_away(tmp_path: Path) -> None:
    host, port = "127.0.0.1", free_port()
    said = refusal(
        tmp_path,
        env={
            "OTELKIT_COLLECTOR_STORE": f"postgresql://shop:hidden@{host}:{port}/shop",
            "OTELKIT_COLLECTOR_AMQP": f"amqp://{host}:{port}",
            "OTELKIT_COLLECTOR_SHARDS": "4",
        },
    )
    assert f"otelkit: the store postgresql://{host}:{port}/shop refuses: " in said
    assert "hidden" not in said


# --- sources that are away -----------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a broker that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"amqp://guest:hidden@127.0.0.1:{listener.getsockname()[1]}/"


def why_down(collector: Collector, source: str) -> str:
    found = until(
        lambda: [
            c["why"]
            for name, c in httpx.get(f"{collector.url}/readyz").json()["sources"].items()
            if name == source and c.get("why") not in (None, "not connected yet")
        ],
        10,
    )
    return str(found[0]) if found else ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _: f"amqp://guest:hidden@127.0.0.1:{free_port()}/", "does not answer ("),
        (lambda url: url.replace("guest:guest", "guest:hidden"), "refuses us: (403) 'ACCESS_"),
        (lambda url: url + "-nowhere", "refuses us: (530) 'NOT_ALLOWED - vhost"),
    ],
    ids=["away", "wrong password", "no such vhost"],
)
def test_a_broker_that_does_not_let_us_in_is_a_sentence_and_no_end(
    vhost: str, start_collector: StartCollector, change: Callable[[str], str], why: str
) -> None:
    url = change(vhost)
    collector = start_collector({"amqp": url})
    where = url.partition("@")[2].partition("/")[0]
    said = why_down(collector, "rabbitmq")
    assert said.startswith(f"RabbitMQ at {where} {why}")
    assert said.endswith("; trying again")
    assert why_down(collector, "dlq:orders.dlq") == said
    scraped = scrape(collector.url)
    assert value(scraped, "otelkit_source_up", source="rabbitmq") == 0
    assert value(scraped, "otelkit_source_up", source="http") == 1
    log = collector.process.log.read_text()
    assert f"source rabbitmq is down: {said}" in log
    assert "Traceback" not in log
    assert "hidden" not in log


def test_a_collector_connects_once_its_broker_is_there(
    rabbitmq: RabbitMQ, start_collector: StartCollector
) -> None:
    name = f"later-{free_port()}"
    url = rabbitmq.amqp_url.replace("%2F", name)
    collector = start_collector({"amqp": url})
    assert "vhost later-" in why_down(collector, "rabbitmq")
    rabbitmq.vhost(name)
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)


# --- stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_it_stops_at_once_with_all_that_it_said_it_had(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    port = free_port()
    env = os.environ | {
        "OTELKIT_COLLECTOR_STORE": str(tmp_path / "orders.db"),
        "OTELKIT_COLLECTOR_LISTEN": f"127.0.0.1:{port}",
    }
    with subprocess.Popen([OTELKIT, "collect", "--sla", str(SLA_FILE)], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        while "listening" not in first["message"]:
            first = json.loads(process.stdout.readline())
        assert first["message"] == f"listening on {url}"
        told = batch(moved(f"A-{n}", "submitted", 1_750_000_000 + n) for n in range(100))
        assert httpx.post(f"{url}/events", content=told).json()["applied"] == 100
        process.send_signal(number)
        rest, _ = process.communicate(timeout=5)
        assert process.returncode == code
        assert b"Traceback" not in rest
    store = open_store(tmp_path / "orders.db")
    assert len(store.find(("order", f"A-{n}") for n in range(100))) == 100
    store.close()


def test_it_stops_within_seconds_though_its_broker_hangs(
    silent: str, start_collector: StartCollector
) -> None:
    collector = start_collector({"amqp": silent})
    assert not source_up(collector.url, "rabbitmq")
    assert collector.process.pid is not None
    os.kill(collector.process.pid, signal.SIGTERM)
    assert until(lambda: not collector.process.running, 6)
