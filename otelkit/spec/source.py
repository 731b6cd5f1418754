"""From bytes to what a file says: every YAML file of otelkit is read this way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from otelkit.errors import Problem, SpecError
from otelkit.spec.document import MAX_BYTES, DocumentError, Mark, Node, parse
from otelkit.spec.reader import Reader, Report

T = TypeVar("T")


def load(path: Path, read: Callable[[Reader], T | None]) -> T:
    """What ``read`` makes of the file. Raises :class:`SpecError` with every problem it tells."""
    return loads(text_of(path), str(path), read)


def loads(text: str, file: str, read: Callable[[Reader], T | None]) -> T:
    """What ``read`` makes of this text; ``file`` is the name to use in problems."""
    return check(text, file, read)[0]


def check(
    text: str, file: str, read: Callable[[Reader], T | None]
) -> tuple[T, tuple[Problem, ...]]:
    """The same, with the warnings."""
    report = Report(file, {file: ()})
    tree = tree_of(text, file, report)
    found = None if tree is None else read(Reader(tree, "", report))
    if report.problems or found is None:
        raise SpecError(report.in_order(report.problems))
    return found, report.in_order(report.warnings)


def tree_of(text: str, file: str, report: Report) -> Node | None:
    """The document of a text; None where it is none, which is told."""
    report.lines[file] = tuple(text.splitlines())
    try:
        return parse(text, file)
    except DocumentError as error:
        report.add(Mark(error.mark.line, error.mark.column, file), "", str(error))
        return None


def text_of(path: Path) -> str:
    """The text of a file. Raises :class:`SpecError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise _unusable(path, "is a folder; name a file in it") from error
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise _unusable(path, f"is larger than {MAX_BYTES} bytes; such a file is never needed")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unusable(path, "is not UTF-8 here; save it as UTF-8", line) from error


def _unusable(path: Path, message: str, line: int = 1) -> SpecError:
    return SpecError((Problem(str(path), line, 1, "", message, ""),))
