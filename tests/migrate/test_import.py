"""Foreign files as SLA files: their text, and a note for every field that is not in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelkit import spec
from otelkit.migrate import foreign, openslo, sloth
from otelkit.migrate.draft import Draft
from otelkit.migrate.result import Make, load, owned
from otelkit.migrate.text import sla_text
from otelkit.spec.document import Mapping, Mark, Node, Scalar, Sequence, parse_all

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*.yaml"))


def make_of(path: Path) -> Make:
    return sloth.draft if path.stem.startswith("sloth") else openslo.draft


def drafted(path: Path) -> tuple[Draft, foreign.Book]:
    make = make_of(path)
    found, book = foreign.read_text(
        path.read_text(), path.name, lambda docs, book: make(docs, book, path.stem)
    )
    return owned(found, book), book


def notes(book: foreign.Book) -> list[str]:
    told = foreign.in_order(book.notes.problems)
    return [f"{p.line}:{p.column}: {p.path}: {p.message}".replace(": : ", ": ") for p in told]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_becomes_the_sla_file_beside_it(path: Path) -> None:
    draft, _ = drafted(path)
    assert sla_text(draft) == (DATA / "expected" / path.name).read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_leaves_the_notes_beside_it(path: Path) -> None:
    _, book = drafted(path)
    assert notes(book) == (DATA / "expected" / f"{path.stem}.notes").read_text().splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_sla_files_own_reader_takes_all_of_it(path: Path) -> None:
    made = load(path, make_of(path))
    assert made.text == (DATA / "expected" / path.name).read_text()
    assert [note.message for note in made.notes if "refuses it" in note.message] == []
    assert [o.name for o in spec.loads(made.text, "sla.yaml").objectives]


def leaves(node: Node, above: tuple[Mark, ...] = ()) -> Iterator[tuple[Scalar, tuple[Mark, ...]]]:
    """Every value with the places of what holds it."""
    if isinstance(node, Scalar):
        yield node, (*above, node.mark)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from leaves(item, (*above, node.mark))
    elif isinstance(node, Mapping):
        for key, value in node.pairs:
            if key.text not in WITHOUT_NEWS:
                yield from leaves(value, (*above, node.mark))


WITHOUT_NEWS = {"apiVersion", "version", "kind", "queryType", "isRolling", "op", "incremental",
                "counter", "budgetingMethod"}  # fmt: skip
SAID_OTHERWISE = {
    "0.999": "99.9%", "0.95": "95%", "0.99": "99%", "0.25": "250ms", "true": "off", "1M": "month",
    "4w": "28d", "1w": "week", "14.4": "2% in 1h", "2": "20% in 3d", "28": "28d", "Day": "28d",
    "Quarter": "quarter", "1": "quarter", "answers": "answers-internal", "fast": "fast-slow",
    "Prometheus": "", "prometheus": "", "slow-burn": "20%", "fast-burn": "2%", "slow": "fast-slow",
    "1h": "in 1h", "0.01": "", "main": "", "from-a-plugin": "", "unheard-of": "",
    "UTC": "",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_is_in_the_sla_file_or_has_a_note(path: Path) -> None:
    draft, book = drafted(path)
    text = " ".join(sla_text(draft).replace('"', "").split())
    noted = {(note.line, note.column) for note in book.notes.problems}
    lost = [
        f"{leaf.mark.line}: {leaf.text}"
        for document in parse_all(path.read_text())
        for leaf, places in leaves(document)
        if not {(mark.line, mark.column) for mark in places} & noted
        and "(" not in leaf.text  # queries are compared by what they count
        and SAID_OTHERWISE.get(leaf.text, leaf.text) not in text
    ]
    assert lost == []
