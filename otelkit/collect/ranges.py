"""What a setting may be that has a least and a most; else a ``ValueError`` names both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from otelkit.spec import quantities as q


def duration(least: str, most: str) -> Callable[[str], timedelta]:
    """What converts a duration from ``least`` to ``most``."""

    def convert(text: str) -> timedelta:
        value = q.duration(text)
        if not q.duration(least) <= value <= q.duration(most):
            raise ValueError(f"{text} is out of range; write {least} to {most}")
        return value

    return convert


def duration_up_to(most: str) -> Callable[[str], timedelta]:
    """What converts a duration of at most so much."""

    def convert(text: str) -> timedelta:
        value = q.duration(text)
        if value > q.duration(most):
            raise ValueError(f"{text} is too long; write at most {most}")
        return value

    return convert


def number(least: int, most: int) -> Callable[[str], int]:
    """What converts a whole number from ``least`` to ``most``."""

    def convert(text: str) -> int:
        value = q.whole(text)
        if not least <= value <= most:
            raise ValueError(f"{text} is out of range; write {least} to {most}")
        return value

    return convert
