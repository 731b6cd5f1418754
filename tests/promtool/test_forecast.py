"""The minutes that ``otelkit explain`` forecasts are those after which Prometheus fires."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from otelkit import names, slo, spec
from otelkit.generate import proof as proving
from otelkit.generate.proof import Expect, Series
from otelkit.slo.incident import Incident
from queries import rule_texts

from .conftest import Program

PAGE, TICKET = names.SEVERITY_PAGE, names.SEVERITY_TICKET


@dataclass(frozen=True, slots=True)
class Case:
    """Steady traffic that turns bad after ``healthy`` minutes, and recovers after ``lasts``."""

    name: str
    objective: str
    per_minute: str
    bad: str
    healthy: int
    lasts: int
    after: int = 5
    """Minutes watched after recovery."""
    recorded: bool = False
    """Begins with the events of five minutes: counters are exact only when they are older."""


DAYS, DAY, HOURS = 74 * 60, 27 * 60, 13 * 60
POLICY = "alerting: {page: [1% in 1h, 3% in 1d], ticket: [5% in 1d], min_bad_events: 30}"
# Where the ticket's days are not on record only pages are looked at. No case of raw counters is so
# near a tie that their first minutes on record could move it by a minute; and rates that are no
# binary fractions may look like a counter's reset.
CASES = (
    Case("full outage, 57 minutes past the hour", "target: 99.9%", "1000", "1", DAYS + 57, 70, 370),
    Case("full outage of a low objective", "target: 95%", "300", "1", DAYS, 300),
    Case("13.1 times too fast", "target: 99.9%", "1000", "0.0131", HOURS, 200, 40),
    Case("2.45 times too fast in a week", "target: 90%, window: 7d", "50", "0.245", HOURS, 260),
    Case("a policy with a day", f"target: 99%, {POLICY}", "0.5", "1", DAY + 20, 100, 130),
    Case("a quiet hour", "target: 99.9%", "0.5", "1", HOURS, 40, 40),
    # In minute 218 exactly 5 % are gone; more than that a minute later.
    Case("a tie", "target: 99.9%", "1000", "0.01", HOURS, 230, 0, recorded=True),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_forecast_minutes_are_those_of_prometheus(
    promtool: Program, tmp_path: Path, case: Case
) -> None:
    (tmp_path / "sla.yaml").write_text(sla_text(case))
    sla = spec.load(tmp_path / "sla.yaml")
    (objective,) = sla.budgets
    per_minute, bad = Decimal(case.per_minute), Decimal(case.bad)
    incident = Incident(bad * per_minute, per_minute, case.lasts, case.healthy % 60)
    looking = (PAGE, TICKET) if case.healthy >= DAY else (PAGE,)
    expected = {
        severity: minutes(slo.burn_alert(objective, severity), incident, case)
        for severity in looking
    }
    assert expected[PAGE], "a case in which something fires"
    made = {
        name: text
        for name, text in rule_texts(sla).items()
        if not (case.recorded and ".sli." in name)
    }
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "proof.yml").write_text(proof(case, expected, made))
    done = promtool("test", "rules", "proof.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def sla_text(case: Case) -> str:
    return (
        "version: 1\nsystem: s\nowners: {web: {page: p, ticket: t}}\n"
        "objectives:\n  - {name: o, owner: web, good: good_total, total: all_total, "
        f"{case.objective}}}\n"
    )


def minutes(fires: slo.Fires, incident: Incident, case: Case) -> tuple[int, int] | None:
    """The first and the last minute in which the alert fires, as far as the case goes."""
    firing = [t for t in range(case.lasts + case.after + 1) if fires(incident, t)]
    return (firing[0], firing[-1]) if firing else None


def proof(case: Case, expected: dict[str, tuple[int, int] | None], made: dict[str, str]) -> str:
    until = case.healthy + case.lasts + case.after
    groups = [name for text in made.values() for name in re.findall(r'name: "(.*)"', text)]
    series = recordings(case) if case.recorded else counters(case)
    test = proving.Test(case.name, series, tuple(
        expectation(severity, case.healthy, until, found) for severity, found in expected.items()
    ))  # fmt: skip
    text = proving.proof_file([test], "*.rules.yml", source="sla.yaml", purpose="forecast")
    # Events first, as a Prometheus sees them once its groups have gone round.
    return text + "group_eval_order: " + str(sorted(groups, key=lambda n: not n.endswith("sli")))


def expectation(severity: str, healthy: int, until: int, found: tuple[int, int] | None) -> Expect:
    """One number that holds the first and the last firing minute: first * 10000 + last."""
    firing = f'max(ALERTS{{alertname="ErrorBudgetBurn",severity="{severity}"}}) * time() / 60'
    window = f"[{until}m:1m]"
    expr = (
        f"(min_over_time(({firing}){window}) - {healthy}) * 10000"
        f" + max_over_time(({firing}){window}) - {healthy}"
    )
    if found is None:
        return Expect(expr, until, ())
    return Expect(expr, until, (({}, found[0] * 10000 + found[1]),))


def counters(case: Case) -> tuple[Series, Series]:
    rate, bad = Decimal(case.per_minute), Decimal(case.bad)
    good = rate * (1 - bad)
    at_onset, at_recovery = rate * case.healthy, rate * case.healthy + good * case.lasts
    every = case.healthy + case.lasts + case.after
    return (
        Series("all_total", {"job": "j", "instance": "i"}, f"0+{rate}x{every}"),
        Series(
            "good_total",
            {"job": "j", "instance": "i"},
            f"0+{rate}x{case.healthy} {at_onset + good}+{good}x{case.lasts - 1}"
            f" {at_recovery + rate}+{rate}x{case.after}",
        ),
    )


def recordings(case: Case) -> tuple[Series, Series]:
    """What the counters are on record as, had they begun long before; until recovery."""
    own = {"system": "s", "environment": "default", "objective": "o"}
    total, bad = 5 * Decimal(case.per_minute), Decimal(case.per_minute) * Decimal(case.bad)
    return (
        Series(f"{names.TOTAL}5m", own, f"{total}x{case.healthy + case.lasts}"),
        Series(f"{names.BAD}5m", own, f"0x{case.healthy} {bad}+{bad}x4 {5 * bad}x{case.lasts}"),
    )


# --- silence -------------------------------------------------------------------------------

SILENCE = """
version: 1
system: s
processes: {order: {stages: [made], done: [sent]}}
queues: {dlq: {}}
objectives:
  - {name: counted, good: good_total, total: all_total, target: 99%}
  - {name: checked, query: avg(answers), target: 99%}
  - {name: orders, process: order, stage: made, within: 1d, target: 99%}
  - {name: letters, queue: dlq, max_messages: 0}
