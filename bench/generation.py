"""How long 500 objectives take to generate."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import peers
from bench.figure import Figure
from bench.timing import in_turn

OBJECTIVES = 500
RUNS = 5


def measure() -> Iterator[Figure]:
    """Availability of 500 services, from files that say the same to both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sla.yaml").write_text(sla(OBJECTIVES))
        (folder / "kit.yaml").write_text(_kit(OBJECTIVES))
        out = folder / "out"
        theirs = [peers.program("slo-kit"), "gen-alerts", str(folder / "kit.yaml")]
        ours = [str(Path(sys.executable).with_name("otelkit")), "generate"]
        ours += [str(folder / "sla.yaml"), "-o", str(out)]
        for what, more, limit in (
            ("rules", ["--only", "rules"], 0.5),
            ("rules, proofs and dashboards", [], 1.0),
        ):
            pair = in_turn(
                [*ours, *more], theirs, RUNS, lambda: shutil.rmtree(out, ignore_errors=True)
            )
            yield Figure(
                f"{what} of {OBJECTIVES} objectives", "slo-kit, rules", pair.ratio, limit, str(pair)
            )


def sla(objectives: int) -> str:
    """An SLA file of so many services, each with one objective."""
    lines = ["version: 1", "system: bench", "services:"]
    lines += [f"  svc-{n}: {{}}" for n in range(objectives)]
    lines += ["objectives:"]
    lines += [
        f"  - {{name: availability-{n}, service: svc-{n}, availability: 99.9%}}"
        for n in range(objectives)
    ]
    return "\n".join(lines) + "\n"


def _kit(objectives: int) -> str:
    metric = "http_server_request_duration_seconds_count"
    return "".join(
        f"""---
apiVersion: slo-kit/v1
name: availability-{n}
service: svc-{n}
objective: 0.999
window: 30d
sli:
  good_query: 'sum(rate({metric}{{job="svc-{n}",http_response_status_code!~"5.."}}[{{window}}]))'
  total_query: 'sum(rate({metric}{{job="svc-{n}"}}[{{window}}]))'
"""
        for n in range(objectives)
    )
