"""A whole SLA file: its top level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from otelkit.errors import Problem
from otelkit.model import Environment, Links, Objective, Sla
from otelkit.spec import parts, source
from otelkit.spec import quantities as q
from otelkit.spec.alerting import policies
from otelkit.spec.calendars import calendars
from otelkit.spec.draft import Parts
from otelkit.spec.environments import environments
from otelkit.spec.includes import alone, as_json, merged
from otelkit.spec.objectives import objectives
from otelkit.spec.reader import Reader, Table

T = TypeVar("T")
VERSION: Final = "1"
KEYS: Final = (
    "version", "system", "include", "environments", "links", "owners", "labels", "calendars",
    "services", "processes", "queues", "alerting", "release", "objectives",
)  # fmt: skip


def load(path: Path) -> Sla:
    """The SLA file at ``path``."""
    return check(path, None).sla


def loads(text: str, file: str) -> Sla:
    """The SLA file with this text."""
    return source.loads(text, file, lambda reader: _sla(alone(reader), None))


def whole(path: Path) -> str:
    """The SLA file at ``path`` and those it includes, as the text of one."""
    load(path)
    return source.load(path, as_json)


def check(path: Path, now: datetime | None) -> Checked:
    """The SLA file at ``path``, and what is doubtful about it at that time."""
    text = source.text_of(path)
    return Checked(*source.check(text, str(path), lambda reader: _sla(reader, now)))


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that can be used. ``warnings`` are in file order."""

    sla: Sla
    warnings: tuple[Problem, ...]


def _sla(reader: Reader, now: datetime | None) -> Sla | None:
    fields = merged(reader).fields(KEYS, ("version", "system", "objectives"))
    if "version" in fields:
        fields["version"].parse(_version)
    system = fields["system"].parse(q.identifier) if "system" in fields else None
    labels = parts.labels(fields["labels"]) if "labels" in fields else {}
    known = _parts(fields, labels, now)
    found: Table[Objective] = Table({}, ())
    if "objectives" in fields:
        found = objectives(fields["objectives"], known)
    links = parts.links(fields["links"]) if "links" in fields else Links()
    places: tuple[Environment, ...] = ()
    if "environments" in fields:
        places = environments(fields["environments"], found, known.policies)
    release = parts.release(fields["release"]) if "release" in fields else None
    if system is None:
        return None
    return Sla(
        system, links, labels, known.owners, known.calendars, known.services, known.processes,
        known.queues, tuple(found.values()), places, release,
    )  # fmt: skip


def _parts(fields: Mapping[str, Reader], labels: Mapping[str, str], now: datetime | None) -> Parts:
    owners = parts.owners(fields.get("owners"))

    def table(key: str, read: Callable[[Reader], Table[T]]) -> Table[T]:
        return read(fields[key]) if key in fields else Table({}, ())

    return Parts(
        owners,
        table("calendars", calendars),
        table("services", lambda at: parts.services(at, owners)),
        table("processes", lambda at: parts.processes(at, owners)),
        table("queues", lambda at: parts.queues(at, owners)),
        policies(fields.get("alerting")),
        labels,
        now,
    )


def _version(text: str) -> str:
    if text != VERSION:
        raise ValueError(f"version {text!r} is not known to this otelkit; write version: {VERSION}")
    return text
