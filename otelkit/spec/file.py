"""A whole SLA file: its top level, and the way from bytes to the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from otelkit.errors import Problem, SpecError
from otelkit.model import Links, Sla
from otelkit.spec import parts
from otelkit.spec import quantities as q
from otelkit.spec.calendars import calendars
from otelkit.spec.document import MAX_BYTES, DocumentError, parse
from otelkit.spec.objectives import Parts, objectives
from otelkit.spec.reader import Reader, Report, Table

T = TypeVar("T")
VERSION: Final = "1"
KEYS: Final = (
    "version", "system", "links", "labels", "owners", "calendars", "services", "processes",
    "queues", "objectives",
)  # fmt: skip


def load(path: Path) -> Sla:
    """The SLA file at ``path``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise _unusable(path, f"is larger than {MAX_BYTES} bytes; an SLA file is not")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unusable(path, "is not UTF-8 here; save it as UTF-8", line) from error
    return loads(text, str(path))


def loads(text: str, file: str) -> Sla:
    """The SLA file with this text."""
    report = Report(file, tuple(text.splitlines()))
    try:
        tree = parse(text)
    except DocumentError as error:
        report.add(error.mark, "", str(error))
        raise SpecError(tuple(report.problems)) from error
    sla = _sla(Reader(tree, "", report))
    if report.problems or sla is None:
        raise SpecError(tuple(sorted(report.problems, key=lambda p: (p.line, p.column))))
    return sla


def _unusable(path: Path, message: str, line: int = 1) -> SpecError:
    return SpecError((Problem(str(path), line, 1, "", message, ""),))


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
