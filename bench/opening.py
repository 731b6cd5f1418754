"""``python -m bench.opening STORE``: opens a store as collectors do; prints seconds and bytes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from bench.filling import engines


def main() -> None:
    place = sys.argv[1]
    began = time.perf_counter()
    for engine in engines(place if "://" in place else Path(place)):
        seconds = time.perf_counter() - began
        engine.tallies()
        print(seconds, psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
