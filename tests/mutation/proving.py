"""Which mutants the proof of their file kills: promtool is asked until the first test that fails.

A proof is split into its tests, since one that fails is enough. Those come first that cost little
for what they have killed so far: the order decides how long it takes, never what is found.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from mutation.beside import RULES, Trial, tests
from mutation.mutants import Mutant, RuleFile

_TOGETHER: Final = 40
"""Mutants tried together: so many that what they share costs little, so few that no core idles."""
_LIMIT: Final = 600.0
"""Seconds for one call of promtool."""


class UnprovenError(Exception):
    """A proof fails on the rules as they are, so it says nothing about changed ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killed_by: str = ""
    """The test that fails on it, and on an expectation."""
    broken: str = ""
    """What promtool says of a rule that it refuses, or cannot evaluate on a test's series."""

    @property
    def survived(self) -> bool:
        return not self.killed_by and not self.broken


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
    """The proof of a rule file; :class:`UnprovenError` unless it holds on the file itself."""

    def __init__(self, rules: RuleFile, text: str, promtool: Promtool) -> None:
        self.rules = rules
        self._lock = threading.Lock()
        self._seconds = dict[str, float]()
        self._asked = Counter[tuple[str, str]]()
        self._killed = Counter[tuple[str, str]]()
        self._tests = {test.name: test for test in tests(text)}
        for test in self._tests.values():
            start = perf_counter()
            if said := promtool.run(rules.written(rules.rules), test.alone()):
                raise UnprovenError(f"{test.name} fails on the rules as they are:\n{said}")
            self._seconds[test.name] = perf_counter() - start

    def judge(self, mutants: Sequence[Mutant], promtool: Promtool) -> list[Verdict]:
        """The verdicts on mutants of the file, which are tried together."""
        found, alive, left = list[Verdict](), set(mutants), set(self._tests)
        while alive and left:
            name = min(left, key=lambda name: self._price(name, alive))
            trial = Trial.of(self.rules, alive)
            said = promtool.run(trial.rules(), self._tests[name].of(trial))
            if broken := trial.broken(said):
                found += [Verdict(mutant, broken=words) for mutant, words in broken.items()]
                alive -= broken.keys()
                continue  # promtool has not come to the expectations
            killed = trial.failed(said)
            if bool(said) != bool(killed):
                raise UnprovenError(f"{name} fails, and it is no mutant's fault:\n{said}")
            self._learn(name, alive, killed)
            found += [Verdict(mutant, killed_by=name) for mutant in killed]
            alive -= killed
            left.remove(name)
        return found + [Verdict(mutant) for mutant in alive]

    def _price(self, test: str, alive: set[Mutant]) -> float:
        """Seconds for each mutant that the test is likely to kill."""
        usual = self._share("", test, 0.5)
        return self._seconds[test] / sum(self._share(m.rule, test, usual) for m in alive)

    def _share(self, rule: str, test: str, before: float) -> float:
        """The share of a rule's mutants that a test kills; so much while nobody knows."""
        return (self._killed[rule, test] + before) / (self._asked[rule, test] + 1)

    def _learn(self, test: str, asked: set[Mutant], killed: set[Mutant]) -> None:
        with self._lock:
            for counter, mutants in ((self._asked, asked), (self._killed, killed)):
                for mutant in mutants:
                    counter[mutant.rule, test] += 1
                    counter["", test] += 1


def judge(
    files: Mapping[str, tuple[RuleFile, str]], mutants: Sequence[Mutant], program: str
) -> Iterator[Verdict]:
    """The verdicts as they come. ``files`` are rules and their proofs by the rule file's name."""
    with (
        TemporaryDirectory(prefix="mutation-") as scratch,
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool,
    ):
        promtools = threading.local()

        def promtool() -> Promtool:
            if not hasattr(promtools, "own"):
                folder = Path(scratch, str(threading.get_ident()))
                folder.mkdir()
                promtools.own = Promtool(program, folder)
            own: Promtool = promtools.own
            return own

        def proof(name: str) -> Proof:
            return Proof(*files[name], promtool())

        proofs = dict(zip(files, pool.map(proof, files), strict=True))
        running = [
            pool.submit(lambda name, some: proofs[name].judge(some, promtool()), name, some)
            for name in files
            for some in _batches([m for m in mutants if m.file == name])
        ]
        try:
            for future in as_completed(running):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(mutants: Sequence[Mutant]) -> Iterator[list[Mutant]]:
    some = iter(mutants)
    while batch := list(islice(some, _TOGETHER)):
        yield batch
