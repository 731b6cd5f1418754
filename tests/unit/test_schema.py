"""The JSON Schema of the SLA file says what the reader reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from otelkit import spec
from otelkit.cli import init
from otelkit.spec.reader import Reader

FULL = Path(__file__).parent / "data" / "full.yaml"
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml"
STARTER = Path(init.__file__).with_name("starter.yaml")


@pytest.mark.parametrize("path", [FULL, SHOP, STARTER], ids=lambda path: path.name)
def test_files_that_load_are_valid(path: Path) -> None:
    spec.load(path)
    document = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - all text
    document["version"] = int(document["version"])
    for objective in document["objectives"]:
        if "max_messages" in objective:
            objective["max_messages"] = int(objective["max_messages"])
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
    spec.load(FULL)
    described: dict[str, set[str]] = {}
    for place, keys in _objects("", spec.json_schema()):
        described.setdefault(place, set()).update(keys)
    assert described == read


def _place(path: str) -> str:
    """``objectives[4].within[0]`` and ``owners.web`` without what differs from file to file."""
    path = re.sub(r"\[\d+\]", "", path)
    return re.sub(r"^(owners|calendars|services|processes|queues)\.[^.]+(\.dlq)?", r"\1", path)


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
