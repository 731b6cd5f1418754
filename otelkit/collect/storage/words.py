"""The dictionary of a store: what an SLA file bounds, as numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

Word = tuple[str, ...]
"""Texts that go together."""


class Words(dict[Word, int]):
    """Words by number and numbers by word; one that is new is given the next number.

    ``known`` are rows, as ``fresh`` gives them.
    """

    def __init__(self, known: Iterable[tuple[int, str]] = ()) -> None:
        self.texts: Final[dict[int, Word]] = {num: tuple(json.loads(word)) for num, word in known}
        super().__init__((word, number) for number, word in self.texts.items())
        self.fresh: list[tuple[int, str]] = []
        """Not stored yet."""

    def __missing__(self, word: Word) -> int:
        number = self[word] = len(self.texts) + 1
        self.texts[number] = word
        self.fresh.append((number, json.dumps(word, ensure_ascii=False)))
        return number