"""
LAST, BACK, END = 30, 90, 100
"""Minutes: of the last samples, of the first ones again, and of the end."""
SILENT: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("good_total", {}),
    ("all_total", {}),
    ("answers", {}),
    (names.ORDER_CLOCKS.name, {"objective": "orders", "outcome": "met"}),
    (names.DLQ_MESSAGES.name, {"queue": "dlq"}),
    (names.COLLECTOR_TICK.name, {"shard": "0"}),
    (names.SOURCE_UP.name, {"source": "rabbitmq"}),
    (names.RULES_EVALUATED, {"environment": "default", "rule_group": "otelkit.s.counted"}),
)


def test_silence_is_told_in_the_forecast_minutes(promtool: Program, tmp_path: Path) -> None:
    sla = spec.loads(SILENCE, "sla.yaml")
    for name in ("s.sli.rules.yml", "s.health.rules.yml"):
        (tmp_path / name).write_text(rule_texts(sla)[name])
    values = f"0+60x{LAST} _x{BACK - LAST - 1} {60 * BACK}+60x{END - BACK}"
    series = tuple(Series(name, {"system": "s", **own}, values) for name, own in SILENT)
    stale, still = slo.watching(collector=True)
    told = [("", stale), ('rule_group="otelkit.s.counted"', still)]
    told += [(f'objective="{one.name}"', slo.no_data(one)) for one in sla.objectives]
    test = proving.Test("silence", series, tuple(_between(one, own) for own, one in told))
    text = proving.proof_file([test], "*.rules.yml", source="sla.yaml", purpose="silence")
    order = 'group_eval_order: ["otelkit.s.sli", "otelkit.s.health"]'
    (tmp_path / "proof.yml").write_text(text + order)
    done = promtool("test", "rules", "proof.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def _between(one: slo.Expected, own: str) -> Expect:
    """First and last firing minute as one number, as above."""
    first, reset = one.forecast.full_outage, one.forecast.reset
    assert first is not None
    assert reset is not None
    alert = f'max(ALERTS{{alertname="{one.alert}",alertstate="firing",{own}}}) * time() / 60'
    over = f"({alert})[{END}m:1m]"
    expr = f"min_over_time({over}) * 10000 + max_over_time({over})"
    return Expect(expr, END, (({}, (LAST + first) * 10000 + BACK - 1 + reset),))
