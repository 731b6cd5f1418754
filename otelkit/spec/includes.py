"""An SLA file and those it includes, read as one tree.

Tables and lists of all files are put together. What stands in two of them is told like what
stands in one of them twice, and every problem bears the name of its own file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otelkit.errors import SpecError
from otelkit.spec.document import Mapping, Node, Scalar, Sequence
from otelkit.spec.reader import Reader, Report
from otelkit.spec.source import text_of, tree_of

KEY: Final = "include"
_OF_THE_WHOLE: Final = (KEY, "version", "system")
"""Keys that only the including file has."""


def merged(reader: Reader) -> Reader:
    """The reader of an SLA file with what its ``include`` names put in."""
    including = reader.at(KEY)
    if including is None or not isinstance(reader.node, Mapping):
        return reader
    pairs = {key.text: (key, value) for key, value in reader.node.pairs}
    extra: list[tuple[Scalar, Node]] = []
    for node in _included(including, Path(reader.report.file)):
        for key, value in _own_pairs(node, reader.report):
            first = pairs.get(key.text)
            joined = None if first is None else _joined(first[1], value)
            if first is None:
                pairs[key.text] = (key, value)
            elif joined is None:
                extra.append((key, value))  # told by whoever reads the keys
            else:
                pairs[key.text] = (first[0], joined)
    root = Mapping(reader.node.mark, (*pairs.values(), *extra))
    return Reader(root, reader.path, reader.report)


def alone(reader: Reader) -> Reader:
    """The reader of an SLA file that stands in no folder; one that includes others is told so."""
    including = reader.at(KEY)
    if including is None:
        return reader
    including.problem("there is no folder to find this in; write everything into one file")
    assert isinstance(reader.node, Mapping)  # noqa: S101 - it has a key
    pairs = tuple(pair for pair in reader.node.pairs if pair[0].text != KEY)
    return Reader(Mapping(reader.node.mark, pairs), reader.path, reader.report)


def as_json(reader: Reader) -> str:
    """An SLA file and those it includes as one JSON document, which is an SLA file too."""
    found = _plain(merged(reader).node)
    assert isinstance(found, dict)  # noqa: S101 - it was read before
    found.pop(KEY, None)
    return json.dumps(found, ensure_ascii=False, indent=1)


def _plain(node: Node) -> object:
    """Every value as text, as the SLA file's are read."""
    if isinstance(node, Mapping):
        return {key.text: _plain(value) for key, value in node.pairs}
    return [_plain(item) for item in node.items] if isinstance(node, Sequence) else node.text


def _own_pairs(node: Node, report: Report) -> Iterator[tuple[Scalar, Node]]:
    """The pairs that an included file may have."""
    if not isinstance(node, Mapping):
        report.add(node.mark, "", "write a mapping of keys to values, as in any SLA file")
        return
    for key, value in node.pairs:
        if key.text in _OF_THE_WHOLE:
            report.add(key.mark, key.text, f"an included file has no {key.text!r}; remove it")
        else:
            yield key, value


def _joined(first: Node, second: Node) -> Node | None:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return Mapping(first.mark, (*first.pairs, *second.pairs))
    if isinstance(first, Sequence) and isinstance(second, Sequence):
        return Sequence(first.mark, (*first.items, *second.items))
    return None


def _included(reader: Reader, including: Path) -> Iterator[Node]:
    """The documents of the files that a list of patterns names, each once."""
    seen = {including}
    for item in reader.items():
        pattern = item.text()
        for path in () if pattern is None else _paths(item, pattern, including.parent):
            if path in seen:
                item.problem(f"{path} is read already; include each file once")
                continue
            seen.add(path)
            node = _document(item, path)
            if node is not None:
                yield node


def _paths(item: Reader, pattern: str, folder: Path) -> list[Path]:
    named = Path(pattern)
    if named.is_absolute() or not named.parts or not pattern.isprintable():
        item.problem("write a path from the folder of this file, such as teams/*.yaml")
        return []
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, OSError) as error:
        item.problem(f"{pattern!r} is no path: {error}; write one such as teams/*.yaml")
        return []
    if not found:
        item.problem(f"no file is called {pattern!r} in {folder}; correct or remove it")
    return found


def _document(item: Reader, path: Path) -> Node | None:
    try:
        text = text_of(path)
    except SpecError as error:
        item.problem("; ".join(f"{problem.file} {problem.message}" for problem in error.problems))
        return None
    return tree_of(text, str(path), item.report)
