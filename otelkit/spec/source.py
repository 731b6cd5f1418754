"""From bytes to what a file says: every YAML file of otelkit is read this way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from otelkit.errors import Problem, SpecError
from otelkit.spec.document import MAX_BYTES, DocumentError, parse
from otelkit.spec.reader import Reader, Report

T = TypeVar("T")


def load(path: Path, read: Callable[[Reader], T | None]) -> T:
    """What ``read`` makes of the file. Raises :class:`SpecError` with every problem it tells."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise _unusable(path, f"is larger than {MAX_BYTES} bytes; such a file is never needed")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unusable(path, "is not UTF-8 here; save it as UTF-8", line) from error
    return loads(text, str(path), read)


def loads(text: str, file: str, read: Callable[[Reader], T | None]) -> T:
    """What ``read`` makes of this text; ``file`` is the name to use in problems."""
    report = Report(file, tuple(text.splitlines()))
    try:
        tree = parse(text)
    except DocumentError as error:
        report.add(error.mark, "", str(error))
        raise SpecError(tuple(report.problems)) from error
    found = read(Reader(tree, "", report))
    if report.problems or found is None:
        raise SpecError(tuple(sorted(report.problems, key=lambda p: (p.line, p.column))))
    return found


def _unusable(path: Path, message: str, line: int = 1) -> SpecError:
    return SpecError((Problem(str(path), line, 1, "", message, ""),))
