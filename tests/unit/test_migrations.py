"""Stores of older versions: they open, know what they knew, and go on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otelkit import names, spec
from otelkit.collect.api.orders import Orders
from otelkit.collect.clocks import standing
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine.engine import Engine
from otelkit.collect.storage.stores import open_store
from otelkit.errors import StoreError

DATA = Path(__file__).parent / "data"
START = 1_800_000_000.0


def of_version(version: int, path: Path) -> Path:
    """A store as that version left it: what ``.dump`` of sqlite3 said."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / f"store-{version}.sql").read_text())
    return path


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_store_is_brought_forward_with_all_that_it_holds(
    version: int, tmp_path: Path
) -> None:
    path = of_version(version, tmp_path / "orders.db")
    for _ in ("the first opening migrates", "the second finds it done"):
        with closing(open_store(path)) as store:
            engine = Engine(spec.loads((DATA / "clocks.yaml").read_text(), "sla.yaml"), store)
            orders = Orders(engine, store)
            assert engine.watermark == START + 150
            (story,) = orders.find("W-77", START)
            assert (story.state.order_id, story.state.status) == ("A-1", "shipped")
            assert [event.status for event in story.events] == [
                "submitted", "packed", "making", "shipped",
            ]  # fmt: skip
            assert [late.state.order_id for late in orders.late("overdue")] == ["A-2", "A-3"]
            tallies = engine.tallies()
            assert tallies[names.ORDER_EVENTS.name, "test", "quarantined"] == 1
            assert (
                tallies[names.ORDER_CLOCKS.name, "making", "standard", "default", "breached"] == 2
            )
            recount = Tallies()
            for state in store.get(range(10)).values():
                recount.change(standing.standing(state, engine.watermark))
            gauges = {k: n for k, n in store.tallies().items() if k[0] in standing.GAUGES}
            assert gauges == recount
            assert [rejected.body for rejected in engine.quarantined(9)] == [b"{}"]
            assert engine.nth_latest_arrival("orders.dlq", 3) == START


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_was_counted_by_a_clock_that_was_ahead_is_overdue_again_in_time_and_counts_once(
    version: int, tmp_path: Path
) -> None:
    path = of_version(version, tmp_path / "orders.db")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE numbers SET value = ? WHERE name = 'tick'", (START + 90,))
    with closing(open_store(path)) as store:
        engine = Engine(spec.loads((DATA / "clocks.yaml").read_text(), "sla.yaml"), store)
        orders = Orders(engine, store)
        assert orders.late("overdue") == []
        assert [late.state.order_id for late in orders.late("open")] == ["A-2", "A-3", "A-2"]
        engine.tick(START + 150)
        assert [late.state.order_id for late in orders.late("overdue")] == ["A-2", "A-3"]
        breached = (names.ORDER_CLOCKS.name, "making", "standard", "default", "breached")
        assert engine.tallies()[breached] == 2
        assert {instant for (_, _, order), instant in orders.deadlines().overdue.items()} == {
            START + 100, START + 110,
        }  # fmt: skip


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"newer otelkit \(schema 99, .*; install that version, or"
    ):
        open_store(path)
    assert path.read_bytes() == before
