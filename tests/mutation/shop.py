"""The shop's generated rules and their proofs, as they stand in the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mutation.mutants import RuleFile
from otelkit.generate import files

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Subject:
    """A rule file, and the proof files that have to see what changes in it."""

    rules: RuleFile
    proofs: tuple[str, ...]


def subjects() -> dict[str, Subject]:
    """By the middle of the file's name: ``api-availability``, ``sli``."""
    found = {}
    for path in sorted((ROOT / files.RULES).glob("*.rules.yml")):
        _, name, _, _ = path.name.split(".")
        proofs = [path.read_text() for path in _proofs(path.name)]
        found[name] = Subject(RuleFile.read(name, path.read_text()), tuple(proofs))
    return found


def _proofs(rules: str) -> list[Path]:
    """A rule file has one or more: each has an interval of its own."""
    stem = rules.removesuffix(".rules.yml")
    return sorted((ROOT / files.PROOFS).glob(f"{stem}.*test.yml"))
