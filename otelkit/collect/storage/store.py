"""Orders, their timelines and alarms. What is committed survives anything.

An order is one compact row with its clocks inside; its timeline is an append-only log whose entries
point back; it is found by hashes of its names, and alarms are an index by instant. A batch is read
at once and written in the order of the keys, so that it touches few pages, and a tick reads what is
due and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.standing import alarms
from otelkit.collect.clocks.state import State
from otelkit.collect.clocks.tallies import Key, Minutes, Tallies
from otelkit.collect.storage.alarms import AlarmIndex
from otelkit.collect.storage.database import Database
from otelkit.collect.storage.packing import pack, pack_events, processes, unpack, unpack_events
from otelkit.collect.storage.recent import OrderKey, Recent
from otelkit.collect.storage.tallylog import TallyLog
from otelkit.collect.storage.words import Word, Words

_NONE: Final[Minutes] = Minutes()


class Change(msgspec.Struct, frozen=True, gc=False):
    """An order before and after a batch, and the events that it had in it.

    ``old`` is None for a new one, and so is ``number`` where it is given the next. ``seen`` are
    the order's marks, those of the events among them.
    """

    number: int | None
    old: State | None
    new: State
    events: Sequence[Event] = ()
    seen: bytes = b""


class Store(AlarmIndex):
    """What the engine keeps, in a database. Not for threads: the engine holds a lock.

    Every method raises :class:`~otelkit.errors.StoreError` if the database refuses.
    """

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._recall()

    def _recall(self) -> None:
        """What is known of the database without asking."""
        self._words = Words(self._db.rows("SELECT num, word FROM words"))
        self._tally_log = TallyLog(self._db, self._words)
        self._last_order = self.last("orders", "num")
        self._last_entry = self.last("timeline", "entry")
        self._recent = Recent()
        self._recalled = True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at its end, or nothing of it where it raises."""
        if not self._recalled:
            self._recall()
        try:
            with self._db.transaction():
                yield
                self.keep_words()
        except BaseException:
            self._recalled = False  # numbers were given that nobody has now
            self._recent.clear()
            raise

    def keep_words(self) -> None:
        """Write the words that are new; the end of a transaction does."""
        if self._words.fresh:
            self._db.load("words", self._words.fresh)
            self._words.fresh = []

    def counts(self) -> tuple[Tallies, Minutes]:
        """All counters and gauges, those by minute apart."""
        return self._tally_log.read()

    def tallies(self) -> Tallies:
        """All counters and gauges."""
        tallies, minutes = self.counts()
        tallies.update(minutes.flat())
        return tallies

    def add(
        self, changes: Mapping[Key, float], minutes: Mapping[Key, Mapping[int, float]] = _NONE
    ) -> None:
        """Change counters and gauges by so much."""
        self._tally_log.append(changes, minutes)

    # --- orders ----------------------------------------------------------------------------

    def find(self, keys: Iterable[OrderKey]) -> dict[OrderKey, tuple[int, State]]:
        """Orders by their ids, with their numbers; those that there are."""
        found, unknown = self._recent.split(keys)
        if unknown:
            for number, state in self._named([_hash(*key) for key in unknown]):
                found[state.process, state.order_id] = (number, state)
        return found

    def find_id(self, order_id: str) -> list[tuple[int, State]]:
        """Orders of this id, in each process that there ever was."""
        keys = [(process, order_id) for process in sorted(processes(self._words))]
        found = self.find(keys)
        return [found[key] for key in keys if key in found]

    def find_alias(self, alias: str) -> list[tuple[int, State]]:
        """Orders that another system knows by this name."""
        found = self._named([_hash("", alias)])
        return [(number, state) for number, state in found if alias in state.aliases.values()]

    def _named(self, hashes: Collection[int]) -> Iterator[tuple[int, State]]:
        rows = self._db.among(
            "SELECT num, state FROM names JOIN orders USING (num) WHERE hash IN (?)", hashes
        )
        for number, packed in rows:
            yield number, unpack(packed, self._words)

    def get(self, numbers: Iterable[int]) -> dict[int, State]:
        """Orders by number; those that there are."""
        rows = self._db.among("SELECT num, state FROM orders WHERE num IN (?)", numbers)
        return {number: unpack(packed, self._words) for number, packed in rows}

    def following(self, number: int, limit: int) -> dict[int, State]:
        """The next orders behind a number."""
        rows = self._db.rows(
            "SELECT num, state FROM orders WHERE num > ? ORDER BY num LIMIT ?", (number, limit)
        )
        return {number: unpack(packed, self._words) for number, packed in rows}

    def put(self, changes: Iterable[Change]) -> None:
        """Write orders, their alarms, and the events that their timelines go on with."""
        work = _Writing()
        for change in changes:
            self._put(change, work)
        self._write(work)
        self._recent.shrink()

    def _put(self, change: Change, work: _Writing) -> None:
        number, old, new, words = change.number, change.old, change.new, self._words
        if change.events:
            entry = self._last_entry = self._last_entry + 1
            previous = 0 if old is None else old.log
            work.entries.append((entry, previous, pack_events(change.events, words)))
            new = replace(new, log=entry, seen=change.seen)
        if number is None:
            number = self._last_order + 1
        if old is None:
            self._last_order = max(self._last_order, number)
            work.new.append((number, pack(new, words)))
            work.names.append((_hash(new.process, new.order_id), number))
        else:
            work.changed.append((number, pack(new, words)))
        self._recent[new.process, new.order_id] = (number, new)
        was, will = alarms(old), alarms(new)
        if was != will:
            before, after = self._rows(was, number), self._rows(will, number)
            work.gone += [alarm for alarm in before if alarm not in after]
            work.come += [alarm for alarm in after if alarm not in before]
        if new.aliases:
            known = () if old is None else old.aliases.values()
            named = {
                (_hash("", alias), number) for alias in new.aliases.values() if alias not in known
            }
            work.names += named
            work.renamed += named

    def _rows(
        self, found: Iterable[tuple[Word, float]], number: int
    ) -> list[tuple[int, float, int]]:
        words = self._words
        # Two runs of a clock may share an alarm.
        rows = [(words[place], instant, number) for place, instant in found]
        return rows if len(rows) < 2 else list(dict.fromkeys(rows))

    def _write(self, work: _Writing) -> None:
        self._db.load("orders", work.new)
        self._db.update("orders", ("num",), "state", sorted(work.changed))
        # An order may be called again as it was before it had another name, and so may one that
        # was given the number of an order that is deleted.
        self._db.delete("names", ("hash", "num"), sorted(work.renamed))
        self._db.load("names", sorted(work.names))
        self._db.load("timeline", work.entries)
        self._db.delete("alarms", ("place", "instant", "num"), sorted(work.gone))
        self._db.load("alarms", sorted(work.come))

    def latest(self, states: Iterable[State]) -> dict[int, Event]:
        """Of each order the event that came last, by the last entry of its timeline."""
        orders = {state.log: state for state in states}
        rows = self._db.among("SELECT entry, events FROM timeline WHERE entry IN (?)", orders)
        return {
            entry: unpack_events(packed, orders[entry], self._words)[-1] for entry, packed in rows
        }

    def timeline(self, state: State) -> list[Event]:
        """The events of an order, as they arrived."""
        entries = [events for _, events in self._entries(state)]
        return [event for events in reversed(entries) for event in events]

    def timelines(self, states: Iterable[State]) -> list[list[Event]]:
        """The same for each of many orders, read a layer of entries at a time."""
        found: list[tuple[State, list[Event]]] = [(state, []) for state in states]
        layer = {state.log: (state, events) for state, events in found if state.log}
        while layer:
            below = {}
            for entry, previous, packed in self._db.among(
                "SELECT entry, previous, events FROM timeline WHERE entry IN (?)", layer
            ):
                state, events = layer[entry]
                events[:0] = unpack_events(packed, state, self._words)
                if previous:
                    below[previous] = (state, events)
            layer = below
        return [events for _, events in found]

    def _entries(self, state: State) -> Iterator[tuple[int, list[Event]]]:
        """The latest first: its number and its events."""
        entry = state.log
        while entry:
            rows = self._db.rows("SELECT previous, events FROM timeline WHERE entry = ?", (entry,))
            ((previous, packed),) = rows
            yield entry, unpack_events(packed, state, self._words)
            entry = previous

    # --- what has to go --------------------------------------------------------------------

    def archive(self, numbers: Iterable[int]) -> None:
        """Delete the timelines of orders."""
        changes = []
        for number, state in self.get(numbers).items():
            self._delete("timeline", "entry", [entry for entry, _ in self._entries(state)])
            changes.append(Change(number, state, replace(state, log=0)))
        self.put(changes)

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete orders, whatever is kept of them; what they counted in stays."""
        for number, state in self.get(numbers).items():
            self._delete("timeline", "entry", [entry for entry, _ in self._entries(state)])
            self._delete("orders", "num", [number])
            self._recent.pop((state.process, state.order_id), None)
            hashes = [_hash(state.process, state.order_id)]
            hashes += [_hash("", alias) for alias in state.aliases.values()]
            named = [(name, number) for name in hashes]
            self._db.delete("names", ("hash", "num"), named)
            rows = self._rows(alarms(state), number)
            self._db.delete("alarms", ("place", "instant", "num"), rows)
            self.acknowledge([number], ())

    def erase(self, number: int, state: State) -> None:
        """Delete what is personal of an order: its partner, other names, and rejected bodies."""
        for entry, events in self._entries(state):
            bare = [replace(event, partner=None, aliases={}) for event in events]
            packed = pack_events(bare, self._words)
            self._db.run("UPDATE timeline SET events = ? WHERE entry = ?", (packed, entry))
        aliases = [(_hash("", alias), number) for alias in state.aliases.values()]
        self._db.delete("names", ("hash", "num"), aliases)
        self.put([Change(number, state, replace(state, partner=None, aliases={}))])
        self.forget_rejected(state.order_id)

    def _delete(self, table: str, key: str, keys: Sequence[int]) -> None:
        self._db.delete(table, (key,), [(one,) for one in keys])

    def close(self) -> None:
        """Let the database go."""
        self._db.close()


class _Writing:
    """Rows to write, by what is done with them."""

    __slots__ = ("changed", "come", "entries", "gone", "names", "new", "renamed")

    def __init__(self) -> None:
        self.new: list[tuple[int, bytes]] = []
        self.changed: list[tuple[int, bytes]] = []
        self.names: list[tuple[int, int]] = []
        self.renamed: list[tuple[int, int]] = []
        self.entries: list[tuple[int, int, bytes]] = []
        self.gone: list[tuple[int, float, int]] = []
        self.come: list[tuple[int, float, int]] = []


def _hash(process: str, name: str) -> int:
    """63 bits and a sign. Two names may share it, so an order that is found is asked for its own.

    An alias has no process.
    """
    digest = blake2b(f"{process}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
