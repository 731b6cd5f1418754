"""``otelkit orders load``: files into a collector, once, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

from collecting import OTELKIT, moved, otelkit
from otelkit.cli import records
from otelkit.collect.sources.sqlquery import Query
from otelkit.collect.sources.tables import Database
from otelkit.errors import MissingExtraError
from otelkit.rows import Columns, Table
from shop.services import Collector
from shop.waiting import until

NOW = time.time() - 60
DATABASE = Database("sqlite://", "SELECT 1", Table("erp", "order", Columns()))


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    collector = Collector(tmp_path_factory.mktemp("collector"), {})
    collector.start()
    yield collector
    collector.stop()
    assert "Traceback" not in collector.process.log.read_text()


def load(collector: Collector, file: Path, *options: str) -> tuple[int, str, str]:
    ran = otelkit(["orders", "load", str(file), "--collector", collector.url, *options])
    return ran.returncode, ran.stdout, ran.stderr


def order(collector: Collector, name: str) -> dict[str, object]:
    (found,) = httpx.get(f"{collector.url}/orders/{name}").json()["orders"]
    return dict(found)


def test_rows_of_csv_are_loaded_once_and_bad_ones_are_told_by_their_line(
    collector: Collector, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "number,status,time,version,tier,job\n"
        "C-1,submitted,2026-03-29 02:30,1,vip,W-1\n"
        '"C-2",submitted,2026-03-29T03:30:00+03:00,1,,\n'
        "C-2,lost,2026-03-29T04:30:00+03:00,2,,\n"
        "C-3,submitted,yesterday,1,,\n"
        "C-4,submitted\n"
        ",submitted,2026-03-29 02:30,1,,\n"
    )
    options = ("--columns", "order=number,alias.mes=job", "--timezone", "Europe/Moscow")
    code, said, told = load(collector, file, *options)
    assert (code, said) == (1, f"{file}: 2 applied, 0 late, 0 duplicate; 4 bad records\n")
    assert sorted(told.splitlines()) == [
        f"{file}:4: process 'order' has no status 'lost'; add it to the SLA file or send another",
        f"{file}:5: not an order event: Invalid RFC3339 encoded datetime - at `$.time`",
        f"{file}:6: it has not 6 columns",
        f"{file}:7: not an order event: Expected `str` of length >= 1 - at `$.subject`",
    ]
    found = order(collector, "W-1")
    assert (found["id"], found["tier"]) == ("C-1", "vip")
    assert found["since"] == "2026-03-28T23:30:00.000Z"

    code, said, _ = load(collector, file, *options, "--json")
    answer = json.loads(said)
    assert (code, answer["duplicate"], answer["quarantined"]) == (1, 2, 4)
    assert [problem["line"] for problem in answer["problems"]] == [4, 5, 7, 6]


def test_a_row_without_a_time_zone_among_rows_with_one_leaves_the_others_alone(
    collector: Collector, tmp_path: Path
) -> None:
    file = tmp_path / "mixed.csv"
    zoned = "".join(f"Z-{n},submitted,2026-03-29T02:30:00Z\n" for n in (1, 2))
    file.write_text(f"order,status,time\n{zoned}Z-3,submitted,2026-03-29 02:30\n")
    code, said, told = load(collector, file)
    assert (code, said) == (1, f"{file}: 2 applied, 0 late, 0 duplicate; 1 bad record\n")
    assert told.startswith(f"{file}:4: the times in column 'time' name no time zone; ")


def test_the_log_of_a_service_gives_back_the_events_that_it_could_not_spool(
    collector: Collector, tmp_path: Path
) -> None:
    event = moved("L-2", "submitted", NOW).decode()
    told = f"order event not spooled, spool_full: {event}"
    file = tmp_path / "crm.log"
    file.write_text(
        f"{moved('L-1', 'submitted', NOW).decode()}\n"
        "2026-03-01 12:00:00 INFO ready\n"
        f"2026-03-01 12:00:01 ERROR {told}\n"
        + json.dumps({"level": "ERROR", "message": told.replace("L-2", "L-3")})
        + f"\n{told[:-20]}\n"
    )
    code, said, errors = load(collector, file)
    assert (code, said) == (
        1,
        f"{file}: 3 applied, 0 late, 0 duplicate; 1 bad record; 1 line without an event\n",
    )
    assert errors.startswith(f"{file}:5: the event in it is cut off or changed: ")
    assert [order(collector, f"L-{n}")["status"] for n in (1, 2, 3)] == ["submitted"] * 3


def test_rows_of_parquet_are_loaded_with_their_types(collector: Collector, tmp_path: Path) -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    file = tmp_path / "jobs.parquet"
    rows = {
        "order": ["P-1", "P-1"],
        "status": ["submitted", "priced"],
        "time": [at, at + timedelta(seconds=1)],
        "version": [1, 2],
        "unused": [b"", b""],
    }
    parquet.write_table(pa.table(rows), file)
    code, said, errors = load(collector, file)
    assert (code, said, errors) == (0, f"{file}: 2 applied, 0 late, 0 duplicate\n", "")
    assert order(collector, "P-1")["status"] == "priced"


def test_parquet_of_other_writers_is_read_with_bytes_as_text_and_times_to_the_nanosecond(
    collector: Collector, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.parquet"
    times = pa.array([int(NOW) * 10**9 + 1], pa.timestamp("ns", "UTC"))
    rows = {"order": [b"P-2"], "status": [b"submitted"], "time": times, "version": [b"7"]}
    parquet.write_table(pa.table(rows), file)
    code, said, errors = load(collector, file)
    assert (code, said, errors) == (0, f"{file}: 1 applied, 0 late, 0 duplicate\n", "")
    assert order(collector, "P-2")["status"] == "submitted"


def test_a_load_that_is_interrupted_goes_on_where_it_stopped(
    collector: Collector, tmp_path: Path
) -> None:
    file, count = tmp_path / "many.jsonl", 8_000
    file.write_bytes(b"".join(moved(f"M-{n}", "submitted", NOW) + b"\n" for n in range(count)))
    kept = tmp_path / "many.jsonl.loading"
    with subprocess.Popen(
        [OTELKIT, "orders", "load", str(file), "--collector", collector.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert until(kept.exists, 20, interval=0.005)
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=20)
    done = json.loads(kept.read_text())["records"]
    assert (process.returncode, said) == (130, "")
    assert told == f"stopped after {done} records; run it again to go on from there\n"
    assert 0 < done < count
    code, said, told = load(collector, file)
    assert (code, told) == (0, f"going on after {done} records that are loaded\n")
    applied, late, duplicate = (int(word.replace(",", "")) for word in said.split()[1:6:2])
    assert (applied + duplicate, late) == (count, 0)
    assert duplicate <= 1000, "at most the batch in hand is sent again"
    assert not kept.exists()


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("pyarrow", "parquet", lambda: list(records.read(Path("a.parquet"), lambda _: None))),  # type: ignore[arg-type,return-value]
        ("sqlalchemy", "database", lambda: Query(DATABASE)),
    ],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str, use: Callable[[], object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'otelkit\[{extra}\]'"):
        use()


def test_a_file_that_was_changed_since_is_loaded_from_its_beginning(
    collector: Collector, tmp_path: Path
) -> None:
    file = tmp_path / "some.jsonl"
    other = {"bytes": 3, "head": "0", "collector": collector.url}
    (tmp_path / "some.jsonl.loading").write_text(
        json.dumps({"load": other, "records": 1, "counts": {}})
    )
    file.write_bytes(moved("S-1", "submitted", NOW) + b"\n")
    assert load(collector, file)[:2] == (0, f"{file}: 1 applied, 0 late, 0 duplicate\n")


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_for_a_file_is_a_sentence(collector: Collector, folder: str) -> None:
    told = f"otelkit: {folder} is a folder; name a file in it\n"
    assert load(collector, Path(folder)) == (1, "", told)


@pytest.mark.parametrize(
    ("name", "text", "options", "sentence"),
    [
        ("none.csv", None, (), "cannot read {file}: No such file or directory"),
        ("a.log", "nothing\n", (), "{file} holds no order event; otelkit schema --event shows one"),
        (
            "a.csv",
            "id,status,time\n",
            (),
            (
                "{file}: there is no column 'order'; there are id, status, time; "
                "name others with --columns"
            ),
        ),
        (
            "a.csv",
            "order;status;time\n",
            (),
            "{file} has semicolons between its columns; save it with commas",
        ),
        (
            "a.csv",
            "order,status,time\nA,submitted,2026-03-29 02:30\n",
            (),
            "the times in column 'time' name no time zone; say which they are in with timezone",
        ),
        ("a.parquet", "PAR", (), "{file} is no Parquet file that can be read: "),
        ("a.csv", "", ("--columns", "x=y"), "'x=y' names no column; write such as order=number"),
        ("a.csv", "", ("--columns", "customer=y"), "'customer=y' names no column; write such as"),
        ("a.csv", "x" * 200_000, (), "{file} has no columns that can be read: field larger than"),
        ("", None, (), "{file} is a folder; name a file in it"),
        ("a.csv", "", ("--timezone", "Mars"), "'Mars' is no time zone; write such as UTC or"),
        (
            "a.jsonl",
            moved("A", "submitted", NOW).decode(),
            ("--collector", "http://127.0.0.1:1"),
            "no collector answers at http://127.0.0.1:1 (",
        ),
    ],
    ids=[
        "missing",
        "empty",
        "column",
        "semicolons",
        "zone",
        "parquet",
        "columns",
        "long column",
        "long header",
        "folder",
        "timezone",
        "away",
    ],
)
def test_a_file_that_cannot_be_loaded_is_a_sentence(
    collector: Collector,
    tmp_path: Path,
    name: str,
    text: str | None,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    code, said, told = load(collector, file, *options)
    assert (code, said) == (1, "")
    assert sentence.format(file=file) in " ".join(told.replace("│", " ").split())
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] in ([], [name])
