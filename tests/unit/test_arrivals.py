"""What becomes of each kind of event, as the table in ``docs/collector.md`` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otelkit import events, names, spec
from otelkit.collect.api.orders import Orders
from otelkit.collect.clocks.state import State
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.storage.store import Store
from otelkit.collect.storage.stores import open_store
from otelkit.events import OrderMoved

ROOT = Path(__file__).parents[2]
SLA = (Path(__file__).parent / "data" / "clocks.yaml").read_text()
START = 1_800_000_000.0
NOW = START + 1000
LATENESS = 30.0
DAY = 86_400.0


class Collector:
    """An engine and the outcomes of what it was fed. ``making`` is allowed 100 s, ``whole`` 300."""

    def __init__(self, store: Store) -> None:
        self.engine = Engine(spec.loads(SLA, "sla.yaml"), store)
        self._orders = Orders(self.engine, store)

    def feed(self, *told: OrderMoved | bytes) -> str:
        """The outcome of the last of them."""
        bodies = [one if isinstance(one, bytes) else events.encode(one) for one in told]
        taken = self.engine.apply([Received("test", body, NOW) for body in bodies])
        return taken[-1].outcome

    @property
    def state(self) -> State:
        (story,) = self._orders.find("A-1", NOW)
        return story.state

    @property
    def statuses(self) -> list[str]:
        (story,) = self._orders.find("A-1", NOW)
        return [event.status for event in story.events]

    def count(self, *key: str) -> float:
        return self.engine.tallies()[key]

    def ended(self, objective: str) -> list[str]:
        return [run.outcome for run in self.state.runs if run.objective == objective]


def moved(at: float, status: str, **more: object) -> OrderMoved:
    when = datetime.fromtimestamp(START + at, UTC)
    event = OrderMoved("crm", f"{at}-{status}", "A-1", when, "order", status)
    return replace(event, **more)  # type: ignore[arg-type]


def same(*outcomes: str) -> str:
    (outcome,) = set(outcomes)
    return outcome


def newest(it: Collector) -> str:
    it.feed(moved(0, "submitted"))
    outcome = it.feed(moved(10, "making"))
    assert (it.state.stage, it.state.since) == ("making", START + 10)
    return outcome


def repeated(it: Collector) -> str:
    it.feed(moved(0, "submitted"), moved(1, "making"))
    outcome = it.feed(moved(0, "submitted"))
    assert it.statuses == ["submitted", "making"]
    return outcome


def older(it: Collector) -> str:
    it.feed(moved(0, "submitted"), moved(200, "packed"))
    outcome = it.feed(moved(50, "making"))
    assert it.ended("making") == ["breached"]
    return outcome


def without_its_place(it: Collector) -> str:
    it.feed(moved(0, "making"), moved(10, "shipped"))
    it.engine.forget(timelines=START + 11, orders=START)
    before = it.state
    assert it.feed(moved(0, "making")) == "duplicate"
    outcome = it.feed(moved(5, "packed"))
    assert it.state == before
    return outcome


def late_in_time(it: Collector) -> str:
    it.feed(moved(0, "making"))
    it.engine.tick(START + 120, lateness=LATENESS)
    outcome = it.feed(moved(99, "packed"))
    it.engine.tick(START + 200, lateness=LATENESS)
    assert it.count(names.ORDER_CLOCKS.name, "making", "standard", "default", "met") == 1
    assert it.count(names.ORDER_CLOCKS.name, "making", "standard", "default", "breached") == 0
    return outcome


def late_for_good(it: Collector) -> str:
    it.feed(moved(0, "making"))
    it.engine.tick(START + 200, lateness=LATENESS)
    outcome = it.feed(moved(99, "packed"))
    assert it.count(names.ORDER_CLOCKS.name, "making", "standard", "default", "breached") == 1
    correction = (names.ORDER_CLOCK_CORRECTIONS.name, "making", "standard", "breached", "met")
    assert it.count(*correction) == 1
    return outcome


def lower_version(it: Collector) -> str:
    it.feed(moved(0, "submitted", version=1), moved(10, "packed", version=3))
    outcome = it.feed(moved(20, "making", version=2))
    assert it.state.stage == "packed"
    return outcome


def two_sources(it: Collector) -> str:
    it.feed(moved(0, "submitted"), moved(10, "making", source="mes"))
    outcome = it.feed(moved(20, "packed"))
    assert it.state.stage == "packed"
    return outcome


def same_time(it: Collector) -> str:
    it.feed(moved(0, "submitted"), moved(10, "packed", source="mes"))
    outcome = it.feed(moved(10, "making", source="crm"))
    assert it.state.stage == "packed", "mes comes after crm"
    return outcome


def no_predecessor(it: Collector) -> str:
    outcome = it.feed(moved(5, "packed"))
    (run,) = it.state.runs
    assert (run.objective, run.started) == ("whole", START + 5)
    return outcome


def rework(it: Collector) -> str:
    it.feed(moved(0, "making"), moved(10, "packed"))
    outcome = it.feed(moved(20, "making"))
    assert it.ended("making") == ["met", ""]
    return outcome


def reopened(it: Collector) -> str:
    it.feed(moved(0, "making"), moved(10, "shipped"))
    outcome = it.feed(moved(20, "packed"))
    assert it.state.open
    assert it.count(names.ORDER_CLOCKS.name, "making", "standard", "default", "met") == 1
    return outcome


def ahead(it: Collector) -> str:
    outcome = it.feed(moved(1000 + DAY - 1, "making"))
    assert it.state.runs[0].started == NOW + DAY - 1
    return outcome


def far_ahead(it: Collector) -> str:
    return same(it.feed(moved(1000 + DAY + 1, "making")), it.feed(moved(-START, "making")))


def no_zone(it: Collector) -> str:
    return it.feed(events.encode(moved(0, "making")).replace(b'Z"', b'"'))


def unknown_process(it: Collector) -> str:
    return it.feed(moved(0, "making", process="return"))


def unknown_status(it: Collector) -> str:
    it.feed(moved(0, "making"))
    outcome = it.feed(moved(10, "lost"))
    assert it.state.stage == "making"
    return outcome


def unknown_tier(it: Collector) -> str:
    return it.feed(moved(0, "making", tier="gold"))


def unreadable(it: Collector) -> str:
    large = moved(0, "making", aliases={f"s{n}": "x" * 200 for n in range(400)})
    return same(it.feed(b"{"), it.feed(large), it.feed(b"[]"))


CASES: dict[str, Callable[[Collector], str]] = {
    "is the newest of its order": newest,
    "bears a `source` and `id` that were there before": repeated,
    "is older than others of its order": older,
    "is older than others of its order, whose timeline was deleted": without_its_place,
    "arrives up to `lateness` after a deadline that it meets": late_in_time,
    "arrives later still, and meets that deadline": late_for_good,
    "has a lower `version` than its source said before": lower_version,
    "has no version, from one of two sources": two_sources,
    "has no version, and the `time` of another source's event": same_time,
    "names a stage whose predecessor nobody told of": no_predecessor,
    "goes back to an earlier stage": rework,
    "comes after the order was done": reopened,
    "is up to a day ahead of the collector's clock": ahead,
    "is more than a day ahead, or from before 2000": far_ahead,
    "has no time zone in its `time`": no_zone,
    "names an unknown process": unknown_process,
    "names an unknown status": unknown_status,
    "names an unknown tier": unknown_tier,
    "cannot be read, or is larger than 64 KiB": unreadable,
}


def documented() -> Iterator[tuple[str, str]]:
    """The rows of the table: what an event is like, and what it counts as."""
    _, _, table = (ROOT / "docs" / "collector.md").read_text().partition("| an event that |")
    for line in table.partition("\n\n")[0].splitlines()[2:]:
        case, outcome, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
        yield case, outcome.strip("`")


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with closing(open_store(tmp_path / "orders.db")) as store:
        yield Collector(store)


@pytest.mark.parametrize(("case", "outcome"), list(documented()))
def test_an_event_becomes_what_the_table_says_and_is_counted(
    collector: Collector, case: str, outcome: str
) -> None:
    assert CASES[case](collector) == outcome
    assert collector.count(names.ORDER_EVENTS.name, "test", outcome) >= 1


def test_the_table_holds_every_case() -> None:
    assert [case for case, _ in documented()] == list(CASES)
