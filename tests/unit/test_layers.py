"""The layers of the package: imports point down, and siblings are strangers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import otelkit

PACKAGE = Path(otelkit.__file__).parent

# From the bottom up. A part may import the parts of lower rows, and of its own row nothing.
ROWS = (
    {"amqp", "errors", "names"},
    {"model", "events"},
    {"calendars", "rows", "slo"},
    {"spec"},
    {"generate", "verify", "migrate", "collect", "instrument"},
    {"testing", "cli"},
)
ROW = {part: row for row, parts in enumerate(ROWS) for part in parts}
# The same within the collector; a part may import itself, too.
COLLECT = ("ranges", "clocks", "storage", "engine", "sources", "settings", "api", "shards", "run")
# A service installs otelkit alone: no YAML, no model, no arithmetic of objectives.
INSTRUMENT_MAY_IMPORT = {"amqp", "errors", "names", "events"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[tuple[str, ...]]:
    """What of otelkit a module imports, wherever in its text that stands: names within names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = ("otelkit", *path.relative_to(PACKAGE).parts)[: -node.level or None]
            within = [*(base if node.level else ()), *filter(None, (node.module or "").split("."))]
            found += [(*within, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
    return {names for names in found if names[0] == "otelkit"}


def imported_parts(path: Path) -> set[str]:
    return {(*names, "the package itself")[1] for names in imports(path)}


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_and_siblings_import_no_sibling(path: Path) -> None:
    part = part_of(path)
    assert part in ROW, f"{path} belongs to no layer; give {part!r} a row in this test"
    others = imported_parts(path) - {part}
    allowed = {name for name, row in ROW.items() if row < ROW[part]}
    if part == "instrument":
        allowed = INSTRUMENT_MAY_IMPORT
    assert others <= allowed, f"{part} imports {sorted(others - allowed)}"


def test_the_package_itself_imports_only_what_a_service_uses() -> None:
    assert imported_parts(PACKAGE / "__init__.py") <= {"instrument", "events", "errors"}


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "collect").rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_the_collectors_parts_import_down(path: Path) -> None:
    collect = PACKAGE / "collect"
    if path == collect / "__init__.py":
        return
    part = path.relative_to(collect).with_suffix("").parts[0]
    imported = {names[2] for names in imports(path) if names[1:2] == ("collect",) and names[2:]}
    assert imported <= set(COLLECT[: COLLECT.index(part) + 1]), part
