"""OpenSLO's objects, by kind and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from otelkit.migrate.foreign import Book, Fields
from otelkit.spec.document import Scalar
from otelkit.spec.reader import Reader, suggestion

V1: Final = "openslo/v1"
V1ALPHA: Final = "openslo/v1alpha"
KINDS: Final = (
    "SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition",
    "AlertNotificationTarget",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Object:
    """One object. Its parts are read anew by each that refers to it."""

    kind: str
    name: str
    at: Reader
    book: Book

    @property
    def metadata(self) -> Fields:
        fields = Fields(self.at, self.book).fields("metadata")
        fields.ignore("name")
        return fields

    @property
    def spec(self) -> Fields:
        return Fields(self.at, self.book).fields("spec")


@dataclass(slots=True)
class Objects:
    """All objects of a file."""

    book: Book
    found: dict[tuple[str, str], Object] = field(default_factory=dict)
    slos: list[Object] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)

    def add(self, document: Reader) -> None:
        fields = Fields(document, self.book)
        version, kind = fields.need("apiVersion"), fields.need("kind")
        if version is None or kind is None or not (version.parse(_version) and kind.parse(_kind)):
            return
        metadata = fields.need("metadata")
        name = Fields(metadata, self.book).need("name") if metadata else None
        spec = fields.need("spec")
        fields.close()
        said, called = kind.text(), name.text() if name else None
        if said is None or name is None or called is None or spec is None:
            return
        one = Object(said, called, document, self.book)
        if said == "SLO":
            self.slos.append(one)
        elif self.found.setdefault((said, called), one) is not one:
            self.book.note(name, f"a second {said} of this name; left out")

    def get(self, kind: str, at: Reader) -> Object | None:
        """The object that a value names; that there is none is a problem."""
        name = at.text()
        if name is None:
            return None
        one = self.found.get((kind, name))
        if one is None:
            names = [known for of, known in self.found if of == kind]
            at.problem(f"no {kind} in this file is called {name!r}{suggestion(name, names)}")
        else:
            self.used.add((kind, name))
        return one

    def optional(self, kind: str, name: str) -> Object | None:
        """The object of this name; it may well stand in another file."""
        self.used.add((kind, name))
        return self.found.get((kind, name))

    def inline_or_named(self, kind: str, key: str, at: Reader) -> Object | None:
        """An item of a list that names an object under ``key``, or is one itself."""
        if isinstance(at.node, Scalar):
            return self.get(kind, at)
        if key in at.keys:
            fields = Fields(at, self.book)
            named = fields.need(key)
            fields.close()
            return None if named is None else self.get(kind, named)
        fields = Fields(at, self.book)
        fields.ignore("kind")
        metadata, spec = fields.fields("metadata"), fields.need("spec")
        name = metadata.text("name") or ""
        fields.close()
        return None if spec is None else Object(kind, name, at, self.book)

    def unused(self) -> Iterator[Object]:
        """Objects that no SLO refers to."""
        return (one for key, one in self.found.items() if key not in self.used)


def _version(text: str) -> str:
    if text.startswith("sloth."):
        raise ValueError("this is Sloth; run: otelkit import sloth FILE")
    if text not in (V1, V1ALPHA):
        raise ValueError(f"{text!r} is not known; write apiVersion: {V1} or {V1ALPHA}")
    return text


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"OpenSLO has no kind {text!r}{suggestion(text, KINDS)}")
    return text
