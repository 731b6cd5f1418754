"""The conformance table of docs/pika.md: what otelkit does with pika, and what its peer does.

``make conformance`` runs the behaviours of tests/instrument/test_pika_conformance.py under
OpenTelemetry's own instrumentation of pika, in an environment of its own below build/, keeps what
it found in tests/instrument/data/contrib.json, and writes the table. otelkit's column is what the
tests demand of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from instrument import test_pika_conformance  # noqa: F401 - it fills BEHAVIOURS
from instrument.behaviours import BEHAVIOURS
from shop.servers import RabbitMQ

ROOT: Final = Path(__file__).parents[1]
PAGE_FILE: Final = ROOT / "docs" / "pika.md"
PEER: Final = "opentelemetry-instrumentation-pika"
PEER_VERSION: Final = "0.66b1"
_FOUND_FILE: Final = Path(__file__).parent / "instrument" / "data" / "contrib.json"
_ENVIRONMENT: Final = ROOT / "build" / "contrib"
_BEGIN: Final = "<!-- table: written by `make conformance` -->\n"
_END: Final = "<!-- end of table -->\n"


def found() -> dict[str, Any]:
    """What was measured of the peer: its version, and its outcome by title."""
    measured: dict[str, Any] = json.loads(_FOUND_FILE.read_text())
    return measured


def table(version: str, outcomes: Mapping[str, str]) -> str:
    """A row for each behaviour. Raises KeyError for one that was not measured."""
    lines = [f"| | otelkit | {PEER} {version} |", "|---|---|---|"]
    lines += [f"| {b.title} | {b.right} | {outcomes[b.title]} |" for b in BEHAVIOURS.values()]
    return "\n".join(lines) + "\n"


def page(text: str, version: str, outcomes: Mapping[str, str]) -> str:
    """docs/pika.md with its table written anew."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{table(version, outcomes)}\n{_END}{after}"


def _measure(python: Path, broker: RabbitMQ) -> dict[str, str]:
    """In a process each: what one leaves behind must not be another's finding."""
    outcomes = {}
    for title in BEHAVIOURS:
        done = subprocess.run(
            [python, "-m", "instrument.behaviours", title, broker.vhost("behaviours")],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{title}: {done.stderr}")
        outcomes[title] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {title}: {outcomes[title]}", file=sys.stderr, flush=True)  # noqa: T201
    return outcomes


def _environment() -> Path:
    """The peer's Python, beside the versions of pika and OpenTelemetry that it wants."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(_ENVIRONMENT, with_pip=True)
    wanted = [f"{PEER}=={PEER_VERSION}", "opentelemetry-sdk", "pika"]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python


def main() -> None:
    python = _environment()
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as folder,
        RabbitMQ(Path(folder)) as broker,
    ):
        outcomes = _measure(python, broker)
    measured = {"version": PEER_VERSION, "outcomes": outcomes}
    _FOUND_FILE.parent.mkdir(exist_ok=True)
    _FOUND_FILE.write_text(json.dumps(measured, indent=2) + "\n")
    PAGE_FILE.write_text(page(PAGE_FILE.read_text(), PEER_VERSION, outcomes))


if __name__ == "__main__":
    main()
