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
RULES_ONLY = """
import sys
from pathlib import Path
from otelkit import spec
from otelkit.generate.files import rule_files
from otelkit.generate.rule import rule_file
for file in rule_files(spec.load(Path(sys.argv[1]))):
    print(rule_file(file.group, source="sla.yaml", purpose=file.purpose))
"""
"""What the peer does: reads a file and prints the rules."""
RUNS = 5


def measure() -> Iterator[Figure]:
    """Availability of 500 services, from files that say the same to both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sla.yaml").write_text(sla(OBJECTIVES))
        (folder / "kit.yaml").write_text(_kit(OBJECTIVES))
        out = folder / "out"
        theirs = [peers.program("slo-kit"), "gen-alerts", str(folder / "kit.yaml")]
        everything = [str(Path(sys.executable).with_name("otelkit")), "generate"]
        everything += [str(folder / "sla.yaml"), "-o", str(out)]
        rules = [sys.executable, "-c", RULES_ONLY, str(folder / "sla.yaml")]
        for what, ours, limit in (
            ("rules", rules, 0.5),
            ("rules, proofs and dashboards", everything, 1.0),
        ):
            pair = in_turn(ours, theirs, RUNS, lambda: shutil.rmtree(out, ignore_errors=True))
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
