"""Which mutants the proof of their file kills: promtool is asked until the first test that fails.

A proof is split into its tests, since one that fails is enough. Those come first that cost little
for what they have killed so far: the order decides how long it takes, never what is found.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

from mutation.beside import RULES, Trial, tests
from mutation.mutants import Mutant
from mutation.shop import Subject

_TOGETHER: Final = 40
"""Mutants tried together: so many that what they share costs little, so few that no core idles."""
_LIMIT: Final = 600.0
"""Seconds for one call of promtool."""


class UnprovenError(Exception):
    """A test fails on rules that nobody changed, so it says nothing about changed ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: a test killed it, promtool did not load it, or neither."""

    mutant: Mutant
    killed_by: str = ""
    """The test that fails on an expectation, or whose series the rule cannot be evaluated on."""
    said: str = ""
    """promtool's own words where it did not come to an expectation."""

    @property
    def refused(self) -> bool:
        return bool(self.said) and not self.killed_by

    @property
    def survived(self) -> bool:
        return not self.killed_by and not self.said


class Promtool:
    """Runs tests in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def run(self, rules: str, *proofs: str) -> str:
        """What promtool says of proofs that fail; nothing if all hold."""
        (self._folder / RULES).write_text(rules)
        names = [f"{number:02}.test.yml" for number in range(len(proofs))]
        for name, proof in zip(names, proofs, strict=True):
            (self._folder / name).write_text(proof)
        done = subprocess.run(
            [self._program, "test", "rules", *names],
            cwd=self._folder,
            env={**os.environ, "TMPDIR": str(self._folder)},  # where promtool keeps its series
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr


class Proof:
    """All tests of a rule file."""

    def __init__(self, subject: Subject) -> None:
        self._rules = subject.rules
        self._lock = threading.Lock()
        self._asked = Counter[tuple[str, str]]()
        self._killed = Counter[tuple[str, str]]()
        every = [test for proof in subject.proofs for test in tests(proof)]
        self._tests = {test.name: test for test in every}
        assert len(self._tests) == len(every), "two tests of the same name"

    def judge(self, mutants: Sequence[Mutant], promtool: Promtool) -> list[Verdict]:
        """The verdicts on mutants of the file, which are tried together."""
        found = dict[Mutant, Verdict]()
        left = set(self._tests)
        while left and (alive := [mutant for mutant in mutants if mutant not in found]):
            name = min(sorted(left), key=lambda name: self._price(name, alive))
            verdicts, whole = self._try(name, Trial.of(self._rules, alive), promtool)
            found |= {verdict.mutant: verdict for verdict in verdicts}
            if whole:
                self._learn(name, alive, found.keys())
                left.remove(name)
        return [found.get(mutant, Verdict(mutant)) for mutant in mutants]

    def _try(self, name: str, trial: Trial, promtool: Promtool) -> tuple[list[Verdict], bool]:
        """Verdicts of a test, and whether promtool came as far as to its expectations."""
        said = promtool.run(trial.rules(), self._tests[name].of(trial))
        if refused := trial.refused(said):
            return [Verdict(mutant, said=words) for mutant, words in refused.items()], False
        if broken := trial.broken(said):
            return [Verdict(mutant, name, words) for mutant, words in broken.items()], False
        if trial.is_unsound(said):
            raise UnprovenError(f"{name} fails, and it is no mutant's fault:\n{said}")
        killed = trial.failed(said)
        return [Verdict(mutant, name) for mutant in killed], True

    def _price(self, test: str, alive: Sequence[Mutant]) -> float:
        """What it costs to kill a mutant, in evaluations of the rules."""
        usual = self._share("", test, 0.5)
        return self._tests[test].steps / sum(self._share(m.rule, test, usual) for m in alive)

    def _share(self, rule: str, test: str, before: float) -> float:
        """The share of a rule's mutants that a test kills; so much while nobody knows."""
        return (self._killed[rule, test] + before) / (self._asked[rule, test] + 1)

    def _learn(self, test: str, asked: Sequence[Mutant], killed: Collection[Mutant]) -> None:
        with self._lock:
            for mutant in asked:
                for rule in (mutant.rule, ""):
                    self._asked[rule, test] += 1
                    self._killed[rule, test] += mutant in killed


def judge(
    subjects: Mapping[str, Subject], mutants: Sequence[Mutant], program: str
) -> Iterator[Verdict]:
    """The verdicts as they come; ``program`` is promtool."""
    proofs = {name: Proof(subject) for name, subject in subjects.items()}
    with (
        TemporaryDirectory(prefix="mutation-") as scratch,
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool,
    ):
        running = []
        for batch in _batches(mutants):
            promtool = Promtool(program, Path(mkdtemp(dir=scratch)))
            running.append(pool.submit(proofs[batch[0].file].judge, batch, promtool))
        try:
            for future in as_completed(running):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(mutants: Sequence[Mutant]) -> Iterator[list[Mutant]]:
    for _, of_file in groupby(mutants, lambda mutant: mutant.file):
        while batch := list(islice(of_file, _TOGETHER)):
            yield batch
