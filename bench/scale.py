"""``python -m bench.scale FILE.svg``: draws the collector's figures over the number of open orders.

Reads them from standard input, one a line in JSON. Runs where matplotlib is: among the peers. The
same figures make the same bytes.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

CURVES: Final = {
    "event": "an event, committed\n(times a bare pika loop)",
    "scrape": "scrape (ms)",
    "tick": "tick, nothing due (ms)",
    "crossing": "tick, each crossing clock (us)",
    "memory": "memory at start (MB)",
    "disk": "disk (bytes an order)",
}
MARKS: Final = {"SQLite": "o", "PostgreSQL": "s"}
SETTINGS: Final = {
    "svg.hashsalt": "otelkit",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def main() -> None:
    figures = [json.loads(line) for line in sys.stdin]
    with rc_context(SETTINGS):
        _drawing(figures).savefig(sys.argv[1], metadata={"Date": None})


def _drawing(figures: list[dict[str, Any]]) -> Figure:
    drawing = Figure(figsize=(9, 5), layout="constrained")
    axes = drawing.subplots(2, 3)
    for panel, (curve, title) in zip(axes.flat, CURVES.items(), strict=True):
        _draw(panel, title, [figure for figure in figures if figure["curve"] == curve])
    axes.flat[0].legend(frameon=False)
    drawing.supxlabel("open orders; dashed: the limit", fontsize=9)
    return drawing


def _draw(panel: Any, title: str, figures: list[dict[str, Any]]) -> None:
    panel.set_title(title, fontsize=9)
    panel.set_xscale("log")
    figures.sort(key=lambda figure: (figure["store"] != "SQLite", figure["size"]))
    for store, those in groupby(figures, key=lambda figure: figure["store"]):
        sizes, values = zip(*((figure["size"], figure["value"]) for figure in those), strict=True)
        panel.plot(sizes, values, marker=MARKS[store], markersize=4, label=store)
    limits = sorted({(figure["size"], figure["limit"]) for figure in figures})
    if limits:
        panel.plot(*zip(*limits, strict=True), "--", color="grey", linewidth=1)
    panel.set_ylim(bottom=0)


if __name__ == "__main__":
    main()
