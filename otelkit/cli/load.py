"""``otelkit orders load``: the events of a file into a collector."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from otelkit.cli import records
from otelkit.cli.checkpoint import Checkpoint
from otelkit.cli.client import DEFAULT, Address, Token, tell
from otelkit.cli.output import FAILED, INTERRUPTED, Json, Stop, note, plural, print_json, progress
from otelkit.errors import ConfigError, UnavailableError
from otelkit.rows import Table

EXAMPLE: Final = (
    "Example: otelkit orders load orders.csv --columns order=number,time=changed --timezone UTC"
)
SOURCE: Final = "otelkit-load"
_BATCH: Final = 1000
_BATCH_BYTES: Final = 4 * 1024 * 1024
_PATIENCE: Final = 120.0
"""Seconds to wait for a collector that is busy."""
_SHOWN: Final = 20
"""Lines that are bad, of which so many are told one by one."""
_OUTCOMES: Final = ("applied", "late", "duplicate", "accepted")
_BAD: Final = "quarantined"


@dataclass(slots=True)
class _Load:
    """How far it has come: what became of events, and the lines that are none."""

    file: Path
    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, line: int, why: str) -> None:
        self.bad.append((line, why))
        if len(self.bad) <= _SHOWN:
            note(f"{self.file}:{line}: {why}")


def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, Parquet, or lines, as above.")],
    process: Annotated[str, typer.Option(metavar="NAME", help="The process of rows.")] = "order",
    columns: Annotated[
        str,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns that are called otherwise: order=number,alias.mes=job.",
        ),
    ] = "",
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="Of times in rows that name none, such as Europe/Moscow."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Who tells of rows; part of what makes one.")
    ] = SOURCE,
    collector: Address = DEFAULT,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Load the order events of a file into a collector.

    A .csv or .parquet file has columns order, status and time, and may have version, tier, partner
    and alias.SYSTEM. Any other file holds an event a line (CloudEvents JSON), or is the log of a
    service that could not spool its events. What was loaded before counts as a duplicate; a load
    that was interrupted goes on where it stopped. Exit 1 if a line is bad.
    """
    named, zone = _columns(columns), _zone(timezone)
    if file.is_dir():
        raise ConfigError(f"{file} is a folder; name a file in it")

    def guess(found: list[str]) -> Table:
        table = Table(source, process, records.guess_columns(found, named), zone)
        try:
            table.check(found)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}; name others with --columns") from None
        return table

    checkpoint = Checkpoint(file, collector)
    work = _Load(file)
    try:
        _all(records.read(file, guess), work, checkpoint, collector, token, quiet=as_json)
    except KeyboardInterrupt:
        note(f"stopped after {plural(work.done, 'record')}; run it again to go on from there")
        raise Stop(INTERRUPTED) from None
    _report(work, as_json=as_json)


def _all(
    found: Iterator[records.Record],
    work: _Load,
    checkpoint: Checkpoint,
    collector: str,
    token: str | None,
    *,
    quiet: bool,
) -> None:
    work.done, before = checkpoint.read()
    work.counts.update(before)
    if work.done:
        note(f"going on after {plural(work.done, 'record')} that are loaded")
    with progress(f"loading {work.file.name}", 1, quiet=quiet) as advance:
        shown = 0.0
        for batch in _batches(islice(found, work.done, None)):
            _send(batch, work, collector, token)
            checkpoint.write(work.done, dict(work.counts))
            advance(batch[-1].done - shown)
            shown = batch[-1].done
    checkpoint.remove()
    if work.done == work.counts["other"]:
        raise ConfigError(f"{work.file} holds no order event; otelkit schema --event shows one")


def _batches(found: Iterator[records.Record]) -> Iterator[list[records.Record]]:
    batch: list[records.Record] = []
    size = 0
    for record in found:
        batch.append(record)
        size += len(record.body) + 1
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _send(batch: list[records.Record], work: _Load, collector: str, token: str | None) -> None:
    events = [record for record in batch if record.body]
    answer = _posted([record.body for record in events], collector, token) if events else {}
    for problem in answer.pop("problems", ()):
        work.refuse(events[problem["index"]].line, problem["reason"])
    for record in batch:
        if record.problem:
            work.refuse(record.line, record.problem)
            work.counts[_BAD] += 1
        elif not record.body:
            work.counts["other"] += 1
    work.counts.update(answer)
    work.done += len(batch)


def _posted(bodies: list[bytes], collector: str, token: str | None) -> dict[str, Any]:
    """The collector's answer, once it has time for us."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        answer, wait = tell(collector, token, bodies)
        if wait is None:
            return answer
        if time.monotonic() + wait > give_up:
            raise UnavailableError(
                f"the collector at {collector} is busy; run it again later to go on from here"
            )
        time.sleep(wait)


def _report(work: _Load, *, as_json: bool) -> None:
    bad, other = work.counts[_BAD], work.counts["other"]
    if as_json:
        outcomes = (*_OUTCOMES, _BAD, "other")
        lines = [{"line": line, "reason": why} for line, why in work.bad]
        print_json({key: work.counts[key] for key in outcomes} | {"problems": lines})
    else:
        if len(work.bad) > _SHOWN:
            note(f"and {len(work.bad) - _SHOWN} more")
        # Several collectors tell their shards, and only those know what becomes of an event.
        keys = ("accepted",) if work.counts["accepted"] else _OUTCOMES[:-1]
        told = ", ".join(f"{work.counts[key]:,} {key}" for key in keys)
        rest = f"; {plural(bad, 'bad record')}" if bad else ""
        rest += f"; {plural(other, 'line')} without an event" if other else ""
        print(f"{work.file}: {told}{rest}")
    if bad:
        raise Stop(FAILED)


def _columns(text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, text.split(",")):
        key, equals, column = (part.strip() for part in pair.partition("="))
        known = ("order", "status", "time", *records.OPTIONAL)
        is_alias = key.startswith(records.ALIAS) and key != records.ALIAS
        if not equals or not column or (key not in known and not is_alias):
            raise typer.BadParameter(
                f"{pair!r} names no column; write such as order=number, for one of "
                f"{', '.join(known)}, {records.ALIAS}SYSTEM"
            )
        found[key] = column
    return found


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise typer.BadParameter(
            f"{name!r} is no time zone; write such as UTC or Europe/Moscow"
        ) from None
