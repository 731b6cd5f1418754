"""Mutants that nobody has to kill, each with the reason: tests/mutation/spared.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from mutation.mutants import Mutant


@dataclass(frozen=True, slots=True)
class Spared:
    """Patterns of what a mutant tells of itself, in which ``*`` is any text, and the reason."""

    file: str
    rule: str
    site: str
    what: str
    why: str

    def covers(self, mutant: Mutant) -> bool:
        told = (mutant.file, mutant.rule, mutant.site, mutant.what)
        patterns = (self.file, self.rule, self.site, self.what)
        return all(_matches(*pair) for pair in zip(patterns, told, strict=True))

    def __str__(self) -> str:
        return f"{self.file} | {self.rule} | {self.site} | {self.what}"


def read() -> tuple[Spared, ...]:
    """Those that are equivalent to what they change."""
    found = yaml.safe_load(Path(__file__).with_name("spared.yaml").read_text())
    return tuple(Spared(**entry) for entry in found["equivalent"])


def spares(entries: Iterable[Spared], mutant: Mutant) -> bool:
    return any(entry.covers(mutant) for entry in entries)


def _matches(pattern: str, text: str) -> bool:
    parts = map(re.escape, pattern.split("*"))
    return re.fullmatch(".*".join(parts), text) is not None
