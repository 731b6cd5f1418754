"""The scenario table: otelkit's rules beside the classic multi-window burn rate, by promtool.

``make scenarios`` writes docs/scenarios.md. Each row is traffic as a service counts it, and runs
through the generated rules and the classic ones in the same promtool test. Minutes count from the
onset of what goes wrong; an alert's reset counts from the recovery.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from measuring import ALERTS, SEVERITIES, Measured, Scenario, measure
from otelkit.verify import promtool as verify
from simulator import Minute

PAGE_FILE: Final = Path(__file__).parents[1] / "docs" / "scenarios.md"


def steady(minutes: int, good: int, bad: int = 0) -> list[Minute]:
    """The same events each minute."""
    return [(good, bad)] * minutes


def rare(minutes: int, every: int, *, bad: bool = False) -> list[Minute]:
    """One event every so many minutes."""
    one = (0, 1) if bad else (1, 0)
    return [one if minute % every == every - 1 else (0, 0) for minute in range(minutes)]


def chance(minutes: int, per_minute: float, share_bad: float) -> list[Minute]:
    """Events that come independently of one another (Poisson), the same ones each time."""
    dice = random.Random(3)

    def event_count() -> int:
        arrived, at = 0, dice.expovariate(per_minute)
        while at < 1:
            arrived, at = arrived + 1, at + dice.expovariate(per_minute)
        return arrived

    found = []
    for _ in range(minutes):
        events = event_count()
        bad = sum(dice.random() < share_bad for _ in range(events))
        found.append((events - bad, bad))
    return found


FULL = 6000
DAY = 24 * 60
NIGHT, NOON = 2, 2000  # events a minute: 10 and 10,000 in five minutes


def outage(
    name: str, minutes: int, target: str, before: int, kind: str = "events", rate: int = FULL
) -> Scenario:
    """Nothing works any more, after so many minutes of health."""
    return Scenario(name, steady(before, rate), steady(minutes, 0, rate), (), target, kind)


def scenarios() -> tuple[Scenario, ...]:
    young = steady(180, FULL)
    quiet_night = steady(12 * 60, NIGHT)
    busy_day = steady(12 * 60, NOON)
    steep = steady(120, 920, 80)
    return (
        Scenario("full outage of 30 min", young, steady(30, 0, FULL), steady(100, FULL)),
        Scenario("20 x burn", young, steady(120, FULL - 120, 120)),
        Scenario("10 x burn", young, steady(300, FULL - 60, 60)),
        Scenario("5 x burn for 8 h, 3 h old", young, steady(480, FULL - 30, 30)),
        Scenario(
            "10 requests an hour, one failure",
            rare(360, 6),
            rare(6, 6, bad=True),
            rare(400, 6),
        ),
        Scenario(
            "the same, the failure creates its series",
            rare(360, 6),
            rare(6, 6, bad=True),
            rare(400, 6),
            born=True,
        ),
        Scenario(
            "10 requests an hour, sustained, new series",
            rare(360, 6),
            [(0, 1), *rare(119, 6, bad=True)],
            born=True,
        ),
        outage("full outage at 99 %, a day old", 60, "99%", DAY),
        outage("full outage at 95 %, a day old", 90, "95%", DAY),
        outage("full outage at 90 %, a day old", 270, "90%", DAY),
        Scenario(
            "90 %, steady 8 % errors, 5 x peak hour",
            [*steep, *steep],
            steady(60, 4600, 400),
            steep,
            target="90%",
        ),
        Scenario(
            "two nights of 10 per 5 min failing half",
            busy_day,
            [*steady(12 * 60, 1, 1), *busy_day, *steady(8 * 60, 1, 1)],
            steady(90, NOON),
        ),
        Scenario(
            "three errors at night",
            [*busy_day, *steady(120, NIGHT)],
            [(1, 1)] * 3,
            steady(120, NIGHT),
        ),
        Scenario(
            "full outage at night, 1 h",
            [*busy_day, *steady(120, NIGHT)],
            steady(60, 0, NIGHT),
            steady(100, NIGHT),
        ),
        Scenario(
            "full outage by day after a night",
            [*quiet_night, *steady(60, NOON)],
            steady(90, 0, NOON),
        ),
        Scenario("fails 5 min, then no traffic", young, steady(5, 0, FULL), steady(120, 0)),
        Scenario("counter reset", young, steady(1, FULL), steady(100, FULL), reset_at=181),
        Scenario("no data any more", young, steady(1, FULL), silent_minutes=100),
        Scenario("all zero", steady(180, 0), steady(100, 0)),
        outage("latency 99 %, full outage", 60, "99%", 180, "latency"),
        outage("orders 95 %, full outage", 60, "95%", 180, "orders"),
        outage("gauge 99 %, full outage", 60, "99%", 180, "gauge", rate=1),
        Scenario(
            "chance: 1 a minute, 1 in 1,000 bad, 20 h", chance(180, 1, 0), chance(1200, 1, 0.001)
        ),
        Scenario(
            "4 x burn for a day, 2 days old",
            steady(2 * DAY, FULL),
            steady(DAY, FULL - 24, 24),
        ),
    )


Found = dict[str, dict[tuple[str, str], Measured]]
"""What was measured, by scenario, alert and severity."""


def measured(wanted: Sequence[Scenario], progress: Callable[[str], None] = lambda _: None) -> Found:
    """All scenarios, as many at once as there are cores."""
    promtool = verify.find()

    def one(scenario: Scenario) -> tuple[str, dict[tuple[str, str], Measured]]:
        found = measure(scenario, promtool)
        progress(scenario.name)
        return scenario.name, found

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(pool.map(one, wanted))


# --- the page ------------------------------------------------------------------------------

_HEAD: Final = """# Scenarios

