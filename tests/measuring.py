"""Runs a scenario through generated rules and the classic ones, and reads off when they fire."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import yaml

from otelkit import names, spec
from queries import rule_texts
from simulator import PAGE, TICKET, Minute

SEVERITIES: Final = (PAGE, TICKET)
CLASSIC, OTELKIT = "ClassicBurn", names.ALERT_ERROR_BUDGET_BURN
ALERTS: Final = (CLASSIC, OTELKIT)


@dataclass(frozen=True)
class Scenario:
    """``before`` the onset, ``during`` it, ``after`` the recovery."""

    name: str
    before: Sequence[Minute]
    during: Sequence[Minute]
    after: Sequence[Minute] = ()
    target: str = "99.9%"
    kind: str = "events"
    """Or ``latency``, ``orders``, ``gauge``: objectives of another kind, with series of their own.

    A gauge is asked once a minute: each minute is one event.
    """
    born: bool = False
    """The series of bad events appears with the first."""
    reset_at: int | None = None
    """The process restarts in this minute, and its counters with it."""
    silent_minutes: int = 0
    """So long nothing is scraped after the events."""

    @property
    def minutes(self) -> list[Minute]:
        return [*self.before, *self.during, *self.after]

    @property
    def length(self) -> int:
        return len(self.minutes) + self.silent_minutes


@dataclass(frozen=True)
class Measured:
    """What promtool saw of an alert: first and last firing minute, how often it began."""

    first: int | None = None
    last: int | None = None
    times: int = 0

    def told(self, scenario: Scenario) -> str:
        if self.first is None or self.last is None:
            return "-"
        onset = len(scenario.before)
        recovery = onset + len(scenario.during)
        text = f"{self.first - onset}"
        if self.last < scenario.length:
            resets = self.last >= recovery
            text += f", reset {self.last - recovery}" if resets else f" to {self.last - onset}"
        return text + (f" ({self.times} times)" if self.times > 1 else "")


# --- as Prometheus scrapes it --------------------------------------------------------------

_OBJECTIVES: Final = {
    "events": """owner: web, good: 'requests_total{outcome="ok"}', total: requests_total""",
    "latency": "service: web, latency: {below: 250ms, target: %s}",
    "orders": "process: order, from: in, to: out, within: 1d",
    "gauge": "owner: web, query: probe_success",
}


def sla_text(scenario: Scenario) -> str:
    objective = _OBJECTIVES[scenario.kind]
    if "%s" in objective:
        objective %= scenario.target
    else:
        objective += f", target: {scenario.target}"
    return (
        "version: 1\nsystem: s\nowners: {web: {page: p, ticket: t}}\n"
        "services: {web: {owner: web}}\n"
        "processes: {order: {owner: web, stages: [in], done: [out]}}\n"
        f"objectives:\n  - {{name: o, {objective}}}\n"
    )


def counters(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Series and promtool's notation of their values, from minute 0."""
    if scenario.kind == "gauge":
        yield 'probe_success{job="web"}', notation([None, *(good for good, _ in scenario.minutes)])
        return
    good = _counted((good for good, _ in scenario.minutes), scenario)
    bad = _counted((bad for _, bad in scenario.minutes), scenario)
    if scenario.kind == "latency":
        metric, own = "http_server_request_duration_seconds", 'job="web",instance="a:1"'
        both = _counted((good + bad for good, bad in scenario.minutes), scenario)
        yield f'{metric}_bucket{{{own},le="0.25"}}', notation(good)
        yield f"{metric}_count{{{own}}}", notation(both)
        return
    born = next(at for at, count in enumerate(bad) if count) if scenario.born else 0
    for word, values in (("good", good), ("bad", [None] * born + bad[born:])):
        yield _series(scenario.kind, word), notation(values)


def _series(kind: str, word: str) -> str:
    own = 'job="web",instance="a:1"'
    if kind == "orders":
        outcome = {"good": "met", "bad": "breached"}[word]
        own += f',system="s",objective="o",outcome="{outcome}"'
        return f"otelkit_order_clocks_total{{{own}}}"
    outcome = {"good": "ok", "bad": "error"}[word]
    return f'requests_total{{{own},outcome="{outcome}"}}'


def _counted(events: Iterable[int], scenario: Scenario) -> list[int]:
    total = 0
    found = [0]
    for minute, count in enumerate(events, 1):
        total = count if minute == scenario.reset_at else total + count
        found.append(total)
    return found


def notation(values: Sequence[int | None]) -> str:
    """Values, one a minute, in promtool's notation; what is None is absent."""
    parts, at = [], 0
    while at < len(values):
        value, end = values[at], at + 1
        if value is None:
            while end < len(values) and values[end] is None:
                end += 1
            parts.append(f"_x{end - at}")
        else:
            step = _step(values, at)
            while end < len(values) and values[end] == value + step * (end - at):
                end += 1
            parts.append(f"{value}+{step}x{end - at - 1}")
        at = end
    return " ".join(parts)


