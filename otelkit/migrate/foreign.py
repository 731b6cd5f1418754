"""Files of other makes: read so that no field is lost without a note."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from otelkit.errors import Problem, SpecError
from otelkit.spec import source
from otelkit.spec.document import DocumentError, Mapping, Mark, Node, Scalar, Sequence, parse_all
from otelkit.spec.reader import Reader, Report

T = TypeVar("T")
_NOTHING: Final = Mapping(Mark(1, 1), ())
_NULL: Final = ("~", "null", "Null", "NULL")
NO_COUNTERPART: Final = "an SLA file has no such field; left out"


@dataclass(slots=True)
class Book:
    """One foreign file: what is wrong with it, and what became of its fields."""

    problems: Report
    notes: Report
    _told: set[tuple[Mark, str]] = field(default_factory=set)

    def note(self, at: Reader, message: str) -> None:
        told = (at.node.mark, message)
        if told not in self._told:  # several objectives inherit labels, or share an indicator
            self._told.add(told)
            self.notes.add(at.node.mark, at.path, message)

    def raise_problems(self) -> None:
        if self.problems.problems:
            raise SpecError(in_order(self.problems.problems))


@dataclass(slots=True)
class Fields:
    """A mapping whose keys are taken one by one; :meth:`close` notes those that nobody took."""

    at: Reader
    book: Book
    _left: dict[str, Reader] = field(init=False)

    def __post_init__(self) -> None:
        self._left = {key.name: value for key, value in self.at.entries()}

    def take(self, key: str) -> Reader | None:
        """The value of a key, None where there is none or it is empty."""
        found = self._left.pop(key, None)
        return None if found is None or _is_empty(found) else found

    def text(self, key: str) -> str | None:
        found = self.take(key)
        return None if found is None else found.text()

    def need(self, key: str) -> Reader | None:
        """The value of a key; that it is missing is a problem."""
        found = self.take(key)
        if found is None and self.at.is_mapping:
            self.at.problem(f"the key {key!r} is missing; add it")
        return found

    def fields(self, key: str) -> Fields:
        """The mapping under a key, an empty one where there is none."""
        found = self.take(key)
        return Fields(found or Reader(_NOTHING, self.at.path, self.book.problems), self.book)

    def items(self, key: str) -> list[Reader]:
        found = self.take(key)
        return [] if found is None else found.items()

    def texts(self, key: str) -> dict[str, Reader]:
        """A mapping of words such as labels."""
        return self.fields(key).rest()

    def rest(self) -> dict[str, Reader]:
        """All that was not taken yet."""
        found, self._left = self._left, {}
        return found

    def drop(self, key: str, why: str) -> None:
        """Leave a key out and say why."""
        found = self.take(key)
        if found is not None:
            self.book.note(found, why)

    def ignore(self, *keys: str) -> None:
        """Leave out what says nothing, such as what kind of file this is."""
        for key in keys:
            self._left.pop(key, None)

    def close(self) -> None:
        for value in self.rest().values():
            if not _is_empty(value):
                self.book.note(value, NO_COUNTERPART)

    def __bool__(self) -> bool:
        return bool(self._left)


def read(path: Path, documents: Callable[[list[Reader], Book], T]) -> tuple[T, Book]:
    """What ``documents`` makes of a file. Raises :class:`SpecError` with every problem."""
    if path.is_dir():
        said = "this is a folder; name one file of it"
        raise SpecError((Problem(str(path), 1, 1, "", said, ""),))
    return read_text(source.text_of(path), str(path), documents)


def read_text(text: str, file: str, documents: Callable[[list[Reader], Book], T]) -> tuple[T, Book]:
    """The same of a text; ``file`` is the name to use in problems and notes."""
    lines = {file: tuple(text.splitlines())}
    book = Book(Report(file, lines), Report(file, lines))
    try:
        nodes = parse_all(text, file)
    except DocumentError as error:
        book.problems.add(Mark(error.mark.line, error.mark.column, file), "", str(error))
        raise SpecError(tuple(book.problems.problems)) from error
    readers = list(_readers(nodes, book.problems))
    if not readers:
        book.problems.add(Mark(1, 1), "", "the file is empty; name one that holds objectives")
        raise SpecError(tuple(book.problems.problems))
    found = documents(readers, book)
    book.raise_problems()
    return found, book


def asked(queries: list[Reader | None], book: Book, make: Callable[..., T]) -> T | None:
    """What ``make`` makes of queries; where it refuses them, that is noted and the SLO left out."""
    places = [query for query in queries if query is not None]
    texts = [query.text() for query in places]
    if len(places) < len(queries) or None in texts:
        return None
    try:
        return make(*texts)
    except ValueError as error:
        book.note(places[0], f"the SLO is left out: {error}")
        return None


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda p: (p.line, p.column)))


def _readers(nodes: tuple[Node, ...], report: Report) -> Iterator[Reader]:
    """The objects of a file: documents, or the items of one that is a list."""
    for node in nodes:
        reader = Reader(node, "", report)
        yield from reader.items() if isinstance(node, Sequence) else (reader,)


def _is_empty(reader: Reader) -> bool:
    """A key without a value, which says nothing."""
    node = reader.node
    if not isinstance(node, Scalar):
        return False
    return not node.text.strip() or (node.plain and node.text in _NULL)
