"""Waiting for something to come true, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

Pause = Callable[[float], object]
"""Sleeps so many seconds; raises where the wait shall end early."""


def until(
    probe: Callable[[], T | None],
    seconds: float,
    *,
    pause: Pause = time.sleep,
    interval: float = 0.1,
) -> T | None:
    """The first truthy answer of ``probe``, asked again and again, or None after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() >= deadline:
            return None
        pause(interval)
    return answer
