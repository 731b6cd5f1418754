"""Which mutants the proof of their file kills; promtool is asked until the first test that fails.

A proof is split into its tests, since one that fails is enough. Those come first that cost little
for each mutant of the same rule which they have killed so far: the order changes how long it takes,
never what is found.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import LifoQueue
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import yaml

from mutation.mutants import Mutant, RuleFile

_SHORT: Final = 0.25
"""Seconds of tests that one call of promtool runs; to start it takes a fifth of that."""
_LIMIT: Final = 120.0
"""Seconds for one call; a mutant that takes longer is no rule that anybody would run."""
_RULES: Final = "mutant.rules.yml"


class UnprovenError(Exception):
    """A proof fails on the rules as they are, so it says nothing about changed ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killed_by: str | None
    """The test that fails on it, and on an expectation."""
    refused: str
    """What promtool says of rules that it does not load or cannot evaluate."""
    seconds: float

    @property
    def survived(self) -> bool:
        return self.killed_by is None and not self.refused


@dataclass(frozen=True, slots=True)
class _Test:
    """One test of a proof, and the name of the file that holds it alone."""

    name: str
    file: str
    text: str


@dataclass
class _Order:
    """In which order tests are asked; it learns."""

    seconds: dict[str, float]
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)

    def of(self, rule: str, tests: Sequence[_Test]) -> Iterator[list[_Test]]:
        """The tests in batches, each for one call of promtool."""
        batch, spent = list[_Test](), 0.0
        for test in sorted(tests, key=lambda test: self._price(rule, test)):
            batch.append(test)
            spent += self.seconds[test.name]
            if spent >= _SHORT:
                yield batch
                batch, spent = [], 0.0
        if batch:
            yield batch

    def _price(self, rule: str, test: _Test) -> float:
        own, all_rules = self.kills[rule, test.name], self.kills["", test.name]
        return self.seconds[test.name] / (own + all_rules / 100 + 0.1)

    def killed(self, rule: str, test: _Test) -> None:
        self.kills[rule, test.name] += 1
        self.kills["", test.name] += 1


class Proof:
    """The proof of one rule file. It has to hold on the file itself: see :meth:`check`."""

    def __init__(self, rules: RuleFile, text: str, promtool: str) -> None:
        self.rules = rules
        self._promtool = promtool
        self._tests = tuple(_split(text))
        self._order = _Order(dict.fromkeys((test.name for test in self._tests), 0.0))
        self._lock = threading.Lock()

    def check(self, folder: Path) -> None:
        """Each test holds on the rules as they are; learns how long each takes."""
        self.prepare(folder)
        (folder / _RULES).write_text(self.rules.written())
        for test in self._tests:
            start = perf_counter()
            done = self._run(folder, [test])
            if done.returncode != 0:
                raise UnprovenError(f"{test.name} fails on rules as they are:\n{done.stdout}")
            self._order.seconds[test.name] = perf_counter() - start

    def prepare(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for test in self._tests:
            (folder / test.file).write_text(test.text)

    def ask(self, mutant: Mutant, folder: Path) -> Verdict:
        """Whether a test fails on the mutant, in a folder that was prepared."""
        start = perf_counter()
        (folder / _RULES).write_text(self.rules.written(mutant))
        killed_by, refused = None, ""
        for batch in list(self._order.of(mutant.rule, self._tests)):
            done = self._run(folder, batch)
            if done.returncode != 0:
                killed_by, refused = self._blame(mutant, batch, done.stdout)
                break
        return Verdict(mutant, killed_by, refused, perf_counter() - start)

    def _blame(self, mutant: Mutant, batch: Sequence[_Test], said: str) -> tuple[str | None, str]:
        # What promtool says of a file comes after the file's name, which "exp:" stands beside.
        for part in said.split("Unit Testing: ")[1:]:
            if "exp:" in part:
                (test,) = (test for test in batch if part.lstrip().startswith(test.file))
                with self._lock:
                    self._order.killed(mutant.rule, test)
                return test.name, ""
        return None, said

    def _run(self, folder: Path, tests: Sequence[_Test]) -> subprocess.CompletedProcess[str]:
        # promtool keeps its series in the temporary folder.
        return subprocess.run(
            [self._promtool, "test", "rules", *(test.file for test in tests)],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT,
        )


def _split(text: str) -> Iterator[_Test]:
    document: Mapping[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    for number, test in enumerate(document["tests"]):
        alone = {**document, "rule_files": [_RULES], "tests": [test]}
        yield _Test(test["name"], f"{number:02}.test.yml", json.dumps(alone))


def prove(proofs: Mapping[str, Proof], mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """The verdicts as they come. The proofs are by file, and all of them hold."""
    with TemporaryDirectory(prefix="mutation-") as scratch, _workers() as pool:
        root = Path(scratch)
        for name, proof in proofs.items():
            proof.check(root / name)
        folders: LifoQueue[Path] = LifoQueue()
        for worker in range(os.cpu_count() or 1):
            folders.put(root / f"worker{worker}")
            for name, proof in proofs.items():
                (root / f"worker{worker}").mkdir(exist_ok=True)
                proof.prepare(root / f"worker{worker}" / name)

        def ask(mutant: Mutant) -> Verdict:
            folder = folders.get()
            try:
                return proofs[mutant.file].ask(mutant, folder / mutant.file)
            finally:
                folders.put(folder)

        yield from pool.map(ask, mutants)


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """As many threads as cores; whoever stops waiting, waits for no more than what runs."""
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
