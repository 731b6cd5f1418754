"""A table of order statuses that somebody else keeps, and how a collector is told to read it."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import Connection, create_engine, text

CONFIG: Final = """
databases:
  erp:
    process: order
    query: >
      SELECT number, state, changed, revision, class, customer, work_order FROM jobs
      WHERE changed >= :watermark
    columns:
      order: number
      status: state
      time: changed
      version: revision
      tier: class
      partner: customer
      aliases: {mes: work_order}
    every: 1s
    overlap: 5m
"""
JOBS = """
CREATE TABLE jobs (
    number CHAR(20), state VARCHAR(40), changed %s, revision NUMERIC(10),
    class VARCHAR(200), customer VARCHAR(40), work_order VARCHAR(40)
)
"""
INSERT = text("INSERT INTO jobs VALUES (:number, :state, :changed, :revision, :class, NULL, :mes)")


class Jobs:
    """Somebody else's table."""

    def __init__(self, url: str, column: str, timezone: tzinfo | None = None) -> None:
        self.url = url
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        self._timezone = timezone
        self.engine = create_engine(url)
        with self.engine.begin() as connection:
            connection.execute(text(JOBS % column))

    def insert(
        self,
        number: str | None,
        state: str,
        after: float,
        revision: int | None = None,
        within: Connection | None = None,
        **given: str | None,
    ) -> None:
        """A job that has come to a state so many seconds after ``now``."""
        changed = self.now + timedelta(seconds=after)
        if self._timezone is not None:
            changed = changed.astimezone(self._timezone).replace(tzinfo=None)
        row = {"number": number, "state": state, "changed": changed, "revision": revision}
        row |= {"class": given.get("tier"), "mes": given.get("mes")}
        with nullcontext(within) if within is not None else self.engine.begin() as connection:
            connection.execute(INSERT, row)


def secrets(jobs: Jobs) -> dict[str, str]:
    """Environment variables, less their prefix: an address without its password, and that."""
    return {
        "database_erp_url": jobs.url.replace("shop:shop@", "shop@"),
        "database_erp_password": "shop",
    }
