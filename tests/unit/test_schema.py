"""The JSON Schema of the SLA file says what the reader reads."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from otelkit import spec
from otelkit.cli import init
from otelkit.errors import SpecError
from otelkit.spec.reader import Reader

FULL = Path(__file__).parent / "data" / "full.yaml"
WHOLE = FULL.with_name("whole.yaml")
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml"
STARTER = Path(init.__file__).with_name("starter.yaml")


@pytest.mark.parametrize("path", [FULL, WHOLE, SHOP, STARTER], ids=lambda path: path.name)
def test_files_that_load_are_valid(path: Path) -> None:
    spec.load(path)
    document = _typed(yaml.load(path.read_text(), Loader=yaml.BaseLoader))  # noqa: S506 - all text
    jsonschema.validate(document, spec.json_schema())


def test_a_misspelt_key_is_not_valid() -> None:
    document = {"version": 1, "system": "s", "objectives": [{"name": "a", "sevrice": "b"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, spec.json_schema())


def test_it_has_exactly_the_keys_that_the_reader_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    read: dict[str, set[str]] = {}
    fields = Reader.fields

    def noting(self: Reader, known: Iterable[str], required: Iterable[str] = ()) -> Any:
        known = tuple(known)
        read.setdefault(_place(self.path), set()).update(known)
        return fields(self, known, required)

    monkeypatch.setattr(Reader, "fields", noting)
    spec.load(WHOLE)
    described: dict[str, set[str]] = {}
    for place, keys in _objects("", spec.json_schema()):
        described.setdefault(place, set()).update(keys)
    assert described == read


def test_what_has_the_wrong_shape_is_refused_by_both() -> None:
    """Each node of the whole file is replaced by one of another kind, or by nothing."""
    valid = jsonschema.Draft202012Validator(spec.json_schema()).is_valid
    whole = _whole()
    for path in _paths(whole):
        for other in _OTHERS:
            changed = _with(whole, path, other)
            told = _told(changed)
            if valid(_typed(changed)):
                assert [t for t in told if not _LATER.search(t)] == [], (path, other)
            else:
                assert told, (path, other)


_OTHERS: tuple[Any, ...] = ("", [], {})
_LATER = re.compile("is called|nobody owns|never opens")
"""What is said of references and sums is for no schema to see."""


def _whole() -> dict[str, Any]:
    """The whole file with what it includes, as one."""
    included = (WHOLE.with_name("calendars.yaml"), WHOLE.parent / "teams" / "plant.yaml")
    document, *more = (_read(path) for path in (WHOLE, *included))
    del document["include"]
    for one in more:
        for key, part in one.items():
            document[key] = document.get(key, type(part)()) | part if isinstance(part, dict) else [
                *document.get(key, []), *part,
            ]  # fmt: skip
    return document


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - text
    return found


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, inner in pairs if isinstance(node, (dict, list)) else ():
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _with(document: Any, path: tuple[Any, ...], other: Any) -> Any:
    changed = inner = copy.deepcopy(document)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return changed


def _told(document: Any) -> tuple[str, ...]:
    try:
        spec.loads(json.dumps(document), "sla.yaml")  # which YAML includes
    except SpecError as error:
        return tuple(problem.message for problem in error.problems)
    return ()


def _number(node: Any) -> Any:
    return int(node) if isinstance(node, str) and node.isdecimal() else node


_TYPES: dict[str, Callable[[Any], Any]] = {
    "version": _number,
    "max_messages": _number,
    "min_bad_events": _number,
    "samples": _number,
    "native": lambda node: {"true": True, "false": False}.get(str(node), node),
}


def _typed(node: Any) -> Any:
    """The document with the numbers and truths that an editor reads in it."""
    if isinstance(node, dict):
        return {key: _TYPES.get(key, _typed)(value) for key, value in node.items()}
    return [_typed(item) for item in node] if isinstance(node, list) else node


def _place(path: str) -> str:
    """``objectives[4].within[0]`` and ``owners.web`` without what differs from file to file."""
    path = re.sub(r"\[\d+\]", "", path)
    path = re.sub(r"override\.[^.]+", "override", path)
    tables = "owners|calendars|services|processes|queues|alerting|environments"
    return re.sub(rf"^({tables})\.[^.]+(\.dlq)?", r"\1", path)


def _objects(place: str, schema: Any) -> Iterator[tuple[str, set[str]]]:
    if "properties" in schema:
        yield place, set(schema["properties"])
        for key, value in schema["properties"].items():
            yield from _objects(f"{place}.{key}".removeprefix("."), value)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from _objects(place, inner)
    for inner in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from _objects(place, inner)
