"""Orders and events as bytes: what the SLA file bounds stands as a number of the dictionary.

An order of two clocks and two events so takes about a third of what its text would. The forms
are arrays, read by position: a new field goes to the end, with a new version of the schema. Orders
of version 2 have no policy, until they are written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from otelkit.collect.clock import Run, State
from otelkit.collect.decode import Event

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
_HEX_ID: Final = 32


class Words(dict[str, int]):
    """Words by number and numbers by word; one that is new is given the next number."""

    def __init__(self, known: Sequence[tuple[int, str]] = ()) -> None:
        super().__init__((word, number) for number, word in known)
        self.texts: dict[int, str] = dict(known)
        self.fresh: list[tuple[int, str]] = []
        """Not stored yet."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self.texts) + 1
        self.texts[number] = word
        self.fresh.append((number, word))
        return number


def pack(state: State, words: Words) -> bytes:
    """An order without its number."""
    return _encode(
        (
            words[state.process], state.order_id, words[state.status], words[state.stage],
            state.since, words[state.tier], state.partner, state.at, state.open, state.paused,
            [_pack_run(run, words) for run in state.runs],
            state.versions, state.aliases, state.seen, state.log, words[state.policy],
        )
    )  # fmt: skip


def _pack_run(run: Run, words: Words) -> Sequence[object]:
    return (
        words[run.objective], run.number, words[run.agreement], run.business, run.started,
        run.deadline, run.at_risk, run.left, run.risk, run.ended, words[run.outcome],
        words[run.counted],
    )  # fmt: skip


def unpack(packed: bytes, words: Words) -> State:
    """The order of :func:`pack`."""
    text = words.texts
    (
        process, order_id, status, stage, since, tier, partner, at, is_open, paused, runs,
        versions, aliases, seen, log, *policy,
    ) = _decode(packed)  # fmt: skip
    return State(
        text[process], order_id, text[status], text[stage], since, text[tier], partner, at,
        is_open, paused, tuple([_unpack_run(run, text) for run in runs]),
        versions, aliases, tuple(seen), log, text[policy[0]] if policy else "",
    )  # fmt: skip


def _unpack_run(run: Sequence[Any], text: Mapping[int, str]) -> Run:
    (
        objective, number, agreement, business, started, deadline, at_risk, left, risk, ended,
        outcome, counted,
    ) = run  # fmt: skip
    return Run(
        text[objective], number, text[agreement], business, started, deadline, at_risk, left,
        risk, ended, text[outcome], text[counted],
    )  # fmt: skip


def pack_events(events: Sequence[Event], words: Words) -> bytes:
    """Events of one order, without what its row says; when they came in to the millisecond."""
    return _encode([_pack_event(event, words) for event in events])


def _pack_event(event: Event, words: Words) -> Sequence[object]:
    tier = None if event.tier is None else words[event.tier]
    return (
        event.source, _short(event.id), event.at, words[event.status], tier, event.partner,
        event.version, event.aliases, _short(event.trace_id),
        round((event.received - event.at) * 1000),
    )  # fmt: skip


def unpack_events(packed: bytes, state: State, words: Words) -> list[Event]:
    """The events of :func:`pack_events`, which were those of this order."""
    text = words.texts
    return [
        Event(
            source, _long(name), state.order_id, at, state.process, text[status],
            None if tier is None else text[tier], partner, version, aliases, _long(trace_id),
            at + behind / 1000,
        )
        for source, name, at, status, tier, partner, version, aliases, trace_id, behind in (
            _decode(packed)
        )
    ]  # fmt: skip


def _short(text: str | None) -> str | bytes | None:
    """What UUIDs and trace ids are, in half the room."""
    if text is None or len(text) != _HEX_ID:
        return text
    try:
        short = bytes.fromhex(text)
    except ValueError:
        return text
    return short if short.hex() == text else text


def _long(short: Any) -> Any:
    return short.hex() if isinstance(short, bytes) else short
