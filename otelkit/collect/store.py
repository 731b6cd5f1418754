"""What the engine asks of a store. One transaction a batch; what is committed survives anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from otelkit.collect.clock import State
from otelkit.collect.decode import Event
from otelkit.collect.tallies import Key, Tallies

Place = tuple[str, str, str]
"""Objective, stage and tier."""

Alarm = tuple[float, int]
"""An instant, and the number of the order that is at risk or overdue from then on."""

LAST_NUMBER: Final = 2**63 - 1
"""No order has it: an alarm of this number comes behind all others of its instant."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that are no order event, kept to be looked at."""

    source: str
    received: float
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One arrival in a dead-letter queue; the message itself stays where it is."""

    queue: str
    source_queue: str
    reason: str
    arrived: float


class Store(Protocol):
    """Orders, their timelines, alarms and tallies. Not for threads: the engine holds a lock."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at its end, or nothing of it where it raises."""

    def find(self, process: str, order_id: str) -> tuple[int, State] | None:
        """An order by its id, with its number."""

    def find_alias(self, alias: str) -> list[tuple[int, State]]:
        """Orders that another system knows by this name."""

    def get(self, number: int) -> State:
        """An order that exists by its number."""

    def put(self, number: int | None, old: State | None, new: State) -> int:
        """Write an order and its alarms; returns its number."""

    def append(self, previous: int, event: Event) -> int:
        """Add an event to a timeline that ends with entry ``previous``; returns the new entry."""

    def timeline(self, last: int) -> list[Event]:
        """The events of a timeline that ends with entry ``last``, as they arrived."""

    def due(self, after: float, until: float, enough: int) -> tuple[float, list[int]]:
        """Orders with an alarm in ``(after, until]``, and the instant up to which these are all.

        The instant is before ``until`` where more than ``enough`` are due.
        """

    def places(self, kind: str) -> list[Place]:
        """Where there are alarms of a kind at all."""

    def first_alarms(
        self, kind: str, place: Place, *, after: Alarm, until: float, limit: int
    ) -> list[Alarm]:
        """The first alarms of one place behind ``after`` and up to ``until``, in order."""

    def tallies(self) -> Tallies:
        """All counters and gauges."""

    def add(self, changes: Mapping[Key, float]) -> None:
        """Change counters and gauges by so much."""

    def read_number(self, name: str) -> float | None:
        """A number of the collector's own, such as the last tick."""

    def write_number(self, name: str, value: float) -> None: ...

    def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keep what is no event; the oldest give way."""

    def quarantined(self, limit: int) -> list[Rejected]:
        """The latest first."""

    def arrived(self, letters: Iterable[DeadLetter]) -> None:
        """Remember arrivals in dead-letter queues; the oldest give way."""

    def nth_latest_arrival(self, queue: str, n: int) -> float | None:
        """When the ``n``-th latest message arrived, counted from 1.

        The earliest that is remembered where there are fewer; None where there is none.
        """

    def close(self) -> None: ...
