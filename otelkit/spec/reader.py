"""Reading a located tree: every method reports what is wrong and goes on with what is right."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from otelkit.errors import Problem
from otelkit.spec.document import Mapping, Mark, Node, Scalar, Sequence

T = TypeVar("T")


@dataclass(slots=True)
class Report:
    """What is found wrong with a file and those it includes, in the order of finding."""

    file: str
    lines: dict[str, tuple[str, ...]]
    """By file, the one that includes the others first."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, mark: Mark, path: str, message: str) -> None:
        """A problem: the file cannot be used."""
        self.problems.append(self._problem(mark, path, message))

    def warn(self, mark: Mark, path: str, message: str) -> None:
        """A warning: the file can be used, but hardly says what was meant."""
        self.warnings.append(self._problem(mark, path, message))

    def in_order(self, found: Iterable[Problem]) -> tuple[Problem, ...]:
        """Problems by file, line and column."""
        files = list(self.lines)
        return tuple(sorted(found, key=lambda p: (files.index(p.file), p.line, p.column)))

    def _problem(self, mark: Mark, path: str, message: str) -> Problem:
        file = mark.file or self.file
        lines = self.lines[file]
        source = lines[mark.line - 1] if mark.line <= len(lines) else ""
        return Problem(file, mark.line, mark.column, _short(path), _short(message), source)


@dataclass(frozen=True, slots=True)
class Reader:
    """A node, where it stands in the document, and whom to tell."""

    node: Node
    path: str
    report: Report

    def problem(self, message: str) -> None:
        """Say what is wrong here and what to write instead."""
        self.report.add(self.node.mark, self.path, message)

    def warn(self, message: str) -> None:
        """Say what is doubtful here; the file can be used all the same."""
        self.report.warn(self.node.mark, self.path, message)

    def text(self) -> str | None:
        """A scalar that is not empty, else a problem and None."""
        if not isinstance(self.node, Scalar):
            self.problem(f"this is a {_kind(self.node)}; write a single value")
            return None
        if not self.node.text.strip():
            self.problem("the value is missing; write one or remove the key")
            return None
        return self.node.text

    def parse(self, convert: Callable[[str], T]) -> T | None:
        """A scalar through ``convert``, whose ``ValueError`` is a sentence for the reader."""
        text = self.text()
        if text is None:
            return None
        try:
            return convert(text)
        except ValueError as error:
            self.problem(str(error))
            return None

    def choice(self, options: Iterable[str], what: str) -> str | None:
        """A scalar that names one of ``options``."""
        known = list(options)
        text = self.text()
        if text is None or text in known:
            return text
        self.problem(f"no {what} is called {text!r}{suggestion(text, known)}")
        return None

    def fields(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, Reader]:
        """The values of a mapping with fixed keys; unknown, repeated and missing ones are told."""
        names = list(known)
        found: dict[str, Reader] = {}
        for key, value in self.entries():
            if key.name in names:
                found[key.name] = value
            else:
                key.problem(f"unknown key {key.name!r}{suggestion(key.name, names)}")
        if isinstance(self.node, Mapping):
            for name in required:
                if name not in found:
                    self.problem(f"the key {name!r} is missing; add it")
        return found

    def entries(self) -> list[tuple[Key, Reader]]:
        """The pairs of a mapping in file order, without repeats."""
        if not isinstance(self.node, Mapping):
            self.problem(f"this is a {_kind(self.node)}; write a mapping of keys to values")
            return []
        found: dict[str, tuple[Key, Reader]] = {}
        for scalar, value in self.node.pairs:
            name = scalar.text if scalar.text.isprintable() else ascii(scalar.text)
            path = f"{self.path}.{name}" if self.path else name
            key = Key(scalar.text, scalar.mark, path, self.report)
            if scalar.text in found:
                where = other_place(found[scalar.text][0].mark, scalar.mark)
                key.problem(
                    f"{where} has the key {name!r} too; keep one of them"
                    if where
                    else "this key stands here a second time; keep one of them"
                )
            else:
                found[scalar.text] = (key, Reader(value, path, self.report))
        return list(found.values())

    def items(self) -> list[Reader]:
        """The items of a sequence; a single scalar counts as a sequence of one."""
        if isinstance(self.node, Scalar):
            return [] if self.text() is None else [self]
        if not isinstance(self.node, Sequence):
            self.problem(f"this is a {_kind(self.node)}; write a list")
            return []
        counts: Counter[str] = Counter()  # of the items of each file
        readers = []
        for item in self.node.items:
            readers.append(Reader(item, f"{self.path}[{counts[item.mark.file]}]", self.report))
            counts[item.mark.file] += 1
        return readers

    def at(self, key: str) -> Reader | None:
        """The value of a key, if this is a mapping that has it; nothing is told."""
        pairs = self.node.pairs if isinstance(self.node, Mapping) else ()
        values = (value for scalar, value in pairs if scalar.text == key)
        found = next(values, None)
        return (
            None if found is None else Reader(found, f"{self.path}.{key}".strip("."), self.report)
        )

    def is_word(self, word: str) -> bool:
        """Whether this is a single value that says just that."""
        return isinstance(self.node, Scalar) and self.node.text == word

    @property
    def keys(self) -> frozenset[str]:
        """The keys of a mapping, of anything else none; nothing is told."""
        pairs = self.node.pairs if isinstance(self.node, Mapping) else ()
        return frozenset(key.text for key, _ in pairs)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, Sequence)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, Mapping)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a mapping, for problems that lie in the name itself."""

    name: str
    mark: Mark
    path: str
    report: Report

    def problem(self, message: str) -> None:
        self.report.add(self.mark, self.path, message)

    def parse(self, convert: Callable[[str], T]) -> T | None:
        """What the name stands for; ``convert`` raises ``ValueError`` with what is wrong."""
        try:
            return convert(self.name)
        except ValueError as error:
            self.problem(str(error))
            return None

    def check(self, convert: Callable[[str], str]) -> bool:
        """Whether the name is one."""
        return self.parse(convert) is not None


class Table(dict[str, T]):
    """Parts by name.

    ``declared`` also holds the names of parts that have problems of their own, so that one
    mistake is not told again by everything that refers to it.
    """

    def __init__(self, parts: dict[str, T], declared: Iterable[str]) -> None:
        super().__init__(parts)
        self.declared = tuple(declared)

    def get_named(self, reader: Reader, what: str) -> T | None:
        """The part that a value names; None where it names none, or one with problems."""
        name = reader.choice(self.declared, what)
        return None if name is None else self.get(name)


def read_each(
    reader: Reader, check: Callable[[str], str], read: Callable[[str, Reader], T | None]
) -> Table[T]:
    """The entries of a mapping by name; those with problems are declared only."""
    found = {}
    entries = reader.entries()
    for key, value in entries:
        part = read(key.name, value)
        if key.check(check) and part is not None:
            found[key.name] = part
    return Table(found, (key.name for key, _ in entries))


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that helps with a misspelt word."""
    names = list(known)
    if not names:
        return "; none is defined"
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; write one of {', '.join(names)}" if len(names) <= 12 else ""


def other_place(first: Mark, second: Mark) -> str:
    """``teams/web.yaml:12`` where the first of two places is in another file, else nothing."""
    return "" if first.file == second.file else f"{first.file}:{first.line}"


def _short(text: str) -> str:
    """A sentence that quotes a whole page keeps its two ends."""
    return text if len(text) <= 500 else f"{text[:240]} ... {text[-240:]}"


def _kind(node: Node) -> str:
    if isinstance(node, Mapping):
        return "mapping"
    return "list" if isinstance(node, Sequence) else "single value"
