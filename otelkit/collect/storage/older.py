"""What is in a store of an older version, read from its tables once they are renamed ``old_*``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.state import Run, State, mark_of, remember
from otelkit.collect.clocks.tallies import Tallies
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.store import Change

_CHUNK: Final = 1000
_decode: Final = msgspec.msgpack.Decoder().decode


class Older(Protocol):
    """A version of the schema."""

    copied: Sequence[str]
    """Tables that are as they were."""
    read: Sequence[str]
    """And those whose content is another."""

    def orders(self, db: Database) -> Iterator[list[Change]]:
        """All orders, each as a new one with the number that it had."""

    def tallies(self, db: Database) -> Tallies:
        """All counters and gauges."""


class Version1:
    """Words in full, names as text, and a row for each event."""

    copied: Sequence[str] = ("numbers", "quarantine", "letters")
    read: Sequence[str] = ("orders", "timeline", "tallies", "alarms", "aliases")

    def orders(self, db: Database) -> Iterator[list[Change]]:
        decode = msgspec.msgpack.Decoder(Event).decode

        def change(number: int, packed: bytes) -> Change:
            *form, _, log = _decode(packed)
            rows = _entries(db, "event", log)
            return _change(number, form, [decode(event) for event in rows], str)

        return _chunks(db, change)

    def tallies(self, db: Database) -> Tallies:
        rows = db.rows("SELECT key, value FROM old_tallies")
        return Tallies({tuple(json.loads(key)): value for key, value in rows})


class Version2:
    """Single words as numbers, and a row for each tally."""

    copied: Sequence[str] = ("numbers", "quarantine", "letters", "acks")
    read: Sequence[str] = ("words", "orders", "names", "timeline", "tallies", "alarms")

    def orders(self, db: Database) -> Iterator[list[Change]]:
        words: dict[int, str] = dict(db.rows("SELECT num, word FROM old_words"))

        def change(number: int, packed: bytes) -> Change:
            *form, _, log = _decode(packed)
            events = [
                _event_of_2(form, event, words)
                for entry in _entries(db, "events", log)
                for event in _decode(entry)
            ]
            return _change(number, form, events, words.__getitem__)

        return _chunks(db, change)

    def tallies(self, db: Database) -> Tallies:
        rows = db.rows("SELECT key, value FROM old_tallies")
        return Tallies({tuple(_decode(key)): value for key, value in rows})


OLDER: Final[Mapping[int, Older]] = {1: Version1(), 2: Version2()}


def _chunks(db: Database, change: Callable[[int, bytes], Change]) -> Iterator[list[Change]]:
    last = 0
    while rows := db.rows(
        f"SELECT num, state FROM old_orders WHERE num > ? ORDER BY num LIMIT {_CHUNK}",  # noqa: S608
        (last,),
    ):
        yield [change(number, packed) for number, packed in rows]
        last = rows[-1][0]


def _entries(db: Database, column: str, entry: int) -> list[bytes]:
    """Of a timeline, the first first."""
    found: list[bytes] = []
    while entry:
        ((entry, packed),) = db.rows(
            f"SELECT previous, {column} FROM old_timeline WHERE entry = ?",  # noqa: S608
            (entry,),
        )
        found.insert(0, packed)
    return found


def _change(
    number: int, form: Sequence[Any], events: list[Event], text: Callable[[Any], str]
) -> Change:
    (
        process, order_id, status, stage, since, tier, partner, at, is_open, paused, runs,
        versions, aliases,
    ) = form  # fmt: skip
    seen = b""
    for event in events:
        seen = remember(seen, mark_of(event))
    state = State(
        text(process), order_id, text(status), text(stage), since, text(tier), partner, at,
        is_open, paused, tuple(_run(run, text) for run in runs), versions, aliases,
    )  # fmt: skip
    return Change(number, None, state, events, seen)


def _run(form: Sequence[Any], text: Callable[[Any], str]) -> Run:
    (
        objective, number, agreement, business, started, deadline, at_risk, left, risk, ended,
        outcome, counted,
    ) = form  # fmt: skip
    return Run(
        text(objective), number, text(agreement), business, started, deadline, at_risk, left,
        risk, ended, text(outcome), text(counted),
    )  # fmt: skip


def _event_of_2(order: Sequence[Any], form: Sequence[Any], words: Mapping[int, str]) -> Event:
    source, name, at, status, tier, partner, version, aliases, trace_id, behind = form
    return Event(
        source, _long(name), order[1], at, words[order[0]], words[status],
        None if tier is None else words[tier], partner, version, aliases, _long(trace_id),
        at + behind / 1000,
    )  # fmt: skip


def _long(short: Any) -> Any:
    return short.hex() if isinstance(short, bytes) else short
