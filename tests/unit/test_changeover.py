"""A new SLA file while orders are open: what is planned is what is done, and nothing is lost."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from otelkit import events, names, spec
from otelkit.collect.api.clockanswers import Clocks, clocks
from otelkit.collect.api.orders import Orders
from otelkit.collect.clocks import standing
from otelkit.collect.clocks.clock import replay
from otelkit.collect.clocks.policies import terms
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.engine import changeover as changing
from otelkit.collect.engine.changeover import Changeover, Work, in_force
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Overdue, Received
from otelkit.collect.shards.clockmerging import merged
from otelkit.collect.storage.stores import open_store
from otelkit.errors import ConfigError
from otelkit.events import OrderMoved
from shop.databases import PostgreSQL

SLA = (Path(__file__).parent / "data" / "clocks.yaml").read_text()
START = 1_800_000_000.0
"""A Friday, 08:00 UTC."""
CALENDAR = 'calendars: {shop: {timezone: UTC, hours: {mon-fri: "08:01-17:00"}}}\nprocesses:'
VARIANTS = {
    "shorter": SLA.replace("allow: 100s", "allow: 30s"),
    "longer": SLA.replace("allow: 100s", "allow: 250s").replace("300s", "900s"),
    "sooner at risk": SLA.replace("at_risk: 25%", "at_risk: 75%"),
    "at risk as learned": SLA.replace("at_risk: 25%", "at_risk: {slower_than: 90%}"),
    "on a calendar": SLA.replace("processes:", CALENDAR).replace(
        "stage: making", "stage: making\n    calendar: shop"
    ),
    "another agreement": SLA.replace("acme-gold", "acme-silver").replace("40s", "200s"),
    "without an objective": SLA.partition("  - {name: whole")[0],
    "with one more": SLA
    + "  - {name: fast, process: order, from: priced, to: packed, within: 60s, target: 95%}\n",
    "without a stage": SLA.replace("[submitted, priced, making", "[submitted, making").replace(
        "optional: [priced]", "optional: []"
    ),
    "without a pause": SLA.replace("    paused: [waiting]\n", ""),
    "without a tier": SLA.replace("[vip, standard]", "[standard]").replace(
        "      - {tier: vip, allow: 20s}\n", ""
    ),
    "packed is done": SLA.replace("making, packed]", "making]").replace(
        "[shipped]", "[packed, shipped]"
    ),
}
STATUSES = ("submitted", "priced", "making", "packed", "shipped", "cancelled", "waiting", "changed")
FILES = st.sampled_from(sorted(VARIANTS))
Stories = list[list[tuple[int, str]]]
STORIES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(STATUSES)),
        min_size=1,
        max_size=6,
        unique_by=lambda step: step[0],
    ),
    min_size=1,
    max_size=5,
)


class Collector:
    """An engine with its store, and what changes its SLA file."""

    def __init__(self, place: Path | str, sla: str = SLA) -> None:
        file = spec.loads(sla, "sla.yaml")
        self.store = open_store(place)
        self.overdue: list[Overdue] = []
        self.engine = Engine(in_force(file, self.store), self.store, self.overdue.append)
        self.orders = Orders(self.engine, self.store)
        self.changeover = Changeover(
            self.engine, self.store, terms(file).fingerprint, Event(), lambda: START
        )
        self.changeover._begin()

    def feed(self, *told: OrderMoved) -> list[str]:
        batch = [Received("test", events.encode(event), START + 1000) for event in told]
        return [taken.outcome for taken in self.engine.apply(batch)]

    def plan(self, sla: str) -> Work:
        return self._finished(self.changeover.plan(terms(spec.loads(sla, "new.yaml"))))

    def apply(self, sla: str) -> Work:
        return self._finished(self.changeover.apply(terms(spec.loads(sla, "new.yaml")), sla))

    def _finished(self, work: Work) -> Work:
        while not work.finished:
            self.changeover.step()
        return work

    def every(self) -> dict[int, State]:
        return self.store.following(0, 100_000)

    def state(self, order_id: str) -> State:
        (story,) = self.orders.find(order_id, START)
        return story.state

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def collector(place: Path | str) -> Iterator[Collector]:
    with closing(Collector(place)) as made:
        yield made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two orders at a time, so that there is a middle to be killed in."""
    monkeypatch.setattr(changing, "_FIRST_CHUNK", 2)
    monkeypatch.setattr(changing, "CHUNK_ORDERS", (2, 2))


