"""Every sentence of the reader is said to somebody: none that no file can reach."""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import otelkit.spec
from otelkit import spec
from otelkit.errors import SpecError
from otelkit.spec import document
from otelkit.spec.document import DocumentError

DATA = Path(__file__).parent / "data"
PACKAGE = Path(otelkit.spec.__file__).parent
TELLING = ("problem", "warn", "add")
"""Methods that take a sentence."""
Site = tuple[str, int]


def sites() -> set[Site]:
    """File and line of each statement that says something."""
    return {
        (str(path), node.lineno)
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.stmt) and _says(node)
    }


def _says(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call) and bool(node.exc.args)
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Yield) and isinstance(call.value, (ast.Constant, ast.JoinedStr)):
        return True
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in TELLING
    )


TEXTS = (
    "", "a: &b 1", "a: [", "\ta: 1", "a: \x00", "a: \ud800", "---\n---\n", "[a]: 1", "1", "- 1",
    "[" * 40, "version: 1\nsystem: s\nversion: 1\n", "include: other.yaml",
)  # fmt: skip
"""Documents that are broken as a whole."""


_DOUBLING = (f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]" for p, c in pairwise("abcdefghi"))
FOREIGN_TEXTS = ("a: *nobody", "a: {<<: text}", "\n".join(["a: &a [1]", *_DOUBLING]))
"""Documents of other makes, in which aliases are allowed."""


def test_every_sentence_is_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reached: set[Site] = set()

    def follow(frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(PACKAGE)):
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return follow

    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (5 * 1024 * 1024))
    monkeypatch.chdir(DATA)
    before = sys.gettrace()
    sys.settrace(follow)
    try:
        for path in (*sorted(Path().glob("*.yaml")), large, tmp_path, tmp_path / "none"):
            with suppress(SpecError):
                spec.check(path)
        for text in TEXTS:
            with suppress(SpecError):
                spec.loads(text, "text.yaml")
        for text in FOREIGN_TEXTS:
            with suppress(DocumentError):
                document.parse_all(text)
    finally:
        sys.settrace(before)
    missed = {f"{Path(file).name}:{line}" for file, line in sites() - reached}
    assert missed == set()
