"""Orders and events as bytes: what the SLA file bounds stands as a number of the dictionary.

An order of two clocks and two events so takes about a quarter of what its text would. The forms
are arrays, read by position: what most orders have comes first, and what is absent at the end is
left out. A new field needs a new version of the schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.state import Run, State
from otelkit.collect.storage.words import Words

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
_HEX_ID: Final = 32
_OPEN: Final = "open"
_PAUSED: Final = "paused"
_ENDED: Final = "ended"
_BUSINESS: Final = "business"
_HEAD: Final = 6
"""So many texts go together in the word that an order begins with, and in no other."""


def pack(state: State, words: Words) -> bytes:
    """An order without its number."""
    at, since = state.at, state.since
    standing = _PAUSED if state.paused else _OPEN if state.open else _ENDED
    head = words[state.process, state.status, state.stage, state.tier, standing, state.policy]
    runs = [_pack_run(run, since, words) for run in state.runs]
    first = (head, state.order_id, at, None if since == at else since, runs, state.seen, state.log)
    if state.partner is None and not state.versions and not state.aliases:
        return _encode(first)
    return _encode((*first, state.partner, state.versions, state.aliases))


def processes(words: Words) -> set[str]:
    """Those of all orders that ever were packed."""
    return {word[0] for word in words.texts.values() if len(word) == _HEAD}


def _pack_run(run: Run, since: float, words: Words) -> Sequence[object]:
    unit = _BUSINESS if run.business else ""
    kind = words[run.objective, run.agreement, unit, run.outcome, run.counted]
    started = None if run.started == since else run.started
    if run.ended is None and run.left is None:
        if run.risk is None and run.at_risk is None:
            return kind, run.number, started, run.deadline
        return kind, run.number, started, run.deadline, run.at_risk, run.risk
    return kind, run.number, started, run.deadline, run.at_risk, run.risk, run.left, run.ended


def unpack(packed: bytes, words: Words) -> State:
    """The order of :func:`pack`."""
    head, order_id, at, since, runs, seen, log, *more = _decode(packed)
    process, status, stage, tier, standing, policy = words.texts[head]
    partner, versions, aliases = more or (None, {}, {})
    if since is None:
        since = at
    return State(
        process, order_id, status, stage, since, tier, partner, at, standing != _ENDED,
        standing == _PAUSED, tuple([_unpack_run(since, words, *run) for run in runs]),
        versions, aliases, seen, log, policy,
    )  # fmt: skip


def _unpack_run(
    since: float,
    words: Words,
    kind: int,
    number: int,
    started: float | None,
    deadline: float | None,
    at_risk: float | None = None,
    risk: float | None = None,
    left: float | None = None,
    ended: float | None = None,
) -> Run:
    objective, agreement, unit, outcome, counted = words.texts[kind]
    return Run(
        objective, number, agreement, unit == _BUSINESS, since if started is None else started,
        deadline, at_risk, left, risk, ended, outcome, counted,
    )  # fmt: skip


def pack_events(events: Iterable[Event], words: Words) -> bytes:
    """Events of one order, without what its row says; when they came in to the millisecond."""
    return _encode([_pack_event(event, words) for event in events])


def _pack_event(event: Event, words: Words) -> Sequence[object]:
    first = (
        words[event.status, event.tier or ""], event.source, _short(event.id), event.at,
        None if event.trace_id is None else bytes.fromhex(event.trace_id),
        round((event.received - event.at) * 1000),
    )  # fmt: skip
    if event.partner is None and event.version is None and not event.aliases:
        return first
    return (*first, event.partner, event.version, event.aliases)


def unpack_events(packed: bytes, state: State, words: Words) -> list[Event]:
    """The events of :func:`pack_events`, which were those of this order."""
    found = []
    for kind, source, name, at, trace_id, behind, *more in _decode(packed):
        status, tier = words.texts[kind]
        partner, version, aliases = more or (None, None, {})
        found.append(
            Event(
                source, _long(name), state.order_id, at, state.process, status, tier or None,
                partner, version, aliases, None if trace_id is None else trace_id.hex(),
                at + behind / 1000,
            )
        )  # fmt: skip
    return found


def _short(text: str) -> str | bytes:
    """What UUIDs are, in half the room."""
    if len(text) != _HEX_ID:
        return text
    try:
        short = bytes.fromhex(text)
    except ValueError:
        return text
    return short if short.hex() == text else text


def _long(short: Any) -> Any:
    return short.hex() if isinstance(short, bytes) else short
