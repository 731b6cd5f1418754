"""Order events in files: rows of CSV or Parquet, CloudEvents one a line, logs that hold some."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final

from otelkit.errors import ConfigError, MissingExtraError
from otelkit.rows import Columns, Table

MAX_LINE: Final = 1024 * 1024
"""Bytes; a line that is longer holds no event that a collector would take."""
OPTIONAL: Final = ("version", "tier", "partner")
ALIAS: Final = "alias."
"""Columns of this prefix hold the names that a system gives: ``alias.mes``."""
_ENVELOPE: Final = '{"specversion"'
"""How an event begins that a service has logged because it could not spool it."""
_PARQUET_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Record:
    """What stands at one place of a file.

    ``line`` counts from 1 (rows of a Parquet file from 1 too). ``done`` is how far that is into
    the file, as a part of its size. One of ``body`` and ``problem`` is empty; both are where the
    line is no event and need not be one.
    """

    line: int
    done: float
    body: bytes = b""
    problem: str = ""


Guess = Callable[[list[str]], Table]
"""From the columns that there are to the table that they make. Raises :class:`ConfigError`."""


def read(path: Path, guess: Guess) -> Iterator[Record]:
    """The records of a file, by the end of its name. Raises :class:`ConfigError`."""
    kinds = {".csv": _csv, ".parquet": _parquet}
    try:
        yield from kinds.get(path.suffix.lower(), _lines)(path, guess)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error


def guess_columns(found: list[str], named: dict[str, str]) -> Columns:
    """The columns ``named`` by the user, and those that bear the name of what they hold."""
    systems = {c.removeprefix(ALIAS): c for c in found if c.startswith(ALIAS)}
    systems |= {k.removeprefix(ALIAS): c for k, c in named.items() if k.startswith(ALIAS)}
    given: dict[str, Any] = {key: key for key in OPTIONAL if key in found}
    given |= {key: column for key, column in named.items() if not key.startswith(ALIAS)}
    return Columns(**given, aliases=systems)


# --- lines ---------------------------------------------------------------------------------


def _lines(path: Path, _guess: Guess) -> Iterator[Record]:
    size = max(path.stat().st_size, 1)
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
            done = file.tell() / size
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                _skip_line(file)
                yield Record(number, done, problem=f"longer than {MAX_LINE} bytes")
                continue
            body, problem = _event_in(line.decode("utf-8", "replace"))
            yield Record(number, done, body, problem)


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _event_in(line: str) -> tuple[bytes, str]:
    """The event of a line, and what is wrong with it; both empty where there is none."""
    if "specversion" not in line:
        return b"", ""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        # No JSON: text with an event at its end, or an event that was cut off.
        return _event_at_end(line) or (b"", f"no JSON: {error}")
    if isinstance(found, dict) and "specversion" in found:
        return line.strip().encode(), ""
    texts = found.values() if isinstance(found, dict) else ()
    logged = (_event_at_end(text) for text in texts if isinstance(text, str))
    return next(filter(None, logged), (b"", ""))


def _event_at_end(text: str) -> tuple[bytes, str] | None:
    begin = text.find(_ENVELOPE)
    if begin < 0:
        return None
    try:
        event, _ = json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError) as error:
        return b"", f"the event in it is cut off or changed: {error}"
    return json.dumps(event).encode(), ""


# --- tables --------------------------------------------------------------------------------


class _Rows:
    """Rows of a table as records. One that names no time zone after one that did is a bad line;
    where none does, the file is not understood.
    """

    def __init__(self, table: Table) -> None:
        self.columns = table.columns.names()
        self._table = table
        self._understood = False

    def record(self, line: int, done: float, row: Mapping[str, object]) -> Record:
        """Raises :class:`ConfigError` for a row without a time zone before any with one."""
        try:
            event = self._table.event(row)
        except ConfigError as error:
            if not self._understood:
                raise
            return Record(line, done, problem=str(error))
        self._understood = self._understood or event.at is not None
        return Record(line, done, event.body)


def _csv(path: Path, guess: Guess) -> Iterator[Record]:
    size = max(path.stat().st_size, 1)
    with (
        path.open("rb") as raw,
        TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="") as file,
    ):
        rows = csv.DictReader(iter(file.readline, ""))
        try:
            names = list(rows.fieldnames or ())
        except csv.Error as error:
            raise ConfigError(f"{path} has no columns that can be read: {error}") from error
        if len(names) == 1 and ";" in names[0]:
            raise ConfigError(f"{path} has semicolons between its columns; save it with commas")
        table = _Rows(guess(names))
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(rows.line_num, raw.tell() / size, problem=str(error))
                continue
            done = raw.tell() / size
            if None in row or None in row.values():
                columns = len(rows.fieldnames or ())
                yield Record(rows.line_num, done, problem=f"it has not {columns} columns")
                continue
            yield table.record(rows.line_num, done, row)


def _parquet(path: Path, guess: Guess) -> Iterator[Record]:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "parquet") from error
    try:
        with ParquetFile(path) as file:
            table = _Rows(guess(list(file.schema_arrow.names)))
            size = max(file.metadata.num_rows, 1)
            rows: Iterator[dict[str, Any]] = (
                row
                for page in file.iter_batches(_PARQUET_ROWS, columns=table.columns)
                for row in _in_microseconds(pa.Table.from_batches([page])).to_pylist()
            )
            for number, row in enumerate(rows, 1):
                yield table.record(number, number / size, row)
    except pa.ArrowException as error:
        raise ConfigError(f"{path} is no Parquet file that can be read: {error}") from error
    except OverflowError as error:
        raise ConfigError(f"{path} holds times beyond the year 9999; leave them out") from error


def _in_microseconds(table: Any) -> Any:
    """With its times as exact as Python has them: nanoseconds it refuses."""
    import pyarrow as pa

    exact = pa.schema(
        field.with_type(pa.timestamp("us", field.type.tz))
        if pa.types.is_timestamp(field.type)
        else field
        for field in table.schema
    )
    return table.cast(exact, safe=False)