def _step(values: Sequence[int | None], at: int) -> int:
    here, following = values[at], values[at + 1] if at + 1 < len(values) else None
    return 0 if here is None or following is None else max(0, following - here)


# --- the classic ---------------------------------------------------------------------------


def classic(scenario: Scenario) -> str:
    """Google SRE Workbook, chapter "Alerting on SLOs", section 6, as it stands there."""
    error = f"{1 - float(scenario.target.rstrip('%')) / 100:.6g}"

    def ratio(window: str) -> str:
        if scenario.kind == "latency":
            metric = "http_server_request_duration_seconds"
            good = f'sum(rate({metric}_bucket{{le="0.25"}}[{window}]))'
            return f"(1 - {good} / sum(rate({metric}_count[{window}])))"
        if scenario.kind == "gauge":
            return f"(1 - avg_over_time(probe_success[{window}]))"
        metric = "otelkit_order_clocks_total" if scenario.kind == "orders" else "requests_total"
        bad = f'sum(rate({metric}{{outcome=~"error|breached"}}[{window}]))'
        return f"({bad} / sum(rate({metric}[{window}])))"

    def pair(long: str, short: str, factor: str) -> str:
        return f"({ratio(long)} > {factor} * {error} and {ratio(short)} > {factor} * {error})"

    exprs = {
        PAGE: f"{pair('1h', '5m', '14.4')} or {pair('6h', '30m', '6')}",
        TICKET: pair("3d", "6h", "1"),
    }
    rules = [
        {"alert": CLASSIC, "expr": expr, "labels": {"severity": severity}}
        for severity, expr in exprs.items()
    ]
    return yaml.safe_dump({"groups": [{"name": "classic", "rules": rules}]})


# --- measuring -----------------------------------------------------------------------------


def measure(scenario: Scenario, promtool: str) -> dict[tuple[str, str], Measured]:
    """First and last firing minute of each alert and severity, and how often it began."""
    with TemporaryDirectory(prefix="otelkit-scenario-") as name:
        folder = Path(name)
        loaded = list(_write_rules(scenario, folder))
        (folder / "test.yml").write_text(_test(scenario, loaded))
        done = subprocess.run(
            [promtool, "test", "rules", "test.yml"],
            cwd=folder,
            env={**os.environ, "TMPDIR": name},
            check=False,
            capture_output=True,
            text=True,
        )
    return _read(done.stdout + done.stderr)


def _write_rules(scenario: Scenario, folder: Path) -> Iterator[str]:
    made = rule_texts(spec.loads(sla_text(scenario), "sla.yaml"))
    for name, text in {**made, "classic.rules.yml": classic(scenario)}.items():
        if "health" not in name:
            (folder / name).write_text(text)
            yield name


def _queries(alert: str, severity: str, length: int) -> dict[str, str]:
    alerts = f'ALERTS{{alertname="{alert}",alertstate="firing",severity="{severity}"}}'
    firing = f"max({alerts})"
    over = f"[{length}m:1m]"
    return {
        "first": f"min_over_time(({firing} * time() / 60){over})",
        "last": f"max_over_time(({firing} * time() / 60){over})",
        "times": f"sum_over_time(({firing} unless max({alerts} offset 1m)){over})",
    }


def _test(scenario: Scenario, rules: list[str]) -> str:
    length = scenario.length
    queries = [
        (what, alert, severity, expr)
        for alert in ALERTS
        for severity in SEVERITIES
        for what, expr in _queries(alert, severity, length).items()
    ]
    # Nothing is expected, so promtool says what it got instead. Blanks tell queries apart.
    document = {
        "rule_files": rules,
        "evaluation_interval": "1m",
        # Else promtool takes the groups in any order, and events may be seen a minute later.
        "group_eval_order": ["otelkit.s.sli", "otelkit.s.o", "classic"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": values} for series, values in counters(scenario)
                ],
                "promql_expr_test": [
                    {"expr": f"label_replace({expr}, 'q', '{what} {alert} {severity}', '', '')",
                     "eval_time": f"{length}m", "exp_samples": []}
                    for what, alert, severity, expr in queries
                ],
            }
        ],
    }  # fmt: skip
    return yaml.safe_dump(document, width=10_000)


_GOT: Final = re.compile(r'got: \{q="(\w+) (\w+) (\w+)"\} (\S+)')


def _read(output: str) -> dict[tuple[str, str], Measured]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for what, alert, severity, value in _GOT.findall(output):
        found.setdefault((alert, severity), {})[what] = round(float(value))
    if " err: " in output or not ("FAILED" in output or "SUCCESS" in output):
        raise RuntimeError(f"promtool measured nothing:\n{output}")
    return {
        (alert, severity): Measured(**found.get((alert, severity), {}))
        for alert in ALERTS
        for severity in SEVERITIES
    }
