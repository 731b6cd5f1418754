"""YAML as a tree of located text: no types are guessed, ``NO`` is Norway and ``10:00`` a time.

Nesting that no SLA file has is refused. So are anchors and aliases, but for files of other makes:
there they are read, up to a size that such a file never reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import yaml

MAX_DEPTH: Final = 30
"""Levels of nesting; a whole SLA file needs six."""
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_NODES: Final = 200_000
"""Values of a file in which aliases stand for what they name."""

T = TypeVar("T")


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
    return _told(text, lambda: _Tree(text, file).document())


def parse_all(text: str, file: str = "") -> tuple[Node, ...]:
    """The documents of a file of another make, without empty ones.

    Aliases stand for the value they name, merge keys (``<<``) for its pairs. Raises
    :class:`DocumentError`.
    """
    return _told(text, lambda: tuple(_ForeignTree(text, file).documents()))


def _told(text: str, read: Callable[[], T]) -> T:
    """What ``read`` makes of a text; what YAML says of it is told in place."""
    try:
        return read()
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
        return self._anchored(event, mark, depth)

    def _anchored(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise DocumentError(mark, "anchors and aliases are not read; write the value out")
        return self._value(event, mark, depth)

    def _value(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(mark, event.value, not event.style)
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


class _ForeignTree(_Tree):
    """The documents of a file of another make, in which values have names."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text, file)
        self._anchors: dict[str, tuple[Node, int]] = {}
        """The values named so far, with the number of nodes that each adds to the tree."""
        self._nodes = 0

    def documents(self) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                node = self._node(next(self._events), 0)
                if not (isinstance(node, Scalar) and node.plain and not node.text):
                    yield node

    def _anchored(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), mark)
        before = self._nodes
        node = self._value(event, mark, depth)
        self._grow(1, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _alias(self, name: str, mark: Mark) -> Node:
        if name not in self._anchors:
            raise DocumentError(mark, f"no value above is called &{name}; write the value out")
        node, size = self._anchors[name]
        self._grow(size, mark)
        return node

    def _grow(self, size: int, mark: Mark) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise DocumentError(
                mark, f"aliases make more than {MAX_NODES} values of this file; write it flatter"
            )

    def _value(self, event: Any, mark: Mark, depth: int) -> Node:
        node = super()._value(event, mark, depth)
        return Mapping(mark, tuple(_merged(node.pairs))) if isinstance(node, Mapping) else node


def _merged(pairs: tuple[tuple[Scalar, Node], ...]) -> Iterator[tuple[Scalar, Node]]:
    """The pairs of a mapping with those that ``<<`` brings in; the mapping's own come first."""
    own = [(key, value) for key, value in pairs if not _merges(key)]
    yield from own
    seen = {key.text for key, _ in own}
    for key, value in pairs:
        if _merges(key):
            for source in value.items if isinstance(value, Sequence) else (value,):
                if not isinstance(source, Mapping):
                    raise DocumentError(key.mark, "<< merges mappings only; write the keys out")
                new = [pair for pair in source.pairs if pair[0].text not in seen]
                seen.update(key.text for key, _ in new)
                yield from new


def _merges(key: Scalar) -> bool:
    return key.plain and key.text == "<<"


def _end(text: str) -> Mark:
    """Where a text ends."""
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
