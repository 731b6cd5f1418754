"""SLA files broken in every way that a tired person, an editor or a merge breaks them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from otelkit import spec
from otelkit.errors import Problem, SpecError
from otelkit.generate import files

SHOP = (Path(__file__).parents[2] / "examples" / "shop" / "sla.yaml").read_text()
FULL = (Path(__file__).parents[1] / "unit" / "data" / "full.yaml").read_text()
WORDS: list[str] = sorted(
    {*re.findall(r"[\w.%-]+", SHOP + FULL), *"{}[]:,-#|>&*!%@`\"'", "NO", "10:00", "~"}
)
ODD = (
    "\t", "\x00", "\ud800", "\u2028", "\ufeff", "é", "\U0001d518", "\r", "  ", "- ", ": ", "\n",
    "9" * 40,
)  # fmt: skip


def _replace_word(text: str, luck: random.Random) -> str:
    words = [match.span() for match in re.finditer(r"[\w.%-]+", text)]
    start, end = luck.choice(words or [(0, 0)])
    return text[:start] + luck.choice(WORDS) + text[end:]


def _insert(text: str, luck: random.Random) -> str:
    at = luck.randrange(len(text) + 1)
    return text[:at] + luck.choice([*ODD, *WORDS]) + text[at:]


def _cut(text: str, luck: random.Random) -> str:
    start = luck.randrange(len(text) + 1)
    return text[:start] + text[start + luck.randrange(1, 60) :]


def _drop_line(text: str, luck: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    del lines[luck.randrange(len(lines)) : luck.randrange(len(lines)) + 1]
    return "".join(lines) or "\n"


def _repeat_line(text: str, luck: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(luck.randrange(len(lines) + 1), luck.choice(lines or [""]))
    return "".join(lines)


def _indent(text: str, luck: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at = luck.randrange(len(lines))
    lines[at] = lines[at][1:] if luck.random() < 0.5 else " " * luck.randrange(1, 5) + lines[at]
    return "".join(lines)


WAYS: tuple[Callable[[str, random.Random], str], ...] = (
    _replace_word, _replace_word, _insert, _cut, _drop_line, _repeat_line, _indent,
)  # fmt: skip


def broken(luck: random.Random) -> str:
    text = luck.choice([SHOP, SHOP, FULL])
    for _ in range(luck.choice([1, 1, 1, 2, 3, 8])):
        text = luck.choice(WAYS)(text, luck)
    return text


def problems(text: str) -> tuple[Problem, ...]:
    """What is wrong with a file; where nothing is, it generates."""
    try:
        sla = spec.loads(text, "sla.yaml")
    except SpecError as error:
        return error.problems or (pytest.fail(f"refused without a reason:\n{text}"),)
    assert files.files(sla, "sla.yaml")
    return ()


def check(count: int, seed: str) -> None:
    luck = random.Random(seed)
    sound = 0
    for number in range(count):
        text = broken(luck)
        try:
            found = problems(text)
        except Exception as error:
            error.add_note(f"file {number} of seed {seed!r}:\n{text}")
            raise
        assert all(one.message and one.line >= 1 and one.column >= 1 for one in found), text
        sound += not found
    assert 0 < sound < count, "some are still right, most are not"


def test_no_broken_file_ends_in_a_traceback() -> None:
    check(2_000, "otelkit")


@pytest.mark.soak
def test_none_of_a_hundred_thousand_does() -> None:
    for part in range(100):
        check(1_000, f"soak {part}")
