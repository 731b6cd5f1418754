"""Events that a collector reads once for all shards, and how far each shard knows them.

Whoever holds a certain shard reads; its store keeps the watermark, which is fenced like all that is
written there. Events go to the queues of their shards, and behind them, into every queue, word up
to when they are complete: a shard that has read so far has had them all, whoever sent them, and
however long that took. Only then does it judge deadlines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from otelkit.collect.engine.engine import Engine
from otelkit.collect.sources.exchange import Outlet

_COMPLETE: Final = "complete"


class Relay:
    """The shards as a :class:`~otelkit.collect.sources.sqlsource.Sink`.

    ``engine`` is that of the shard whose holder reads.
    """

    def __init__(self, engine: Engine, outlet: Outlet) -> None:
        self._engine = engine
        self._outlet = outlet
        self.read_number = engine.read_number

    def take(self, source: str, bodies: Sequence[bytes], numbers: Mapping[str, float]) -> None:
        self._outlet.send(bodies, source)
        if numbers:
            self._engine.apply([], numbers)

    def complete(self, source: str, until: float) -> None:
        self._outlet.complete(source, until)

    def close(self) -> None:
        self._outlet.close()


class Relayed:
    """Up to when the events of sources have come to a shard that others read for it."""

    def __init__(self, engine: Engine, sources: Iterable[str]) -> None:
        self._until = {name: engine.read_number(_number(name)) for name in sources}

    def numbers(self, told: Mapping[str, float]) -> dict[str, float]:
        """What to keep of what was told, together with the events before it."""
        return {_number(name): until for name, until in told.items() if name in self._until}

    def kept(self, told: Mapping[str, float]) -> None:
        """That has been committed. The last word holds, also one that takes an earlier one back."""
        self._until.update({name: at for name, at in told.items() if name in self._until})

    def horizon(self) -> float | None:
        """None while that of some source is not known."""
        known = [until for until in self._until.values() if until is not None]
        return min(known, default=float("inf")) if len(known) == len(self._until) else None


def _number(source: str) -> str:
    return f"{_COMPLETE}:{source}"
