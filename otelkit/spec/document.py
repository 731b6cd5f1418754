"""YAML as a tree of located text: no types are guessed, ``NO`` is Norway and ``10:00`` a time.

Anchors and aliases are refused, and so is nesting that no SLA file has: what is left cannot grow
beyond the text it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 30
"""Levels of nesting; a whole SLA file needs six."""
MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    line: int
    column: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Scalar:
    mark: Mark
    text: str
    plain: bool
    """Not quoted: an empty plain scalar is a value left out."""


@dataclass(frozen=True, slots=True)
class Sequence:
    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    mark: Mark
    pairs: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping


class DocumentError(Exception):
    """The text is no YAML document that can be used; says where and what to do."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark


def parse(text: str, file: str = "") -> Node:
    """The one document of a YAML text; its marks bear ``file``. Raises :class:`DocumentError`."""
    try:
        return _Tree(text, file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _mark(mark) if mark is not None else Mark(1, 1)
        line = "".join(text.splitlines()[place.line - 1 : place.line])
        tab = line.lstrip(" ").startswith("\t")
        what = "a tab begins the line; indent with spaces" if tab else error.problem
        raise DocumentError(place, f"this is not YAML: {what or error.context}") from error
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")
        raise DocumentError(_end(before), "this character is no text; remove it") from error
    except UnicodeEncodeError as error:
        raise DocumentError(
            _end(text[: error.start]), "this character is no text; remove it"
        ) from error


class _Tree:
    """The parser's events as nodes."""

    def __init__(self, text: str, file: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._file = file

    def document(self) -> Node:
        for event in self._events:
            if isinstance(event, yaml.StreamEndEvent):
                raise DocumentError(
                    Mark(1, 1), "the file is empty; `otelkit init` writes one to start from"
                )
            if isinstance(event, yaml.DocumentStartEvent):
                break
        node = self._node(next(self._events), 0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise DocumentError(
                _mark(after.start_mark), "a second document begins here; write one document a file"
            )
        return node

    def _node(self, event: Any, depth: int) -> Node:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1, self._file)
        if depth > MAX_DEPTH:
            raise DocumentError(mark, f"nested more than {MAX_DEPTH} levels deep; write it flatter")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise DocumentError(mark, "anchors and aliases are not read; write the value out")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(mark, event.value, event.style is None)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(mark, tuple(self._items(depth)))
        return Mapping(mark, tuple(self._pairs(depth)))

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _pairs(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise DocumentError(
                    key.mark, "a key has to be a word; quote it if it holds brackets"
                )
            yield key, self._node(next(self._events), depth + 1)


def _end(text: str) -> Mark:
    """Where a text ends."""
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
