"""The JSON Schema of the SLA file says what the reader reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from otelkit import spec
from otelkit.cli import init
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


_TYPES: dict[str, Callable[[Any], Any]] = {
    "version": int,
    "max_messages": int,
    "min_bad_events": int,
    "native": "true".__eq__,
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
