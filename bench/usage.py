"""What a request or a message costs the process that serves it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple


class Usage(NamedTuple):
    """Seconds of processor time for each, whatever thread takes them, and how many a second."""

    seconds: float
    rate: float


def median(usages: Iterable[Usage]) -> Usage:
    seconds, rates = zip(*usages, strict=True)
    return Usage(statistics.median(seconds), statistics.median(rates))
