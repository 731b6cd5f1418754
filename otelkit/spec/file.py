"""A whole SLA file: its top level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from otelkit.model import Links, Sla
from otelkit.spec import parts, source
from otelkit.spec import quantities as q
from otelkit.spec.calendars import calendars
from otelkit.spec.objectives import Parts, objectives
from otelkit.spec.reader import Reader, Table

T = TypeVar("T")
VERSION: Final = "1"
KEYS: Final = (
    "version", "system", "links", "labels", "owners", "calendars", "services", "processes",
    "queues", "objectives",
)  # fmt: skip


def load(path: Path) -> Sla:
    """The SLA file at ``path``."""
    return source.load(path, _sla)


def loads(text: str, file: str) -> Sla:
    """The SLA file with this text."""
    return source.loads(text, file, _sla)


def _sla(reader: Reader) -> Sla | None:
    fields = reader.fields(KEYS, ("version", "system", "objectives"))
    if "version" in fields:
        fields["version"].parse(_version)
    system = fields["system"].parse(q.identifier) if "system" in fields else None
    owners = parts.owners(fields.get("owners"))

    def table(key: str, read: Callable[[Reader], Table[T]]) -> Table[T]:
        return read(fields[key]) if key in fields else Table({}, ())

    known = Parts(
        owners,
        table("calendars", calendars),
        table("services", lambda at: parts.services(at, owners)),
        table("processes", lambda at: parts.processes(at, owners)),
        table("queues", lambda at: parts.queues(at, owners)),
    )
    found = objectives(fields["objectives"], known) if "objectives" in fields else ()
    links = parts.links(fields["links"]) if "links" in fields else Links()
    labels = parts.labels(fields["labels"]) if "labels" in fields else {}
    if system is None:
        return None
    return Sla(
        system, links, labels, known.owners, known.calendars, known.services, known.processes,
        known.queues, found,
    )  # fmt: skip


def _version(text: str) -> str:
    if text != VERSION:
        raise ValueError(f"version {text!r} is not known to this otelkit; write version: {VERSION}")
    return text
