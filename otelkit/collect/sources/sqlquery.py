"""What a table of somebody else is asked, and its rows as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from otelkit.collect.clocks.decode import EARLIEST
from otelkit.collect.sources.tables import WATERMARK, Database
from otelkit.errors import ConfigError, MissingExtraError, UnavailableError
from otelkit.rows import RowEvent

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause
    from sqlalchemy import Engine as Connections

_TIMEOUT: Final = 10
_DRIVER_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    # Seconds and milliseconds after which a server that is not there any more is given up.
    "psycopg": {"connect_timeout": _TIMEOUT, "tcp_user_timeout": 1000 * _TIMEOUT},
    "pymysql": {"connect_timeout": _TIMEOUT, "read_timeout": 6 * _TIMEOUT},
}


class Query:
    """Over one database. Making it connects to nothing.

    Raises :class:`ConfigError` for an address that cannot be used and :class:`MissingExtraError`.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connections, self._text = _prepared(database)

    def rows(self, watermark: float, now: float, batch: int) -> Iterator[Sequence[RowEvent]]:
        """The rows since the watermark, less the overlap, so many at a time.

        Raises :class:`UnavailableError` where the database is away, or refuses.
        """
        from sqlalchemy.exc import SQLAlchemyError

        table = self.database.table
        since = max(watermark - self.database.overlap.total_seconds(), EARLIEST)
        try:
            with self._connected() as connection:
                rows = connection.execution_options(yield_per=batch).execute(
                    self._text, {WATERMARK: bound(since, now, table.timezone)}
                )
                self._check(rows.keys())
                for page in rows.mappings().partitions(batch):
                    yield [table.event(dict(row)) for row in page]
        except SQLAlchemyError as error:
            raise UnavailableError(f"the database {_why(error)}; trying again") from error

    def _connected(self) -> Connection:
        try:
            return self._connections.connect()
        except TypeError as error:  # of a driver that takes no such parameter
            raise ConfigError(
                f"the address of the database cannot be used: {_first_line(error)}; correct url"
            ) from error

    def _check(self, columns: Iterable[str]) -> None:
        try:
            self.database.table.check(columns)
        except ConfigError as error:
            raise ConfigError(f"{error}; correct columns, or the query") from None


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
    except ValueError:  # which may cite a part of the password
        raise ConfigError(
            f"the address of the database {database.name!r} cannot be used: its port is no number; "
            "quote a password that holds signs such as @, : and / as in URLs, and [] around IPv6"
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


def _why(error: Exception) -> str:
    """What the server or its driver says, and whose fault that is."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    said = _first_line(getattr(error, "orig", None) or error)
    away = isinstance(error, OperationalError | InterfaceError)
    return f"{'is away' if away else 'refuses the query'} ({said})"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
