"""The engine over a real store: whatever way events arrive, the numbers come out the same."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from otelkit import events, names, spec
from otelkit.collect.api.acks import MOST
from otelkit.collect.api.exposition import Exposition
from otelkit.collect.api.orders import LateOrder, Orders
from otelkit.collect.clocks import standing as gauges
from otelkit.collect.clocks.policies import terms
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Key, Tallies
from otelkit.collect.engine import engine
from otelkit.collect.engine.batch import Batch
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Overdue, Received
from otelkit.collect.storage.stores import open_store
from otelkit.errors import StoreError
from otelkit.events import OrderMoved
from shop.databases import PostgreSQL

SLA = (Path(__file__).parent / "data" / "clocks.yaml").read_text()
START = 1_800_000_000.0
Story = list[tuple[int, str]]
"""Seconds after the start, and the status then."""

STATUSES = ("submitted", "priced", "making", "packed", "shipped", "cancelled", "waiting")
STORIES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(STATUSES)),
    min_size=1,
    max_size=6,
    unique_by=lambda step: step[0],
)
LATEST = START + 1000


class Collector:
    """An engine with its store, and ways to feed it."""

    def __init__(self, place: Path | str, sla: str = SLA) -> None:
        self.sla = spec.loads(sla, "sla.yaml")
        self.store = open_store(place)
        self.overdue: list[Overdue] = []
        self.engine = Engine(self.sla, self.store, self.overdue.append)
        self.orders = Orders(self.engine, self.store)

    def feed(self, *told: OrderMoved) -> list[str]:
        batch = [Received("test", events.encode(event), LATEST) for event in told]
        return [taken.outcome for taken in self.engine.apply(batch)]

    def tallies(self) -> Tallies:
        """All that is counted in memory."""
        return self.engine.remembered()

    def state(self, order_id: str = "A-1") -> State:
        (story,) = self.orders.find(order_id, LATEST)
        return story.state

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def collector(place: Path | str) -> Iterator[Collector]:
    with closing(Collector(place)) as made:
        yield made


def moved(at: float, status: str, *, order: str = "A-1", **more: object) -> OrderMoved:
    when = datetime.fromtimestamp(START + at, UTC)
    return OrderMoved("test", f"{order}-{at}-{status}", order, when, "order", status, **more)  # type: ignore[arg-type]


def clocks(tallies: Tallies) -> dict[Key, float]:
    """Outcomes as they stand after corrections, by objective and outcome."""
    found: dict[Key, float] = {}
    for key, count in tallies.items():
        if key[0] == names.ORDER_CLOCKS.name:
            _, objective, _, _, outcome = key
            found[objective, outcome] = found.get((objective, outcome), 0) + count
        elif key[0] == names.ORDER_CLOCK_CORRECTIONS.name:
            _, objective, _, before, after = key
            found[objective, before] = found.get((objective, before), 0) - count
            found[objective, after] = found.get((objective, after), 0) + count
    return {key: count for key, count in found.items() if count}


def standing(tallies: Tallies) -> dict[Key, float]:
    return {key: count for key, count in tallies.items() if key[0] in gauges.GAUGES}


# --- one order -----------------------------------------------------------------------------


def test_a_tick_counts_a_breach_when_it_happens_and_only_once(collector: Collector) -> None:
    collector.feed(moved(0, "making"))
    collector.engine.tick(START + 99)
    assert clocks(collector.engine.tallies()) == {}
    assert [late.deadline for late in collector.orders.late("at_risk")] == [START + 100]
    for now in (100, 101, 102):
        collector.engine.tick(START + now)
    assert clocks(collector.engine.tallies()) == {("making", "breached"): 1}
    assert [(o.state.order_id, o.objective) for o in collector.overdue] == [("A-1", "making")]
    collector.feed(moved(103, "packed"))
    assert clocks(collector.engine.tallies()) == {("making", "breached"): 1}
    assert collector.orders.late("overdue") == []


def test_a_late_event_that_turns_a_breach_into_met_is_a_correction(collector: Collector) -> None:
    collector.feed(moved(0, "making"))
    collector.engine.tick(START + 150)
    collector.feed(moved(90, "packed"))
    tallies = collector.engine.tallies()
    assert tallies[names.ORDER_CLOCKS.name, "making", "standard", "default", "breached"] == 1
    assert tallies[names.ORDER_CLOCK_CORRECTIONS.name, "making", "standard", "breached", "met"] == 1


def test_what_the_next_event_of_a_batch_meets_is_never_a_breach(collector: Collector) -> None:
    collector.engine.tick(LATEST)
    collector.feed(moved(0, "making"), moved(50, "packed"), moved(60, "shipped"))
    assert clocks(collector.engine.tallies()) == {("making", "met"): 1, ("whole", "met"): 1}
    assert collector.overdue == []


def test_waiting_for_the_order_and_for_opening_hours_are_told_apart(place: Path | str) -> None:
    calendar = 'calendars: {shop: {timezone: UTC, hours: {mon-fri: "09:00-17:00"}}}\nprocesses:'
    sla = SLA.replace("processes:", calendar).replace(
        "stage: making", "stage: making\n    calendar: shop"
    )
    friday, opens = START, START + 3600
    with closing(Collector(place, sla)) as collector:
        collector.feed(
            moved(0, "making"), moved(0, "making", order="A-2"), moved(1, "waiting", order="A-2")
        )

        def told(order: str, now: float) -> list[tuple[str, float | None]]:
            (story,) = collector.orders.find(order, now)
            return [(story.standing(run), story.closed_until(run)) for run in story.state.runs]

        assert told("A-1", friday + 10) == [("running", opens), ("running", None)]
        assert told("A-1", opens)[0] == ("running", None)
        assert told("A-2", friday + 10) == [("paused", None), ("paused", None)]


def test_a_collector_that_runs_over_new_years_judges_by_each_years_holidays(
    collector: Collector,
) -> None:
    calendar = 'calendars: {shop: {timezone: UTC, hours: {mon-sun: "00:00-24:00"}, holidays: DE}}\n'
    sla = SLA.replace("stage: making", "stage: making\n    calendar: shop") + calendar
    collector.engine.terms = terms(spec.loads(sla, "sla.yaml"))
    for year in range(2028, 2048):
        eve = datetime(year, 12, 31, 23, 59, tzinfo=UTC).timestamp()
        event = moved(eve - START, "making", order=f"A-{year}")
        batch = [Received("test", events.encode(event), eve)]
        assert [taken.outcome for taken in collector.engine.apply(batch)] == ["applied"]
        collector.engine.tick(eve + 86_400 + 60 + 39)
        assert len(collector.overdue) == 2 * (year - 2028) + 1, "1 January is a holiday"
        collector.engine.tick(eve + 86_400 + 60 + 40)
        assert len(collector.overdue) == 2 * (year - 2028) + 2


def test_an_order_is_found_by_the_name_of_another_system(collector: Collector) -> None:
    collector.feed(moved(0, "making", aliases={"mes": "W-77"}))
    assert collector.state("W-77").order_id == "A-1"
    assert collector.orders.find("W-78", LATEST) == []


def test_an_order_may_get_a_name_again_that_it_had_before(collector: Collector) -> None:
    for at, name in enumerate(("W-1", "W-2", "W-1")):
        collector.feed(moved(at, "submitted", aliases={"mes": name}))
    assert [story.state.order_id for story in collector.orders.find("W-1", LATEST)] == ["A-1"]
    assert collector.orders.find("W-2", LATEST) == []


def test_an_event_whose_mark_another_has_too_is_applied_all_the_same(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelkit.collect.engine.batch.mark_of", lambda _: b"abc")
    collector.feed(moved(0, "making"))
    assert collector.feed(moved(10, "packed"), moved(0, "making")) == ["applied", "duplicate"]
    stayed = (names.ORDER_STAGE_DURATION.name, "order", "making", "standard", "sum")
    assert collector.tallies()[stayed] == 10


def test_nothing_wrong_stops_a_batch_and_all_of_it_can_be_read(collector: Collector) -> None:
    wrong = {
        b"\xff\x00": "not an order event",
        b"{}": "specversion",
        events.encode(moved(1, "lost")): "no status 'lost'",
        events.encode(moved(1, "making", tier="gold")): "no tier 'gold'",
        events.encode(moved(1, "making", order="A\n1")): "control characters",
        events.encode(moved(10_000_000, "making")): "ahead of us",
        b"[" * 10_000: "not an order event",
        b" " * 70_000: "too many",
    }
    batch = [Received("test", body, LATEST) for body in (*wrong, events.encode(moved(0, "making")))]
    taken = collector.engine.apply(batch)
    assert [one.outcome for one in taken] == ["quarantined"] * len(wrong) + ["applied"]
    reasons = [rejected.reason for rejected in reversed(collector.engine.quarantined(100))]
    for reason, expected in zip(reasons, wrong.values(), strict=True):
        assert expected in reason
    counted = collector.engine.tallies()[names.ORDER_EVENTS.name, "test", "quarantined"]
    assert counted == len(wrong)


# --- any arrival ---------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(STORIES, min_size=1, max_size=4), st.randoms(use_true_random=False), st.data())
def test_order_of_arrival_batches_repeats_and_ticks_change_nothing(
    stories: list[Story], luck: random.Random, data: st.DataObject
) -> None:
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        check_arrivals([folder / "orders.db" for folder in folders], stories, luck, data)


@settings(max_examples=4)
@given(st.lists(STORIES, min_size=1, max_size=4), st.randoms(use_true_random=False), st.data())
def test_nor_do_they_where_the_store_is_in_postgresql(
    postgresql: PostgreSQL, stories: list[Story], luck: random.Random, data: st.DataObject
) -> None:
    check_arrivals([postgresql.database(), postgresql.database()], stories, luck, data)


def check_arrivals(
    places: Sequence[Path | str], stories: list[Story], luck: random.Random, data: st.DataObject
) -> None:
    told = [
        moved(at, status, order=f"A-{number}")
        for number, story in enumerate(stories)
        for at, status in story
    ]
    in_order = sorted(told, key=lambda event: event.at)
    shuffled = [*told, *luck.sample(told, len(told) // 2)]
    luck.shuffle(shuffled)
    with ExitStack() as stack:
        straight, wild = (stack.enter_context(closing(Collector(place))) for place in places)
        straight.feed(*in_order)
        while shuffled:
            size = data.draw(st.integers(1, 4))
            batch, shuffled = shuffled[:size], shuffled[size:]
            wild.feed(*batch)
            wild.engine.tick(START + data.draw(st.integers(0, 500)))
        for collector in (straight, wild):
            collector.engine.tick(LATEST)
        for number in range(len(stories)):
            expected, found = straight.state(f"A-{number}"), wild.state(f"A-{number}")
            assert _known(found) == _known(expected)
        assert standing(wild.tallies()) == standing(straight.tallies())
        _check_gauges(wild)
        # A breach that a late event took back is corrected once the clock has ended.
        for collector in (straight, wild):
            collector.feed(*(moved(600, "shipped", order=f"A-{n}") for n in range(len(stories))))
        assert _judged(wild) == _judged(straight)
        _check_restart(wild, places[1])


def test_what_comes_between_versions_and_times_at_odds_has_one_place_whenever_it_arrives(
    collector: Collector,
) -> None:
    told = [
        moved(10, "making", version=5),
        moved(100, "priced", version=3),  # stands before, and was later
        replace(moved(50, "packed"), source="elsewhere"),
    ]
    for number, arrival in enumerate(permutations(told)):
        collector.feed(*(replace(event, order_id=f"A-{number}") for event in arrival))
        assert collector.state(f"A-{number}").status == "making"


def _known(state: State) -> object:
    """An order without what depends on the way its events came in."""
    return (
        state.status, state.stage, state.since, state.tier, state.open, state.paused,
        [(r.objective, r.number, r.deadline, r.left, r.ended, r.outcome) for r in state.runs],
    )  # fmt: skip


def _judged(collector: Collector) -> dict[Key, float]:
    """Clocks met and breached. One that a late event shows never to have run is cancelled."""
    every = clocks(collector.engine.tallies())
    return {key: count for key, count in every.items() if key[1] != names.OUTCOME_CANCELLED}


def _check_gauges(collector: Collector) -> None:
    """Gauges that changed step by step are what a count of all orders gives."""
    now = collector.engine.watermark
    rows = collector.store._db.rows("SELECT num FROM orders")
    states = list(collector.store.get(number for (number,) in rows).values())
    recount = Tallies()
    for state in states:
        recount.change(gauges.standing(state, now))
    assert standing(collector.tallies()) == recount
    ahead = [
        ((run.objective, state.stage, state.tier), run.deadline)
        for state in states
        for run in state.runs
        if run.ended is None and run.deadline is not None and run.deadline > now
    ]
    earliest = {place: min(d for p, d in ahead if p == place) for place, _ in ahead}
    told = collector.engine.earliest()
    assert told == {place: 60 * ceil(deadline / 60) for place, deadline in earliest.items()}


def _check_restart(collector: Collector, place: Path | str) -> None:
    before = collector.tallies()
    collector.close()
    with closing(Collector(place)) as again:
        assert again.tallies() == before


def test_acknowledgements_outlive_the_collector_and_there_is_room_for_so_many(
    place: Path | str,
) -> None:
    with closing(Collector(place)) as first:
        first.feed(*(moved(0, "making", order=f"A-{n}") for n in range(2)))
        numbers = [story.number for n in range(2) for story in first.orders.find(f"A-{n}", LATEST)]
        assert first.orders.acks.add(numbers[:1], LATEST + 10, "part on order", LATEST)
        assert first.orders.acks.add(numbers[:1], LATEST + 20, "still", LATEST + 5)
        assert not first.orders.acks.add(range(10_000, 10_000 + MOST), LATEST + 20, "all", LATEST)
        assert first.orders.acks.add(range(10_000, 10_000 + MOST), LATEST, "all", LATEST)
    with closing(Collector(place)) as again:
        assert again.orders.acks.active(LATEST + 19) == {numbers[0]}
        assert again.orders.acks.active(LATEST + 20) == frozenset()
        ack = again.orders.acks.of(numbers[0], LATEST)
        assert ack is not None
        assert (ack.reason, ack.given) == ("still", LATEST + 5)


# --- the store -----------------------------------------------------------------------------


def test_a_failed_batch_leaves_no_trace(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.feed(moved(0, "submitted"))
    before = collector.engine.tallies()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(collector.store, "add", fail)
    with pytest.raises(OSError, match="disk full"):
        collector.feed(moved(10, "making"))
    monkeypatch.undo()
    assert collector.engine.tallies() == before
    assert collector.state().status == "submitted"
    assert collector.feed(moved(10, "making")) == ["applied"]


def test_a_store_serves_one_collector(place: Path | str) -> None:
    first = open_store(place)
    with pytest.raises(StoreError, match=r"another collector works on .*; stop it, or give"):
        open_store(place)
    first.close()
    open_store(place).close()


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    path.write_text("my holiday pictures, all of them, in one file" * 100)
    with pytest.raises(StoreError, match=r"orders.db refuses: file is not a database; restore"):
        open_store(path)
    assert path.read_text().startswith("my holiday")


def test_pages_of_late_orders_hold_each_once_in_the_order_of_their_deadlines(
    collector: Collector,
) -> None:
    told = [moved(n // 3, "making", order=f"A-{n}", tier="vip") for n in range(0, 60, 2)]
    told += [moved(n // 3, "making", order=f"B-{n}") for n in range(30)]
    collector.feed(*told)
    collector.engine.tick(LATEST)
    whole = collector.orders.late("overdue", objective="making", limit=500)
    assert len(whole) == 60
    assert [late.alarm for late in whole] == sorted(late.alarm for late in whole)
    paged: list[LateOrder] = []
    page = collector.orders.late("overdue", objective="making", limit=7)
    while page:
        paged += page
        page = collector.orders.late("overdue", objective="making", limit=7, after=page[-1].alarm)
    assert paged == whole


# --- what has to go ------------------------------------------------------------------------


def test_old_timelines_go_before_old_orders_and_what_these_counted_stays(
    collector: Collector,
) -> None:
    collector.feed(
        moved(0, "making", aliases={"mes": "W-77"}), moved(10, "shipped"),
        moved(0, "making", order="A-2"), moved(300, "shipped", order="A-2"),
        moved(0, "making", order="A-3"),
    )  # fmt: skip
    collector.engine.tick(START + 400)
    before = collector.tallies()
    collector.engine.forget(timelines=START + 10, orders=START - 1)
    (story,) = collector.orders.find("W-77", LATEST)
    assert (story.state.status, story.events) == ("shipped", ())
    collector.engine.forget(timelines=START + 10, orders=START + 299)
    assert collector.orders.find("W-77", LATEST) == collector.orders.find("A-1", LATEST) == []
    assert len(collector.orders.find("A-2", LATEST)[0].events) == 2
    collector.engine.forget(timelines=LATEST, orders=LATEST)
    assert collector.state("A-3").open, "an open order stays, however old"
    assert collector.store.get(range(10)).keys() == {3}
    assert collector.tallies() == before


def test_an_order_that_comes_again_after_it_was_deleted_may_have_all_its_names(
    place: Path | str,
) -> None:
    told = [moved(at, "shipped", aliases={"mes": name}) for at, name in ((0, "W-1"), (1, "W-2"))]
    for _ in range(2):  # the second collector gives numbers anew
        with closing(Collector(place)) as collector:
            for event in told:
                assert collector.feed(event) == ["applied"]
            collector.engine.forget(timelines=START + 20, orders=START + 20)


def test_an_order_without_its_old_timeline_stands_by_what_it_counted_and_knows_repeats(
    collector: Collector,
) -> None:
    told = [moved(0, "making"), moved(10, "shipped")]
    collector.feed(*told)
    collector.engine.forget(timelines=START + 20, orders=START - 1)
    before, counted = collector.state(), clocks(collector.tallies())
    for again in told:
        assert collector.feed(again) == ["duplicate"]
    assert collector.feed(moved(5, "packed")) == ["quarantined"]
    assert "has no place any more" in collector.engine.quarantined(1)[0].reason
    assert (collector.state(), clocks(collector.tallies())) == (before, counted)
    reopened = [moved(30, "making"), moved(25, "packed"), moved(10, "shipped")]
    assert collector.feed(*reopened) == ["applied", "quarantined", "duplicate"]
    collector.engine.tick(START + 130)
    assert clocks(collector.tallies()) == {**counted, ("making", "breached"): 1}


def test_an_erased_order_keeps_its_clocks_and_nothing_personal(collector: Collector) -> None:
    collector.feed(moved(0, "making", partner="acme", aliases={"mes": "W-77"}))
    collector.feed(moved(10, "waiting", partner="acme"), moved(1, "lost", partner="acme"))
    collector.feed(moved(1, "lost", order="B-1"))
    before = collector.tallies()
    assert collector.engine.erase("W-77") == 1
    assert collector.orders.find("W-77", LATEST) == []
    (story,) = collector.orders.find("A-1", LATEST)
    assert (story.state.partner, story.state.aliases) == (None, {})
    assert [(e.status, e.partner, e.aliases) for e in story.events] == [
        ("making", None, {}), ("waiting", None, {}),
    ]  # fmt: skip
    assert [b"B-1" in rejected.body for rejected in collector.engine.quarantined(9)] == [True]
    assert (collector.tallies(), collector.engine.erase("W-77")) == (before, 0)


def test_of_what_was_rejected_that_goes_which_names_the_erased_order_however_json_has_it(
    collector: Collector,
) -> None:
    collector.feed(moved(0, "making", order="Ö/1"))
    named = (rb'{"subject": "\u00D6\/1"}', '{"subject": "Ö/1"}'.encode(), "Ö/1;lost".encode())
    others = ('{"subject": "Ö/10"}'.encode(), '{"subject": "KÖ/1"}'.encode())
    collector.engine.apply([Received("test", body, LATEST) for body in (*named, *others)])
    assert collector.engine.erase("Ö/1") == 1
    assert {rejected.body for rejected in collector.engine.quarantined(9)} == set(others)


# --- while it was away ---------------------------------------------------------------------


def test_a_collector_that_was_down_for_an_hour_counts_each_breach_once_at_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TICK_CHUNK", 50)
    age = Batch.age
    with closing(Collector(tmp_path / "orders.db")) as before:
        before.feed(*(moved(n, "making", order=f"A-{n}") for n in range(400)))
        before.engine.tick(START + 50)
    with closing(Collector(tmp_path / "orders.db")) as after:
        chunks = []

        def note(work: Batch, due: list[int]) -> None:
            chunks.append(len(due))
            age(work, due)

        monkeypatch.setattr(Batch, "age", note)
        after.engine.tick(START + 3600)
        made = [o for o in after.overdue if o.objective == "making"]
        assert {o.state.order_id: o.deadline for o in made} == {
            f"A-{n}": START + n + 100 for n in range(400)
        }
        assert len(after.overdue) == 2 * 400
        assert clocks(after.engine.tallies()) == {
            ("making", "breached"): 400, ("whole", "breached"): 400,
        }  # fmt: skip
        assert max(chunks) <= 50 + 1, "and what shares the last instant"


def test_counts_that_went_wrong_are_found_and_mended_while_orders_go_on(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "AUDIT_CHUNK", 3)
    collector.feed(*(moved(n, "making", order=f"A-{n}") for n in range(10)))
    assert collector.engine.drift is None
    right = (names.ORDERS_OPEN.name, "order", "making", "standard")
    collector.engine._tallies[right] += 5
    with collector.store.transaction():
        collector.store.add({(names.ORDERS_OVERDUE.name, "making", "making", "vip"): 2})
    for n in range(5):
        collector.engine.reconcile()
        collector.feed(moved(100 + n, "packed", order=f"A-{2 * n}"))
        collector.feed(moved(n, "making", order=f"B-{n}"))
        collector.engine.tick(START + 80 + 20 * n)
    while collector.engine.drift is None:
        collector.engine.reconcile()
    assert collector.engine.drift == 5
    _check_gauges(collector)
    assert collector.store.tallies() == collector.tallies()
    collector.engine.drift = None
    while collector.engine.drift is None:
        collector.engine.reconcile()
    assert collector.engine.drift == 0


def test_counts_by_the_minute_that_went_wrong_are_mended_for_good(
    collector: Collector, place: Path | str
) -> None:
    collector.feed(moved(0, "making", order="A-1"), moved(0, "making", order="A-2"))
    minute = int(START // 60)
    age = (names.ORDER_STAGE_AGE.name, "order", "making", "standard")
    with collector.store.transaction():
        collector.store.add({}, {age: {minute: 3.0}})
    while collector.engine.drift is None:
        collector.engine.reconcile()
    assert collector.engine.drift == 3
    collector.feed(moved(100, "packed", order="A-1"))
    _check_gauges(collector)
    before = collector.tallies()
    assert before[(*age, str(minute))] == 1
    _check_restart(collector, place)


def test_a_scrape_waits_for_no_transaction(collector: Collector) -> None:
    collector.feed(moved(0, "submitted"), moved(10, "making"))
    collector.engine.tick(START + 150)
    registry = CollectorRegistry()
    exposition = Exposition(collector.engine, collector.orders, dict, lambda: LATEST)
    registry.register(exposition)
    before = generate_latest(registry)
    with ThreadPoolExecutor() as scraping, collector.engine.lock, collector.store.transaction():
        assert scraping.submit(generate_latest, registry).result(timeout=30) == before


# --- a clock that goes back ----------------------------------------------------------------


@pytest.mark.parametrize("chunk", [2, 1000])
def test_time_that_was_taken_back_counts_and_tells_nothing_twice_when_it_comes_again(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(engine, "TICK_CHUNK", chunk)
    for number in range(9):
        collector.feed(moved(10 * number, "making", order=f"A-{number}"))
    collector.engine.tick(START + 50)
    before = standing(collector.tallies())
    for _ in range(2):
        collector.engine.tick(START + 150)
        after = collector.tallies()
        assert clocks(after) == {("making", "breached"): 6}
        assert len(collector.overdue) == 6
        assert standing(after) != before
        collector.engine.rewind(START + 50)
        assert standing(collector.tallies()) == before
        assert clocks(collector.tallies()) == {("making", "breached"): 6}
        assert collector.orders.late("overdue") == []
        collector.engine.reconcile()
        collector.engine.reconcile()
        assert collector.engine.drift == 0
    collector.feed(moved(60, "packed", order="A-1"))
    assert clocks(collector.tallies())["making", "met"] == 1, "the early judgement is corrected"
