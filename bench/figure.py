"""A figure: what was measured, beside what, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` is a ratio to the peer, or an amount in ``unit``; ``limit`` is the most it may be.

    ``measured`` says in words what the value was made of. What is measured with several numbers of
    open orders bears that number, the store and the name of its curve.
    """

    what: str
    beside: str
    value: float
    limit: float
    measured: str
    unit: str = "x"
    curve: str = ""
    store: str = ""
    size: int = 0

    @property
    def holds(self) -> bool:
        return self.value <= self.limit
