"""How databases that the collector reads are configured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from otelkit.collect import ranges
from otelkit.errors import ConfigError
from otelkit.rows import Columns, Table
from otelkit.spec.reader import Reader

WATERMARK: Final = "watermark"
"""The parameter of a query: rows of that time and later are asked for."""
_TAKEN: Final = ("http", "rabbitmq", "store", "inbox", "leases", "clock")
"""Names of sources that are always there."""
_ENVIRONMENT: Final = "OTELKIT_COLLECTOR_DATABASE_"
_PARAMETER: Final = re.compile(rf"(?<![:\w]):{WATERMARK}\b")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9_]+)?://", re.ASCII)


@dataclass(frozen=True, slots=True)
class Database:
    """A query over a table that somebody else keeps, asked ``every`` so often.

    ``url`` is SQLAlchemy's; ``password``, where there is one, goes into it. A row may become
    visible ``overlap`` after the time that it bears, and is read all the same.
    """

    url: str
    query: str
    table: Table
    password: str | None = None
    every: timedelta = timedelta(seconds=10)
    overlap: timedelta = timedelta(minutes=5)

    @property
    def name(self) -> str:
        """The source's name in metrics and answers."""
        return self.table.source


def read(reader: Reader) -> tuple[Database, ...]:
    """``databases:`` of a configuration file: a mapping of names to what is read."""
    found = []
    for key, value in reader.entries():
        name = key.parse(_name)
        database = _database(name or "", value)
        if name is not None and database is not None:
            found.append(database)
    return tuple(found)


def with_secrets(
    databases: tuple[Database, ...], environ: Mapping[str, str]
) -> tuple[Database, ...]:
    """Addresses and passwords from the environment, where they are there."""
    return tuple(
        replace(
            database,
            url=environ.get(_variable(database, "URL")) or database.url,
            password=environ.get(_variable(database, "PASSWORD")),
        )
        for database in databases
    )


def check(databases: tuple[Database, ...]) -> None:
    """Raises :class:`ConfigError` for what only the environment could have given."""
    for database in databases:
        if not _SCHEME.match(database.url):
            raise ConfigError(
                f"the database {database.name!r} has no address such as "
                f"postgresql+psycopg://user@host/name; set url or {_variable(database, 'URL')}"
            )


def _variable(database: Database, what: str) -> str:
    return f"{_ENVIRONMENT}{database.name.upper()}_{what}"


def _database(name: str, reader: Reader) -> Database | None:
    keys = ("url", "query", "process", "columns", "timezone", "every", "overlap")
    given = reader.fields(keys, required=("query", "process", "columns"))
    if not given.keys() >= {"query", "process", "columns"}:
        return None
    read: dict[str, Any] = {
        key: given[key].parse(convert) for key, convert in _CONVERTERS.items() if key in given
    }
    columns = _columns(given["columns"])
    if None in read.values() or columns is None:
        return None
    table = Table(name, read.pop("process"), columns, read.pop("timezone", None))
    return Database(url=read.pop("url", ""), query=read.pop("query"), table=table, **read)


def _columns(reader: Reader) -> Columns | None:
    needed = ("order", "status", "time")
    given = reader.fields((field.name for field in fields(Columns)), required=needed)
    aliases = given.pop("aliases", None)
    read: dict[str, Any] = {key: value.text() for key, value in given.items()}
    if aliases is not None:
        read["aliases"] = {key.name: value.text() for key, value in aliases.entries()}
    if None in read.values() or None in read.get("aliases", {}).values():
        return None
    return Columns(**read) if given.keys() >= set(needed) else None


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", text) or text in _TAKEN:
        raise ValueError(
            f"{text!r} cannot name a database; write up to 40 of a-z, 0-9 and _, a letter first, "
            f"and none of {', '.join(_TAKEN)}"
        )
    return text


def _query(text: str) -> str:
    if not _PARAMETER.search(text):
        raise ValueError(
            f"the query does not ask for rows since :{WATERMARK}; "
            f"write such as WHERE changed_at >= :{WATERMARK}"
        )
    return text


def _timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{text!r} is no time zone; write such as UTC or Europe/Moscow") from None


_CONVERTERS: Final[Mapping[str, Callable[[str], object]]] = {
    "url": str,
    "query": _query,
    "process": str,
    "timezone": _timezone,
    "every": ranges.duration("1s", "1h"),
    "overlap": ranges.duration_up_to("7d"),
}
