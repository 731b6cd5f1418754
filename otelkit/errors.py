"""The exceptions of otelkit.

::

    OtelkitError
    ├── SpecError           an SLA file cannot be used; holds every Problem found
    ├── ConfigError         an argument, an environment variable or a collector setting is wrong
    ├── EventError          bytes that are not an order event
    ├── StoreError          the collector's store cannot be opened or written
    ├── UnavailableError    a server does not answer, or a port is taken
    ├── ToolError           a program such as promtool is missing or failed
    └── MissingExtraError   a part of otelkit is not installed

Every message is one sentence or more that says what is wrong, where, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LINE_WIDTH: Final = 120
"""Of a longer line, only this much is shown, up to the mistake or from the line's beginning."""


class OtelkitError(Exception):
    """Base of all errors that otelkit raises on purpose; ``str()`` is fit for a person."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file.

    ``line`` and ``column`` count from 1. ``path`` is where in the document it lies
    (``objectives[2].target``, empty for the document itself), ``source`` the text of the line.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    source: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        what = f"{self.path}: {self.message}" if self.path else self.message
        if not self.source.strip():
            return where + what
        begin = max(0, self.column - _LINE_WIDTH) if len(self.source) > _LINE_WIDTH else 0
        line = "".join(_shown(c) for c in self.source[begin : begin + _LINE_WIDTH])
        # Tabs stay tabs under the line, or the caret would stand in the wrong place.
        pad = "".join(c if c == "\t" else " " for c in line[: self.column - 1 - begin])
        return f"{where}{what}\n    {line}\n    {pad}^"


def _shown(character: str) -> str:
    """A character as a terminal can show it without being told to do something else."""
    return (
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}"
    )


class SpecError(OtelkitError):
    """An SLA file cannot be used. ``problems`` holds all of them, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class ConfigError(OtelkitError):
    """An argument, an environment variable or a setting of the collector is wrong."""


class EventError(OtelkitError):
    """Bytes that are not an order event."""


class StoreError(OtelkitError):
    """The collector's store cannot be opened or written."""


class UnavailableError(OtelkitError):
    """A server does not answer, refuses us, or a port is taken.

    ``retry_after`` is how many seconds it asks us to wait, 0 where it does not say.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ToolError(OtelkitError):
    """A program that otelkit calls is missing or failed."""


class MissingExtraError(OtelkitError):
    """A part of otelkit is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}; run: pip install 'otelkit[{extra}]'")
