"""At risk by what clocks took before: what is learned, and that time is still a table."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelkit import events, names, spec
from otelkit.collect.api.orders import Orders
from otelkit.collect.clocks.decode import FUTURE_SECONDS
from otelkit.collect.clocks.learned import DURATIONS, HALF_LIFE, bucket, quantile
from otelkit.collect.clocks.state import Run
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.storage.stores import open_store
from otelkit.events import OrderMoved
from otelkit.generate.alerts import alerts
from otelkit.model import Learned

CLOCKS = (Path(__file__).parent / "data" / "clocks.yaml").read_text()
RULE = "at_risk: {slower_than: 90%, samples: 20, until_then: 25%}"
CALENDAR = """\
    calendar: shop
"""
SLA = CLOCKS.replace("at_risk: 25%", RULE).replace("allow: 100s", "allow: 1h")
SHOP = 'calendars: {shop: {timezone: UTC, hours: {mon-fri: "09:00-17:00"}}}\n'
START = datetime(2027, 1, 18, 10, tzinfo=UTC).timestamp()
"""A Monday, 10:00."""
LATER = START + 2 * FUTURE_SECONDS
"""When what was learned at the start holds."""


class Collector:
    def __init__(self, place: Path | str, sla: str = SLA) -> None:
        self.store = open_store(place)
        self.engine = Engine(spec.loads(sla, "sla.yaml"), self.store)
        self.orders = Orders(self.engine, self.store)

    def feed(self, *told: OrderMoved) -> None:
        taken = self.engine.apply([Received("t", events.encode(e), LATER * 2) for e in told])
        assert {one.outcome for one in taken} <= {"applied", "late"}

    def made(self, order_id: str) -> Run:
        (story,) = self.orders.find(order_id, START)
        return next(run for run in story.state.runs if run.objective == "making")

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def collector(place: Path | str) -> Iterator[Collector]:
    with closing(Collector(place)) as made:
        yield made


def moved(at: float, status: str, order: str, **more: str) -> OrderMoved:
    when = datetime.fromtimestamp(at, UTC)
    return OrderMoved("test", f"{order}-{at}-{status}", order, when, "order", status, **more)  # type: ignore[arg-type]


def finished(durations: list[float], start: float = START, **more: str) -> list[OrderMoved]:
    """Orders that were made, each in so long."""
    return [
        event
        for n, seconds in enumerate(durations)
        for event in (
            moved(start, "making", f"{start}-{n}", **more),
            moved(start + seconds, "packed", f"{start}-{n}"),
        )
    ]


# --- the arithmetic ------------------------------------------------------------------------


@given(
    st.lists(st.floats(0.5, 3e7), min_size=1, max_size=200),
    st.sampled_from([0.01, 0.5, 0.9, 0.99]),
)
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(
    durations: list[float], share: float
) -> None:
    counts: dict[int, float] = {}
    for seconds in durations:
        counts[int(bucket(seconds))] = counts.get(int(bucket(seconds)), 0) + 1
    ordered = sorted(durations)
    exact = next(d for n, d in enumerate(ordered, 1) if n >= share * len(ordered) - 1e-9)
    found = quantile(counts, share)
    assert exact / 2**0.26 <= max(found, 1.0)
    assert found <= max(exact, 1.0) * 2**0.26


# --- orders --------------------------------------------------------------------------------


def test_an_order_is_at_risk_once_it_is_slower_than_nine_of_ten_were(collector: Collector) -> None:
    collector.feed(*finished([60.0 * n for n in range(1, 21)]))
    collector.engine.learn(START)
    collector.feed(moved(START, "making", "too-soon"), moved(LATER, "making", "A-1"))
    assert collector.made("too-soon").at_risk == START + 2700, "until then by what is left"
    risk = collector.made("A-1")
    assert risk.at_risk is not None
    assert 18 * 60 / 2**0.25 <= risk.at_risk - LATER <= 18 * 60 * 2**0.25
    collector.feed(moved(LATER + 100, "waiting", "A-1"), moved(LATER + 5000, "making", "A-1"))
    assert collector.made("A-1").at_risk == pytest.approx(risk.at_risk + 4900)
    collector.engine.tick(risk.at_risk + 4901)
    assert [o.state.order_id for o in collector.orders.late("at_risk", objective="making")] == [
        "A-1"
    ]


def test_of_fewer_than_it_takes_and_of_other_tiers_nothing_is_learned(
    collector: Collector,
) -> None:
    collector.feed(*finished([60.0] * 19), *finished([60.0] * 30, START + 1, tier="vip"))
    collector.feed(moved(START, "making", "C"), moved(START + 5, "cancelled", "C"))
    collector.engine.learn(START)
    collector.feed(moved(LATER, "making", "A-1"), moved(LATER, "making", "V-1", tier="vip"))
    assert collector.made("A-1").at_risk == LATER + 2700
    assert collector.made("V-1").at_risk is None, "usual is longer than it may take"


def test_pauses_and_closed_hours_are_no_part_of_what_a_clock_takes(place: Path | str) -> None:
    sla = SLA.replace("stage: making\n", "stage: making\n" + CALENDAR) + SHOP
    evening = START + 6 * 3600  # an hour before it closes
    with closing(Collector(place, sla)) as collector:
        for n in range(20):
            collector.feed(
                moved(evening, "making", f"A-{n}"),
                moved(evening + 600, "waiting", f"A-{n}"),
                moved(evening + 1200, "making", f"A-{n}"),
                moved(evening + 3600 + 16 * 3600 + 600, "packed", f"A-{n}"),
            )
        counts = {k[-1]: n for k, n in collector.engine.tallies().items() if k[0] == DURATIONS}
        assert counts == {bucket(600 + 2400 + 600): 20}


def test_a_clock_takes_as_long_whatever_tier_its_order_is_found_to_have(
    collector: Collector,
) -> None:
    collector.feed(
        moved(START, "making", "A-1"),  # an hour, as of the default tier
        moved(START + 10, "making", "A-1", tier="vip"),
        moved(START + 600, "packed", "A-1"),
    )
    counts = {k[-2:]: n for k, n in collector.engine.tallies().items() if k[0] == DURATIONS}
    assert counts == {("vip", bucket(600)): 1}


def test_late_events_and_restarts_find_the_percentile_that_was_known_then(
    place: Path | str,
) -> None:
    luck = random.Random(7)
    told = [moved(LATER + 400 * n, s, "A-1") for n, s in enumerate(("making", "waiting", "making"))]
    with closing(Collector(place)) as collector:
        collector.feed(*finished([60.0] * 30))
        collector.engine.learn(START)
        collector.feed(*told)
        expected = collector.made("A-1")
        collector.feed(*finished([600.0] * 300, START + 10_000))
        collector.engine.learn(LATER)
    with closing(Collector(place)) as again:
        shuffled = [moved(e.at.timestamp(), e.status, "B-1") for e in told]
        luck.shuffle(shuffled)
        for event in shuffled:
            again.feed(event)
        assert again.made("B-1") == expected
        again.feed(moved(LATER + FUTURE_SECONDS, "making", "C-1"))
        newer = again.made("C-1")
        assert newer.at_risk is not None
        assert newer.at_risk - newer.started > 400


def test_what_was_long_ago_fades_and_a_small_change_is_none(collector: Collector) -> None:
    collector.feed(*finished([60.0] * 100))
    collector.engine.learn(START)
    collector.engine.learn(START + 60)
    assert len(collector.store.percentiles()) == 1
    collector.engine.learn(START + HALF_LIFE)
    counted = collector.engine.tallies()[DURATIONS, "making", "standard", bucket(60)]
    assert counted == pytest.approx(50)
    assert len(collector.store.percentiles()) == 1
    collector.feed(*finished([600.0] * 100, START + HALF_LIFE))
    collector.engine.learn(START + HALF_LIFE + 3600)
    assert len(collector.store.percentiles()) == 2


def test_a_clock_that_is_set_back_learns_on(collector: Collector) -> None:
    collector.feed(*finished([60.0] * 100))
    collector.engine.learn(LATER)
    collector.feed(*finished([600.0] * 300, START + 10))
    collector.engine.learn(START)
    collector.feed(moved(START + FUTURE_SECONDS, "making", "A-1"))
    collector.feed(moved(LATER + FUTURE_SECONDS, "making", "A-2"))
    for order, usual in (("A-1", 600), ("A-2", 60)):
        run = collector.made(order)
        assert run.at_risk is not None
        assert usual / 1.2 <= run.at_risk - run.started <= usual * 1.2


# --- the file ------------------------------------------------------------------------------


def test_the_rule_is_read_with_its_defaults() -> None:
    for text, rule in (
        (RULE, Learned(Decimal("0.9"), 20, Decimal("0.25"))),
        ("at_risk: {slower_than: 95%}", Learned(Decimal("0.95"), 100, None)),
    ):
        sla = spec.loads(CLOCKS.replace("at_risk: 25%", text), "sla.yaml")
        assert sla.clocks[0].at_risk == rule
    (ticket,) = (a for a in alerts(sla, sla.clocks[0]) if a.alert == names.ALERT_ORDERS_AT_RISK)
    said = ticket.annotations["description"].partition("}} ")[2]
    assert said.endswith(" have taken longer than 95% of those before.")
