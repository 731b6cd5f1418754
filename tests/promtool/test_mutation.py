"""The proofs of the shop see each change to its rules that somebody could make by mistake.

tests/mutation makes the changes and asks promtool; ``python -m mutation`` lists what survives.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest

from mutation import beside, spared
from mutation.mutants import Mutant, mutants
from mutation.proving import Verdict, judge
from mutation.shop import Subject, subjects
from mutation.spared import Spared
from otelkit.verify import promtool as verify

from .conftest import Program

SEED: Final = 20_260_301
EACH: Final = 2
"""So many mutants of a kind, of each file, in CI."""
ALONE: Final = 12


@pytest.fixture(scope="module")
def everyone() -> list[Mutant]:
    return [mutant for subject in subjects().values() for mutant in mutants(subject.rules)]


@pytest.fixture(scope="module")
def sampled(promtool: Program, everyone: list[Mutant]) -> list[Verdict]:  # noqa: ARG001 - is there
    """Verdicts on some of each kind and file, the same ones until their rules change."""
    by_kind, entries = defaultdict[tuple[str, str], list[Mutant]](list), spared.read()
    for mutant in sorted(everyone, key=lambda mutant: random.Random(f"{SEED} {mutant}").random()):
        by_kind[mutant.file, mutant.kind].append(mutant)
    some = [mutant for of_kind in sorted(by_kind) for mutant in by_kind[of_kind][:EACH]]
    some = [mutant for mutant in some if not spared.spares(entries, mutant)]
    return list(judge(subjects(), some, verify.find()))


def check(verdicts: Iterable[Verdict], entries: Sequence[Spared]) -> None:
    """Each mutant is killed, but for those that are spared, and these live."""
    tried = [verdict for verdict in verdicts if not verdict.refused]
    equal = [verdict for verdict in tried if spared.spares(entries, verdict.mutant)]
    others = [verdict for verdict in tried if not spared.spares(entries, verdict.mutant)]
    killed = [verdict for verdict in others if verdict.killed_by]
    print(  # noqa: T201 - the figure of the README
        f"killed {len(killed):,} of {len(others):,}; {len(equal):,} equivalent, "
        "each with its reason in tests/mutation/spared.yaml"
    )
    lives = [str(verdict.mutant) for verdict in others if verdict.survived]
    assert not lives, "no proof sees these:\n" + "\n".join(lives)
    dies = [str(verdict.mutant) for verdict in equal if verdict.killed_by]
    assert not dies, "there is no reason to spare these:\n" + "\n".join(dies)


def test_the_proofs_kill_each_mutant_of_a_sample(sampled: list[Verdict]) -> None:
    assert len(sampled) > 100
    check(sampled, ())


@pytest.mark.soak
@pytest.mark.usefixtures("promtool")
def test_the_proofs_kill_every_mutant(everyone: list[Mutant]) -> None:
    check(judge(subjects(), everyone, verify.find()), spared.read())


def test_each_reason_to_spare_a_mutant_is_about_one(everyone: list[Mutant]) -> None:
    useless = [str(entry) for entry in spared.read() if not any(map(entry.covers, everyone))]
    assert useless == []


def test_what_kills_a_mutant_beside_others_kills_it_alone(
    promtool: Program, sampled: list[Verdict], tmp_path: Path
) -> None:
    """Its rule file as somebody would have broken it, and the test as it stands in the proof."""
    killed = [verdict for verdict in sampled if verdict.killed_by]
    for verdict in random.Random(SEED).sample(killed, ALONE):
        subject = subjects()[verdict.mutant.file]
        (tmp_path / beside.RULES).write_text(broken(subject, verdict.mutant))
        (tmp_path / "one.test.yml").write_text(proof(subject, verdict.killed_by))
        done = promtool("test", "rules", "one.test.yml", folder=tmp_path)
        assert ("err: " if verdict.said else "exp:") in done.stdout + done.stderr, verdict.mutant


def broken(subject: Subject, mutant: Mutant) -> str:
    rules = list(subject.rules.rules)
    rules[mutant.index : mutant.index + 1] = [mutant.changed] if mutant.changed else []
    return subject.rules.written(rules)


def proof(subject: Subject, name: str) -> str:
    every = [test for text in subject.proofs for test in beside.tests(text)]
    (test,) = (test for test in every if test.name == name)
    return json.dumps({**test.common, "rule_files": [beside.RULES], "tests": [test.own]})
