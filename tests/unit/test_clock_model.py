"""The engine as a state machine: arrivals and ticks in any order, beside somebody with stopwatches.

The model knows no deadlines. It walks through the life of an order second by second, with a
stopwatch for each clock, and keeps a ledger of what has been said of each: it shares no code and no
arithmetic with the collector.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otelkit import events, names, spec
from otelkit.collect.engine.engine import Engine
from otelkit.collect.engine.intake import Received
from otelkit.collect.storage import tallylog
from otelkit.collect.storage.stores import open_store
from otelkit.events import OrderMoved

SLA = spec.load(Path(__file__).parent / "data" / "clocks.yaml")
STAGES = ("submitted", "priced", "making", "packed")
ALLOWED = {"making": 100, "whole": 300}
AT_RISK = {"making": 75}
"""Seconds on the stopwatch after which an order is at risk: of 100, the last quarter is left."""
START = 1_800_000_000
Ledger = dict[tuple[str, int], str]


@dataclass
class Stopwatch:
    """One run of a clock. ``late_at`` and ``risk_at`` are when it passed its limits, if it runs."""

    objective: str
    used: int = 0
    stopped: bool = False
    late_at: int | None = None
    risk_at: int | None = None
    outcome: str = ""

    @property
    def over(self) -> bool:
        return self.used > ALLOWED[self.objective]

    def look(self, now: int) -> None:
        """Note the moment at which a limit is reached."""
        if self.late_at is None and self.used >= ALLOWED[self.objective]:
            self.late_at = now
        if self.risk_at is None and self.used >= AT_RISK.get(self.objective, 10_000):
            self.risk_at = now

    def pause(self) -> None:
        """What is overdue cannot be paused away."""
        if not self.over:
            self.stopped, self.late_at, self.risk_at = True, None, None

    def end(self, *, cancelled: bool) -> None:
        self.outcome = "breached" if self.over else "cancelled" if cancelled else "met"


@dataclass
class Life:
    """An order as its events tell it."""

    stage: str = ""
    open: bool = True
    paused: bool = False
    watches: list[Stopwatch] = field(default_factory=list)

    def running(self) -> list[Stopwatch]:
        return [watch for watch in self.watches if not watch.outcome]

    def hear(self, status: str, now: int) -> None:
        if status == "waiting":
            if not self.stage:
                self.enter("submitted")
            if self.open and not self.paused:
                self.paused = True
                for watch in self.running():
                    watch.pause()
            return
        if status == "changed" and not self.stage:
            self.enter("submitted")
            return
        self.paused = False
        for watch in self.running():
            watch.stopped = False
            watch.look(now)
        if status == "changed":
            self.begin_anew()
            return
        if status in STAGES:
            if status != self.stage or not self.open:
                self.enter(status)
        else:
            self.stage, self.open = self.stage or "submitted", False
            for watch in self.running():
                watch.end(cancelled=status == "cancelled")

    def begin_anew(self) -> None:
        if self.open:
            running = self.running()
            for watch in running:
                watch.end(cancelled=True)
            self.watches += [Stopwatch(watch.objective) for watch in running]

    def enter(self, stage: str) -> None:
        for watch in self.running():
            if watch.objective == "making":
                watch.end(cancelled=False)
        self.stage, self.open = stage, True
        known = {watch.objective for watch in self.watches}
        started = ["making"] if stage == "making" else []
        self.watches += [Stopwatch(o) for o in (*started, *({"whole"} - known))]

    def second(self, now: int) -> None:
        """One second passes, until ``now``."""
        for watch in self.running():
            if not watch.stopped:
                watch.used += 1
                watch.look(now)

    def numbered(self) -> dict[tuple[str, int], Stopwatch]:
        """By objective and how many runs of it there were before."""
        seen: Counter[str] = Counter()
        found = {}
        for watch in self.watches:
            found[watch.objective, seen[watch.objective]] = watch
            seen[watch.objective] += 1
        return found


def lived(told: dict[int, str]) -> Life:
    """The life of an order until nothing can happen to it any more without another event."""
    life = Life()
    first, last = min(told), max(told)
    for now in range(first, last + max(ALLOWED.values()) + 1):
        if now > first:
            life.second(now)
        if now in told:
            life.hear(told[now], now)
    return life


class Clocks(RuleBasedStateMachine):
    """Two orders, told of one event at a time, in any order, now and then twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.summing_often = patch.object(tallylog, "LEAST_BYTES", 200)
        self.summing_often.start()
        self.store = open_store(Path(self.folder.name) / "orders.db")
        self.engine = Engine(SLA, self.store)
        self.told: dict[str, dict[int, str]] = {}
        self.now = 0
        self.ledgers: dict[str, Ledger] = {}
        self.counted: Counter[tuple[str, ...]] = Counter()

    @initialize()
    def begin(self) -> None:
        self.arrive("A-1", 0, "making")

    # Limits, events and ticks share a grid: what happens at the very moment of a limit is the
    # hard part. Most of it happens to one order, in the stage with a clock and in its pauses.
    @rule(
        order=st.sampled_from(["A-1", "A-1", "A-1", "A-2"]),
        at=st.integers(0, 16).map(lambda step: 25 * step),
        status=st.sampled_from(
            [*STAGES, "making", "making", "waiting", "waiting", "changed", "shipped", "cancelled"]
        ),
    )
    def arrive(self, order: str, at: int, status: str) -> None:
        """An event, which may be one that was told already."""
        told = self.told.setdefault(order, {})
        status = told.setdefault(at, status)
        when = datetime.fromtimestamp(START + at, UTC)
        event = OrderMoved("test", f"{order}-{at}", order, when, "order", status)
        self.engine.apply([Received("test", events.encode(event), START + 1000)])
        self.judge(order)

    @rule(seconds=st.integers(1, 6).map(lambda step: 25 * step))
    def tick(self, seconds: int) -> None:
        self.now += seconds
        self.engine.tick(START + self.now)
        for order in self.told:
            self.judge(order)

    @rule()
    def start_again(self) -> None:
        """What a collector knows when it starts is what it knew when it ended."""
        self.store.close()
        self.store = open_store(Path(self.folder.name) / "orders.db")
        self.engine = Engine(SLA, self.store)

    def judge(self, order: str) -> None:
        """What has to be counted of an order by now, and what was counted wrongly."""
        before, watches = self.ledgers.get(order, {}), lived(self.told[order]).numbered()
        ledger = self.ledgers[order] = {}
        for key, watch in watches.items():
            late = watch.late_at is not None and watch.late_at <= self.now
            outcome = watch.outcome or ("breached" if late else before.get(key, ""))
            self.count(key[0], before.get(key, ""), outcome)
            if outcome:
                ledger[key] = outcome
        for key in before.keys() - watches.keys():  # it turns out that this clock never ran
            self.count(key[0], before[key], "cancelled")

    def count(self, objective: str, before: str, outcome: str) -> None:
        if before == outcome:
            return
        if before:
            self.counted[names.ORDER_CLOCK_CORRECTIONS.name, objective, before, outcome] += 1
        else:
            self.counted[names.ORDER_CLOCKS.name, objective, outcome] += 1

    @invariant()
    def counters_are_those_of_the_ledger(self) -> None:
        found: Counter[tuple[str, ...]] = Counter()
        for key, count in self.engine.tallies().items():
            if key[0] == names.ORDER_CLOCKS.name:
                found[key[0], key[1], key[4]] += int(count)
            elif key[0] == names.ORDER_CLOCK_CORRECTIONS.name:
                found[key[0], key[1], key[3], key[4]] += int(count)
        assert found == self.counted

    @invariant()
    def gauges_are_what_the_stopwatches_show(self) -> None:
        expected: Counter[tuple[str, ...]] = Counter()
        for told in self.told.values():
            expected.update(self.shown(lived(told)))
        gauges = (
            names.ORDERS_OPEN,
            names.ORDERS_PAUSED,
            names.ORDERS_OVERDUE,
            names.ORDERS_AT_RISK,
        )
        wanted = {gauge.name for gauge in gauges}
        tallies = self.engine.tallies().items()
        found = Counter({key[:3]: int(n) for key, n in tallies if key[0] in wanted and n})
        assert found == expected

    def shown(self, life: Life) -> list[tuple[str, ...]]:
        if not life.open:
            return []
        found: list[tuple[str, ...]] = [(names.ORDERS_OPEN.name, "order", life.stage)]
        if life.paused:
            found.append((names.ORDERS_PAUSED.name, "order", life.stage))
        for watch in life.running():
            if watch.late_at is not None and watch.late_at <= self.now:
                found.append((names.ORDERS_OVERDUE.name, watch.objective, life.stage))
            elif watch.risk_at is not None and watch.risk_at <= self.now:
                found.append((names.ORDERS_AT_RISK.name, watch.objective, life.stage))
        return found

    def teardown(self) -> None:
        self.store.close()
        self.summing_often.stop()
        self.folder.cleanup()


TestClocks = Clocks.TestCase
TestClocks.settings = settings(max_examples=80, stateful_step_count=30)