<!-- Written by `make scenarios`; tests/promtool/test_scenarios.py holds it to the rules. -->

Each row was run through `promtool test rules` on the generated rules and, in the same run, on the
classic multi-window burn rate of the Google SRE Workbook. A number is the minute after the onset
in which the alert first fires; "reset" is the last minute after the recovery in which it still
does; `-` is silence. A live Prometheus evaluates groups independently, which may add a minute to
either; a scrape that comes late may add another. 99.9 % and 6,000 requests a minute unless the row
says otherwise.

| scenario | classic page | classic ticket | otelkit page | otelkit ticket |
|---|---|---|---|---|
"""
_TAIL: Final = """
The classic has its wins: it pages in the first minute of an outage in a quiet night, where otelkit
waits until half an hour is over four fifths bad; it is two or three minutes ahead in most rows and
resets sooner; it needs no recordings and is far simpler to read. What otelkit has for it: no page
for one failure at night, no ticket for a service too young to have spent its budget, low
objectives that page at all, and a failure that creates its series is seen.
"""


def row(scenario: Scenario, seen: Mapping[tuple[str, str], Measured]) -> str:
    """A line of the table."""
    cells = (seen[alert, severity].told(scenario) for alert in ALERTS for severity in SEVERITIES)
    return f"| {' | '.join((scenario.name, *cells))} |\n"


def page(found: Found) -> str:
    """docs/scenarios.md."""
    rows = (row(scenario, found[scenario.name]) for scenario in scenarios())
    return _HEAD + "".join(rows) + _TAIL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios with this in their name; to stdout")
    only = parser.parse_args().only
    wanted = [scenario for scenario in scenarios() if only in scenario.name]
    found = measured(wanted, lambda name: print(f"  {name}", file=sys.stderr, flush=True))  # noqa: T201
    if only:
        for scenario in wanted:
            for (alert, severity), seen in found[scenario.name].items():
                print(f"{scenario.name}: {alert} {severity}: {seen.told(scenario)}")  # noqa: T201
    else:
        PAGE_FILE.write_text(page(found))


if __name__ == "__main__":
    main()
