"""Rows of tables that others keep, in a database or a file, as order events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from hashlib import blake2b
from typing import Final

from otelkit.errors import ConfigError
from otelkit.events import ORDER_MOVED

_WHOLE: Final = re.compile(r"(-?\d{1,19})(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; ``aliases`` by the system that calls the order so."""

    order: str = "order"
    status: str = "status"
    time: str = "time"
    version: str | None = None
    tier: str | None = None
    partner: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every column that a row has to have."""
        single = (self.order, self.status, self.time, self.version, self.tier, self.partner)
        return [*filter(None, single), *self.aliases.values()]


@dataclass(frozen=True, slots=True)
class RowEvent:
    """``at`` is None where the row says no time; ``body`` is then no event that can be read."""

    id: str
    at: datetime | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that each say that an order of ``process`` reached a status.

    ``timezone`` is that of times which name none; without it such times are a
    :class:`ConfigError`, because a guess would shift every deadline.
    """

    source: str
    process: str
    columns: Columns
    timezone: tzinfo | None = None

    def check(self, found: Iterable[str]) -> None:
        """Raises :class:`ConfigError` where a column is missing."""
        has = list(found)
        for name in self.columns.names():
            if name not in has:
                raise ConfigError(f"there is no column {name!r}; there are {', '.join(has)}")

    def event(self, row: Mapping[str, object]) -> RowEvent:
        """The event that a row stands for.

        The same order, status and version (or time, where there is no version) make the same
        event, so that a row may be read again. What cannot be right is left as it is for the
        collector to refuse.
        """
        columns = self.columns
        row = {name: _plain(row[name]) for name in columns.names()}
        order, status = _text(row[columns.order]), _text(row[columns.status])
        at = self._instant(row[columns.time])
        time = str(row[columns.time]) if at is None else at.isoformat()
        version = None if columns.version is None else _number(row[columns.version])
        optional = {
            "tier": columns.tier and _text(row[columns.tier]),
            "partner": columns.partner and _text(row[columns.partner]),
            "version": version,
            "aliases": {
                system: name
                for system, column in columns.aliases.items()
                if (name := _text(row[column]))
            },
        }
        told = "\0".join((order, status, time if version is None else str(version)))
        event = {
            "specversion": "1.0",
            "type": ORDER_MOVED,
            "source": self.source,
            "id": blake2b(told.encode("utf-8", "replace"), digest_size=16).hexdigest(),
            "subject": order,
            "time": time,
            "data": {"process": self.process, "status": status}
            | {key: value for key, value in optional.items() if value not in (None, "", {})},
        }
        return RowEvent(str(event["id"]), at, json.dumps(event).encode())

    def _instant(self, value: object) -> datetime | None:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                return None
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - see below
        if not isinstance(value, datetime):
            return None
        if value.tzinfo is None:
            if self.timezone is None:
                raise ConfigError(
                    f"the times in column {self.columns.time!r} name no time zone; "
                    "say which they are in with timezone"
                )
            value = value.replace(tzinfo=self.timezone)
        try:
            return value.astimezone(UTC)
        except OverflowError:
            return None


def _plain(value: object) -> object:
    """Text also where the column says that it holds bytes, as VARBINARY and files of others do."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _text(value: object) -> str:
    """As an event holds it; columns of a fixed width are padded."""
    return "" if value is None else str(value).strip()


def _number(value: object) -> object:
    """A whole number where it is one, also as files and decimal columns write it."""
    if value is None or isinstance(value, int):
        return value
    text = f"{value:f}" if isinstance(value, Decimal | float) else str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return text if whole is None else int(whole[1])
