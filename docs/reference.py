"""Writes docs/metrics.md from the names that the code itself uses.

::

    python docs/reference.py            write it
    python docs/reference.py --check    fail where it differs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from otelkit import names

PAGE: Final = Path(__file__).with_name("metrics.md")
_PARTS: Final = {
    "service": ("Services", "What a process that calls `otelkit.init` serves on its metrics port."),
    "collector": (
        "The collector",
        "What `otelkit collect` serves. Absent data is an absent sample.",
    ),
}


def page() -> str:
    """The whole page."""
    lines = [
        "# The metrics",
        "",
        "Generated from `otelkit/names.py`; `make generate` writes it anew. Durations are seconds,",
        "timestamps Unix seconds.",
    ]
    for emitter, (title, said) in _PARTS.items():
        lines += [
            "",
            f"## {title}",
            "",
            said,
            "",
            "| metric | kind | labels | |",
            "|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in names.METRICS if metric.emitter == emitter]
    return "\n".join(lines) + "\n"


def _row(metric: names.Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    kind = "gauge histogram" if metric.kind == "gaugehistogram" else metric.kind
    return f"| `{metric.name}` | {kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text() != page():
            sys.exit("docs/metrics.md is not what otelkit/names.py says; run: make generate")
    else:
        PAGE.write_text(page())
