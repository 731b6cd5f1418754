"""Order events from a table that somebody else keeps, which only has to be read.

Every so often the rows since the *watermark* are asked for: the newest time of a row that was read,
which is committed together with its events. Rows with the watermark's own time, and rows that
became visible late because their transaction took long, lie within the overlap, and are read
again; an event that was there before is known by its id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from otelkit.collect.clocks.decode import EARLIEST
from otelkit.collect.engine.batch import Received
from otelkit.collect.engine.engine import Engine
from otelkit.collect.sources import broker
from otelkit.collect.sources.conditions import Sources
from otelkit.collect.sources.tables import WATERMARK, Database
from otelkit.errors import ConfigError, MissingExtraError, UnavailableError
from otelkit.rows import RowEvent

if TYPE_CHECKING:
    from sqlalchemy import Engine as Connections
    from sqlalchemy import TextClause

_TIMEOUT: Final = 10
_KNOWN: Final = 10_000
"""Events that are remembered before old ones are forgotten amid a reading."""
_DRIVER_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    # Seconds and milliseconds after which a server that is not there any more is given up.
    "psycopg": {"connect_timeout": _TIMEOUT, "tcp_user_timeout": 1000 * _TIMEOUT},
    "pymysql": {"connect_timeout": _TIMEOUT, "read_timeout": 6 * _TIMEOUT},
}


class DatabaseSource:
    """Reads one table until ``stopping`` is set; tries again for as long.

    Raises :class:`ConfigError` for an address that cannot be used and :class:`MissingExtraError`.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        sources: Sources,
        stopping: threading.Event,
        *,
        batch: int,
    ) -> None:
        self._database = database
        self._name = database.name
        self._engine = engine
        self._sources = sources
        self._stopping = stopping
        self._batch = batch
        self._connections, self._query = _prepared(database)
        self._number = f"{WATERMARK}:{self._name}"
        self._watermark = engine.read_number(self._number) or EARLIEST
        self._known: dict[str, float] = {}
        """Events within the overlap that are committed, with their times."""
        self._enough = _KNOWN
        self._complete_until: float | None = None

    def horizon(self, now: float) -> float | None:
        """Up to when all events are known, in Unix seconds; None while that cannot be told."""
        return None if self._complete_until is None else min(self._complete_until, now)

    def run(self) -> None:
        """The body of a thread."""
        broker.keep_trying(self._follow, self._down, self._stopping)

    def _down(self, why: str) -> None:
        self._complete_until = None
        self._sources.down(self._name, why)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            began = time.time()
            self._read(began)
            self._complete_until = began
            self._sources.up(self._name)
            self._stopping.wait(self._database.every.total_seconds())

    def _read(self, now: float) -> None:
        newest = self._watermark
        for events, is_last in _telling_the_last(self._fresh(self._rows(now))):
            times = [event.at.timestamp() for event in events if event.at is not None]
            # A row from ahead of us would hide those that come in the meantime.
            newest = max([newest, *(min(at, now) for at in times)])
            # Rows come in any order, so that only the last of them says what all were.
            self._take(events, newest if is_last else None)
            if len(self._known) >= self._enough:
                self._forget(newest)
        self._watermark = newest
        self._forget(newest)

    def _rows(self, now: float) -> Iterator[Sequence[RowEvent]]:
        """The rows since the watermark, less the overlap, in batches."""
        from sqlalchemy.exc import SQLAlchemyError

        since = max(self._watermark - self._database.overlap.total_seconds(), EARLIEST)
        try:
            with self._connections.connect() as connection:
                rows = connection.execution_options(yield_per=self._batch).execute(
                    self._query, {WATERMARK: bound(since, now, self._database.table.timezone)}
                )
                self._check(rows.keys())
                for page in rows.mappings().partitions():
                    yield [self._event(dict(row)) for row in page]
        except SQLAlchemyError as error:
            raise UnavailableError(f"the database {_why(error)}; trying again") from error

    def _check(self, columns: Iterable[str]) -> None:
        try:
            self._database.table.check(columns)
        except ConfigError as error:
            raise ConfigError(f"{error}; correct columns, or the query") from None

    def _event(self, row: dict[str, object]) -> RowEvent:
        return self._database.table.event(row)

    def _fresh(self, pages: Iterable[Sequence[RowEvent]]) -> Iterator[list[RowEvent]]:
        for page in pages:
            fresh = [event for event in page if event.id not in self._known]
            if fresh:
                yield fresh

    def _take(self, events: Sequence[RowEvent], watermark: float | None) -> None:
        now = time.time()
        self._engine.apply(
            [Received(self._name, event.body, now) for event in events],
            {} if watermark is None else {self._number: watermark},
        )
        for event in events:
            self._known[event.id] = now if event.at is None else event.at.timestamp()

    def _forget(self, newest: float) -> None:
        """Events before the overlap, which are not read again."""
        before = newest - self._database.overlap.total_seconds()
        self._known = {key: at for key, at in self._known.items() if at >= before}
        self._enough = max(_KNOWN, 2 * len(self._known))


def _prepared(database: Database) -> tuple[Connections, TextClause]:
    try:
        import sqlalchemy
    except ImportError as error:
        raise MissingExtraError(f"reading the database {database.name!r}", "database") from error
    try:
        url = sqlalchemy.make_url(database.url)
        if database.password is not None:
            url = url.set(password=database.password)
        options = _DRIVER_OPTIONS.get(url.get_driver_name(), {})
        # A connection for each reading: none rests for so long that something cuts it.
        connections = sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, connect_args=options
        )
    except (sqlalchemy.exc.ArgumentError, ImportError) as error:
        raise ConfigError(
            f"the address of the database {database.name!r} cannot be used: {_first_line(error)}; "
            "install its driver, or name one that is there, such as postgresql+psycopg://"
        ) from None
    kind = sqlalchemy.DateTime(timezone=database.table.timezone is None)
    query = sqlalchemy.text(database.query)
    return connections, query.bindparams(sqlalchemy.bindparam(WATERMARK, type_=kind))


def bound(since: float, now: float, timezone: tzinfo | None) -> datetime:
    """The watermark as the column holds times: of its zone where the file says so, else aware.

    When clocks went back in between, times without a zone repeat themselves, and what was written
    since may bear an earlier one.
    """
    if timezone is None:
        return datetime.fromtimestamp(since, UTC)
    then = datetime.fromtimestamp(since, timezone)
    today = datetime.fromtimestamp(now, timezone)
    back = (then.utcoffset() or timedelta()) - (today.utcoffset() or timedelta())
    return then.replace(tzinfo=None) - max(back, timedelta())


def _telling_the_last(
    pages: Iterable[list[RowEvent]],
) -> Iterator[tuple[list[RowEvent], bool]]:
    before: list[RowEvent] | None = None
    for page in pages:
        if before is not None:
            yield before, False
        before = page
    if before is not None:
        yield before, True


def _why(error: Exception) -> str:
    """What the server or its driver says, and whose fault that is."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    said = _first_line(getattr(error, "orig", None) or error)
    away = isinstance(error, OperationalError | InterfaceError)
    return f"{'is away' if away else 'refuses the query'} ({said})"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