def moved(at: float, status: str, order: str = "A-1", **more: object) -> OrderMoved:
    when = datetime.fromtimestamp(START + at, UTC)
    return OrderMoved("test", f"{order}-{at}-{status}", order, when, "order", status, **more)  # type: ignore[arg-type]


# --- whatever happened before --------------------------------------------------------------


@settings(max_examples=60)
@given(STORIES, st.integers(0, 500), FILES, FILES)
def test_orders_are_then_what_their_events_make_of_them_as_planned(
    stories: Stories, now: int, between: str, variant: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_change(Path(folder) / "orders.db", stories, now, between, variant)


@settings(max_examples=8)
@given(STORIES, st.integers(0, 500), FILES, FILES)
def test_also_where_the_store_is_in_postgresql(
    postgresql: PostgreSQL, stories: Stories, now: int, between: str, variant: str
) -> None:
    check_change(postgresql.database(), stories, now, between, variant)


def check_change(place: Path | str, stories: Stories, now: int, between: str, variant: str) -> None:
    """Half of the events come under one file, half under another that was not applied."""
    more: tuple[dict[str, str], ...] = ({}, {"tier": "vip"}, {"partner": "acme"})
    told = [
        moved(at, status, f"A-{number}", **more[number % 3])
        for number, story in enumerate(stories)
        for at, status in story
    ]
    with closing(Collector(place)) as collector:
        collector.feed(*told[::2])
        collector.engine.tick(START + now / 2)
        if between != "without an objective":  # which drops clocks with what they counted
            collector.engine.terms = terms(spec.loads(VARIANTS[between], "between.yaml"))
        collector.feed(*told[1::2])
        collector.engine.tick(START + now)
        before, old = collector.engine.tallies(), collector.every()
        planned = collector.plan(VARIANTS[variant])
        assert (collector.engine.tallies(), collector.every()) == (before, old), "a plan is one"
        done = collector.apply(VARIANTS[variant])
        assert done.impact == planned.impact
        check_orders(collector, old, done)
        check_counters(before, collector)
        recount = Tallies()
        for state in collector.every().values():
            recount.change(standing.standing(state, collector.engine.watermark))
        assert _gauges(collector.store.tallies()) == recount
        again = collector.apply(VARIANTS[variant])
        assert again.impact.orders == sum(s.count for s in done.impact.kept.values())
        assert again.impact.changed == 0


def check_orders(collector: Collector, old: dict[int, State], done: Work) -> None:
    policy = collector.engine.policies["order"]
    kept = 0
    for number, state in collector.every().items():
        if not old[number].open:
            assert state == old[number], "what has ended is judged by what was agreed on then"
        elif state.policy == policy.fingerprint:
            replayed = replay(policy, collector.store.timeline(state))
            assert _known(state) == _known(replayed)
        else:
            kept += 1
            assert state == old[number]
    assert kept == sum(sample.count for sample in done.impact.kept.values())


def check_counters(before: Tallies, collector: Collector) -> None:
    """None falls, and corrected they are what orders say."""
    after = collector.engine.tallies()
    counted: Counter[tuple[str, str]] = Counter()
    for (metric, objective, *labels), count in after.items():
        if metric == names.ORDER_CLOCKS.name:
            counted[objective, labels[2]] += int(count)
        elif metric == names.ORDER_CLOCK_CORRECTIONS.name:
            counted[objective, labels[1]] -= int(count)
            counted[objective, labels[2]] += int(count)
        else:
            continue
        assert count >= before[metric, objective, *labels]
    runs = Counter(
        (run.objective, run.counted) for state in collector.every().values() for run in state.runs
    )
    for key in counted | runs:
        if key[1] in {names.OUTCOME_MET, names.OUTCOME_BREACHED}:
            assert counted[key] == runs[key]


def _known(state: State) -> State:
    """An order as a replay knows it."""
    runs = tuple(replace(run, counted="") for run in state.runs)
    return replace(state, runs=runs, seen=b"", log=0)


def _gauges(tallies: Tallies) -> dict[object, float]:
    return {key: count for key, count in tallies.items() if key[0] in standing.GAUGES}


# --- one by one ----------------------------------------------------------------------------


def test_a_shorter_allowance_makes_an_order_late_at_once_and_it_is_counted_and_told(
    collector: Collector,
) -> None:
    collector.feed(moved(0, "making"), moved(0, "making", "A-2"), moved(40, "waiting", "A-2"))
    collector.engine.tick(START + 50)
    impact = collector.apply(VARIANTS["shorter"]).impact
    assert (impact.orders, impact.changed, impact.kept) == (2, 2, {})
    clocks = impact.clocks["making"]
    told = {key: (sample.count, sample.orders) for key, sample in clocks.transitions.items()}
    assert told == {
        ("running", "overdue"): (1, ["A-1"]),
        ("paused", "overdue"): (1, ["A-2"]),
    }
    assert clocks.median_move(-1) == (1, -70)
    assert impact.clocks["whole"].unchanged == 2
    breached = (names.ORDER_CLOCKS.name, "making", "standard", "default", "breached")
    assert collector.engine.tallies()[breached] == 2
    assert sorted(overdue.state.order_id for overdue in collector.overdue) == ["A-1", "A-2"]
    collector.apply(SLA)
    tallies = collector.engine.tallies()
    assert tallies[names.ORDERS_OVERDUE.name, "making", "making", "standard"] == 0
    assert tallies[breached] == 2, "a counter cannot fall"
    collector.feed(moved(60, "packed"), moved(60, "making", "A-2"), moved(61, "packed", "A-2"))
    correction = (names.ORDER_CLOCK_CORRECTIONS.name, "making", "standard", "breached", "met")
    assert collector.engine.tallies()[correction] == 2


@pytest.mark.parametrize(
    ("told", "variant", "why"),
    [
        (
            [moved(0, "submitted"), moved(1, "priced")],
            "without a stage",
            "status 'priced' is not in the SLA file",
        ),
        (
            [moved(0, "making"), moved(1, "waiting")],
            "without a pause",
            "status 'waiting' is not in the SLA file",
        ),
        ([moved(0, "making", tier="vip")], "without a tier", "tier 'vip' is not in the SLA file"),
    ],
)
def test_an_order_that_the_new_file_cannot_judge_stays_as_it_is_until_it_moves_on(
    collector: Collector, told: Sequence[OrderMoved], variant: str, why: str
) -> None:
    collector.feed(*told)
    before = collector.state("A-1")
    impact = collector.apply(VARIANTS[variant]).impact
    assert {reason: sample.orders for reason, sample in impact.kept.items()} == {why: ["A-1"]}
    assert collector.state("A-1") == before
    assert collector.changeover.outdated() == {"order": 1}
    (story,) = collector.orders.find("A-1", START)
    assert len(story.next_statuses) < 3, "its page can be shown"
    assert collector.feed(moved(20, "shipped")) == ["applied"]
    assert collector.changeover.outdated() == {"order": 0}


def test_a_process_that_has_gone_leaves_its_orders_their_deadlines(collector: Collector) -> None:
    collector.feed(moved(0, "making"))
    gone = SLA.replace("  order:\n", "  job:\n").replace("process: order", "process: job")
    why = "process 'order' is not in the SLA file"
    assert list(collector.apply(gone).impact.kept) == [why]
    collector.engine.tick(START + 100)
    assert [overdue.state.order_id for overdue in collector.overdue] == ["A-1"]
    assert collector.changeover.outdated() == {"job": 0, "order": 1}
    assert collector.state("A-1").status == "making", "it is found"


def test_an_order_whose_timeline_was_deleted_before_it_was_reopened_stays(
    collector: Collector,
) -> None:
    collector.feed(moved(0, "making"), moved(10, "shipped"))
    collector.engine.forget(timelines=START + 20, orders=0)
    collector.feed(moved(30, "making"))
    assert list(collector.apply(VARIANTS["shorter"]).impact.kept) == ["its timeline is not whole"]


def test_a_stage_that_an_order_has_left_behind_may_go(collector: Collector) -> None:
    collector.feed(
        moved(0, "submitted"), moved(5, "priced", aliases={"mes": "W-7"}), moved(9, "making")
    )
    done = collector.apply(VARIANTS["without a stage"])
    assert (done.impact.orders, done.impact.kept) == (1, {})
    state = collector.state("W-7")
    assert (state.stage, state.since) == ("making", START + 9)
    assert [run.deadline for run in state.runs] == [START + 300, START + 109], "none has ended"
    collector.feed(moved(7, "submitted"))  # late, so that all is worked out again
    assert [run.ended for run in collector.state("W-7").runs] == [None, None]


def test_an_objective_that_goes_takes_its_clocks_along_as_a_correction(
    collector: Collector,
) -> None:
    collector.feed(moved(0, "making"))
    collector.engine.tick(START + 301)
    impact = collector.apply(VARIANTS["without an objective"]).impact
    assert list(impact.clocks["whole"].transitions) == [("overdue", None)]
    gone = (names.ORDER_CLOCK_CORRECTIONS.name, "whole", "standard", "breached", "cancelled")
    assert collector.engine.tallies()[gone] == 1


def test_an_objective_that_goes_with_a_restart_is_corrected_as_its_orders_move(
    place: Path | str,
) -> None:
    with closing(Collector(place)) as before:
        before.feed(moved(0, "making"))
        before.engine.tick(START + 301)
    with closing(Collector(place, VARIANTS["without an objective"])) as after:
        after.feed(moved(310, "packed"), moved(311, "shipped"))
        gone = (names.ORDER_CLOCK_CORRECTIONS.name, "whole", "standard", "breached", "cancelled")
        assert after.engine.tallies()[gone] == 1


# --- amid it -------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_chunks")
def test_a_collector_killed_amid_it_goes_on_and_events_in_between_are_judged_anew(
    place: Path | str,
) -> None:
    orders = [f"A-{n}" for n in range(7)]
    with closing(Collector(place)) as first:
        first.feed(*(moved(0, "making", order) for order in orders))
        first.changeover.apply(terms(spec.loads(VARIANTS["shorter"], "new")), VARIANTS["shorter"])
        first.changeover.step()
        assert first.changeover.outdated() == {"order": 5}
        first.feed(moved(5, "making", "A-6"), moved(5, "making", "B-1"))
        first.engine.tick(START + 40)
    with closing(Collector(place)) as again:
        work = again.changeover.work
        assert work is not None
        assert (work.doing, work.reached, work.finished) == ("apply", 2, False)
        again._finished(work)
        assert again.changeover.outdated() == {"order": 0}
        assert again.state("A-6").runs[0].deadline == START + 30
        breached = (names.ORDER_CLOCKS.name, "making", "standard", "default", "breached")
        assert again.engine.tallies()[breached] == 8
        assert len(first.overdue) + len(again.overdue) == 8, "each is told once"
    with closing(Collector(place)) as finished:
        assert finished.changeover.work is None


def test_one_that_is_killed_before_it_began_goes_on_too_but_not_under_a_third_file(
    place: Path | str,
) -> None:
    with closing(Collector(place)) as first:
        first.feed(moved(0, "making"))
        first.apply(VARIANTS["longer"])
        first.changeover.apply(terms(spec.loads(VARIANTS["shorter"], "new")), VARIANTS["shorter"])
    with closing(Collector(place)) as again:
        assert again.changeover.work is not None
        assert not again.changeover.work.finished
    with closing(Collector(place, VARIANTS["shorter"])) as in_place:
        assert in_place.changeover.work is not None, "also with the file in its place"
        assert not in_place.changeover.work.finished
    with closing(Collector(place, VARIANTS["on a calendar"])) as third:
        assert third.changeover.work is None
        assert third.state("A-1").runs[0].deadline == START + 250
    with closing(Collector(place)) as back:
        assert back.changeover.work is None, "it was given up, and is not taken up again"
        back.feed(moved(1, "making", "A-2"))
        assert back.state("A-2").runs[0].deadline == START + 101, "files count again"


def test_a_file_put_in_place_by_hand_wins_over_what_was_applied(
    place: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Collector(place)) as first:
        first.feed(moved(0, "making"))
        first.apply(VARIANTS["shorter"])
    with closing(Collector(place)) as same:
        assert same.state("A-1").runs[0].deadline == START + 30
        assert "put it in its place" in caplog.text
        same.feed(moved(1, "making", "A-2"))
        assert same.state("A-2").runs[0].deadline == START + 31
    caplog.clear()
    with closing(Collector(place, VARIANTS["shorter"])) as in_place:
        assert in_place.changeover.outdated() == {"order": 0}
        assert caplog.text == ""
    with closing(Collector(place, VARIANTS["longer"])) as third:
        assert third.changeover.outdated() == {"order": 2}
        assert "the clocks of 2 open orders follow another SLA file than this" in caplog.text
        third.feed(moved(2, "making", "A-3"))
        assert third.state("A-3").runs[0].deadline == START + 252
        known = {(p.orders, p.in_force) for p in third.changeover.policies()}
        assert known == {(2, False), (1, True)}


def test_the_file_of_another_system_is_refused_and_a_plan_waits_for_what_is_applied(
    collector: Collector,
) -> None:
    foreign = terms(spec.loads(SLA.replace("system: shop", "system: mill"), "new.yaml"))
    with pytest.raises(ConfigError, match=r"works for the system 'shop'.*that of 'mill'; send it"):
        collector.changeover.apply(foreign, "")
    collector.changeover.apply(terms(spec.loads(VARIANTS["longer"], "n")), VARIANTS["longer"])
    with pytest.raises(ConfigError, match="is being applied; ask again"):
        collector.changeover.plan(terms(spec.loads(SLA, "sla.yaml")))


# --- several shards ------------------------------------------------------------------------


def test_shards_say_together_what_one_would_say_of_all_orders(tmp_path: Path) -> None:
    whole, *halves = (Collector(tmp_path / f"{name}.db") for name in ("whole", "one", "two"))
    for n in range(6):
        told = [moved(0, "making", f"A-{n}", tier="vip" if n % 3 == 0 else "standard")]
        told += [moved(10, "waiting", f"A-{n}")] if n % 3 == 1 else []
        for collector in (whole, halves[n % 2]):
            collector.feed(*told)
    for collector in (whole, *halves):
        collector.engine.tick(START + 50)

    def said(collector: Collector) -> Clocks:
        return clocks(collector.changeover)

    for doing in (Collector.plan, Collector.apply):
        for variant in ("shorter", "without a tier"):
            for collector in (whole, *halves):
                doing(collector, VARIANTS[variant])
            both = merged([said(collector) for collector in halves])
            assert _sorted(both) == _sorted(said(whole))
    halves[0].close()
    halves[0] = Collector(tmp_path / "one.db")
    together = merged([said(collector) for collector in halves])
    assert together.changeover is not None
    assert together.changeover.finished, "what was applied stays so after a restart"
    halves[1].plan(SLA)
    assert merged([said(collector) for collector in halves]).changeover is None, "and no plan does"
    for collector in (whole, *halves):
        collector.close()


def _sorted(told: Clocks) -> Any:
    """As JSON, in an order that does not depend on which order was looked at first."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ordered(own) for key, own in value.items()}
        return sorted(map(ordered, value), key=str) if isinstance(value, list) else value

    return ordered(msgspec.to_builtins(told))


# --- fingerprints --------------------------------------------------------------------------


def test_a_policy_is_another_one_only_if_clocks_are_others() -> None:
    def fingerprint(text: str) -> str:
        return terms(spec.loads(text, "sla.yaml")).fingerprint

    assert len({fingerprint(text) for text in (SLA, *VARIANTS.values())}) == 1 + len(VARIANTS)
    for same in (
        SLA.replace("target: 95%", "target: 90%"),
        SLA.replace("allow: 100s", "allow: 1m40s"),
        SLA.replace("system: shop", "system: shop\nlinks: {grafana: https://grafana.example}"),
        SLA.replace("at_risk: 25%", "at_risk: 25.0%\n    overdue: off"),
    ):
        assert fingerprint(same) == fingerprint(SLA)
    # What stands in stores: another text here would make every order's policy one of before.
    assert terms(spec.loads(SLA, "sla.yaml")).policies["order"].fingerprint == "5d66bab9d1f7"
