"""A service's own database, through whatever it talks to it with: just enough SQL for an outbox.

DB-API connections (sqlite3, psycopg, PyMySQL and their like, Django's ``connection`` among them),
and SQLAlchemy's connections and sessions. Statements run in the transaction that the connection is
in; errors are the driver's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from otelkit.errors import ConfigError

Dialect = Literal["sqlite", "postgresql", "mysql", "other"]
Row = tuple[Any, ...]

_DRIVERS: Final[dict[str, Dialect]] = {
    "sqlite3": "sqlite",
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "pg8000": "postgresql",
    "pymysql": "mysql",
    "MySQLdb": "mysql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
"""By the package that a connection's class comes from."""
_NAMES: Final[dict[str, Dialect]] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_MARKS: Final = {"qmark": "?", "format": "%s", "pyformat": "%s"}
_MYSQL_IN_TRANSACTION: Final = 1
"""SERVER_STATUS_IN_TRANS of the MySQL protocol."""


@dataclass(frozen=True, slots=True)
class Database:
    """One connection. Statements have ``?`` for each parameter, and no other question mark."""

    dialect: Dialect
    _connection: Any
    _mark: str
    _run: Callable[[str, Row], Any]

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query, none of anything else."""
        cursor = self._run(statement.replace("?", self._mark), tuple(parameters))
        try:
            rows = statement.lstrip().startswith("SELECT")
            return [tuple(row) for row in cursor.fetchall()] if rows else []
        finally:
            cursor.close()

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


def database(connection: Any) -> Database:
    """The database behind a connection. Raises ConfigError for what is no such thing."""
    if _root(connection) == "sqlalchemy" and not hasattr(connection, "driver_connection"):
        return _of_sqlalchemy(connection)
    driver = getattr(connection, "driver_connection", None) or connection
    if not callable(getattr(driver, "cursor", None)):
        raise ConfigError(
            f"{_name(connection)} is no database connection; pass one of a DB-API driver, or a "
            "connection or session of SQLAlchemy"
        )
    vendor = getattr(driver, "vendor", None)  # Django's wrapper takes %s for every database
    if isinstance(vendor, str):
        dialect, mark = _NAMES.get(vendor, "other"), "%s"
    else:
        dialect, mark = _DRIVERS.get(_root(driver), "other"), _mark(driver)
    if _commits_itself(driver, dialect):
        raise ConfigError(
            f"{_name(connection)} is in autocommit mode and in no transaction, so that an event "
            "would not stand or fall with your change; begin a transaction first"
        )

    def run(statement: str, parameters: Row) -> Any:
        cursor = driver.cursor()
        cursor.execute(statement, parameters)
        return cursor

    return Database(dialect, driver, mark, run)


def _of_sqlalchemy(given: Any) -> Database:
    if hasattr(given, "run_sync"):
        raise ConfigError(
            f"{_name(given)} is asynchronous; pass the connection or session that its run_sync "
            "gives to a function"
        )

    def connection() -> Any:
        # A session has a connection for as long as its transaction lasts.
        return given.connection() if hasattr(given, "get_bind") else given

    if not hasattr(connection(), "exec_driver_sql"):
        raise ConfigError(f"{_name(given)} is no connection; pass one of it, or a session")
    if connection().get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        raise ConfigError(
            f"{_name(given)} is in autocommit mode, so that an event would not stand or fall with "
            "your change; use one that is not"
        )
    dialect = connection().dialect
    return Database(
        _NAMES.get(dialect.name, "other"),
        given,
        _MARKS.get(dialect.paramstyle, "%s"),
        lambda statement, parameters: connection().exec_driver_sql(statement, parameters),
    )


def _root(connection: Any) -> str:
    return type(connection).__module__.partition(".")[0]


def _name(connection: Any) -> str:
    return f"{type(connection).__module__}.{type(connection).__qualname__}"


def _mark(driver: Any) -> str:
    return _MARKS.get(getattr(sys.modules.get(_root(driver)), "paramstyle", ""), "%s")


def _commits_itself(driver: Any, dialect: Dialect) -> bool:
    """Whether a statement would be committed at once, as far as one can tell from here."""
    if hasattr(driver, "in_atomic_block"):  # Django's
        return bool(driver.get_autocommit()) and not driver.in_atomic_block
    if dialect == "sqlite" and hasattr(driver, "in_transaction"):
        alone = driver.isolation_level is None or getattr(driver, "autocommit", -1) is True
        return alone and not driver.in_transaction
    if dialect == "postgresql" and hasattr(driver, "info"):
        return bool(driver.autocommit) and not int(driver.info.transaction_status)
    if dialect == "mysql" and hasattr(driver, "server_status"):
        return bool(driver.get_autocommit()) and not driver.server_status & _MYSQL_IN_TRANSACTION
    return False
