"""The proofs hold on the generated rules, and fail on rules that were broken on purpose."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from otelkit import spec
from otelkit.generate import files, writer
from otelkit.verify import promtool as verify

from .conftest import ROOT, SLA_FILES, Program


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to a rule file of the shop: all that matches a pattern is replaced."""

    file: str
    what: str
    test: str
    """A part of the name of the test in the proof that has to see it."""
    pattern: str
    replacement: str = ""


BURN, CLOCK, QUEUE = "api-availability", "manufacturing-on-time", "no-dead-letters"
FIFTIETH = "a burst under the line, and one over it (page, 2% in 1h)"
OUTAGE = "an outage of 30 minutes"
MUTANTS = (
    Mutant(BURN, "pages at 4 % of the budget, not 2 %", FIFTIETH, r"> 0\.02 \*", "> 0.04 *"),
    Mutant(BURN, "pages at 1.8 % of the budget", FIFTIETH, r"> 0\.02 \*", "> 0.018 *"),
    Mutant(BURN, "compares the other way round", FIFTIETH, r"> 0\.02 \*", "< 0.02 *"),
    Mutant(BURN, "takes 99 % for 99.9 %", FIFTIETH, r"0\.001", "0.01"),
    Mutant(
        BURN,
        "wakes people for one failure",
        "10 requests an hour",
        r"\n +and \([^\n]* > 1\.5 or [^\n]* > 1\.5\)",
    ),
    Mutant(BURN, "never asks whether it burns", OUTAGE, r"\n +and \(\n[^\n]*\n[^\n]*\n +\)"),
    Mutant(BURN, "overlooks the night", "a quiet hour", r"\n +or\n +\([^\n]* > 9\.5[^\n]*"),
    Mutant(BURN, "has no owner", OUTAGE, r'\n +owner: "web"'),
    Mutant(BURN, "has a severity that nobody routes", OUTAGE, '"page"', '"high"'),
    Mutant(CLOCK, "waits for a sixth new breach", "5 new", r"> 4\.5", "> 5.5"),
    Mutant(CLOCK, "counts breaches of half an hour", "5 new", r"\[3599s:1m\]", "[1799s:1m]"),
    Mutant(CLOCK, "has no OrdersAtRisk", "at risk", r" +- alert: OrdersAtRisk(?s:.*?)(?= +# )"),
    Mutant(QUEUE, "fires on an empty queue", "more than 0", r"\) > 0\n", ") >= 0\n"),
    Mutant(QUEUE, "waits a minute longer", "older than 5m", "> 300", "> 360"),
    Mutant(QUEUE, "says something else", "more than 0", "messages where", "letters where"),
    Mutant("sli", "takes 4xx for bad", "are counted", r'!~"5\.\."', '!~"4.."'),
    Mutant("sli", "counts cancelled orders", "are counted", "breached", "breached|cancelled"),
    Mutant("sli", "is blind where nothing was good", "ever good", r"\n +or on \(\) 0 \*[^\n]*"),
    Mutant(
        "health",
        "has no CollectorStale",
        "stands still",
        " +- alert: CollectorStale(?s:.*?)(?= +# )",
    ),
    Mutant("health", "misses a missing collector", "never there", r"\n +or max\(absent[^\n]*"),
    Mutant(
        "health",
        "leaves out a group",
        "rules that stand still",
        r"\n +or absent_over_time[^\n]*checkout[^\n]*",
    ),
)


@pytest.fixture(scope="module")
def verdicts(
    promtool: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Mutant, Future[str]]]:
    """What promtool says of each mutant's proof, nothing if it holds; all are run at once."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:

        def prove(mutant: Mutant) -> str:
            proof = mutated(mutant, tmp_path_factory.mktemp("mutant"))
            done = promtool("test", "rules", proof.name, folder=proof.parent)
            return "" if done.returncode == 0 else done.stdout + done.stderr

        yield {mutant: pool.submit(prove, mutant) for mutant in MUTANTS}


def mutated(mutant: Mutant, folder: Path) -> Path:
    """The proof of a mutant in ``folder``, down to the test that has to see it."""
    rules = Path(files.RULES) / f"shop.{mutant.file}.rules.yml"
    text = (ROOT / rules).read_text()
    changed = re.sub(mutant.pattern, lambda _: mutant.replacement, text)
    assert changed != text, "the pattern matches nothing any more"
    document: dict[str, Any] = {"tests": []}
    for path in sorted((ROOT / files.PROOFS).glob(f"shop.{mutant.file}*.test.yml")):
        found = yaml.safe_load(path.read_text())
        found["tests"] = [test for test in found["tests"] if mutant.test in test["name"]]
        if found["tests"]:
            document, proof = found, path.relative_to(ROOT)
    assert document["tests"], "no test has such a name any more"
    for path, content in ((rules, changed), (proof, yaml.safe_dump(document))):
        (folder / path).parent.mkdir()
        (folder / path).write_text(content)
    return folder / proof


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file} {mutant.what}")
def test_a_broken_rule_fails_its_proof(mutant: Mutant, verdicts: dict[Mutant, Future[str]]) -> None:
    said = verdicts[mutant].result()
    assert "FAILED:" in said
    assert "exp:" in said, "it fails for another reason than an expectation"


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize(
    ("sla", "names"),
    [
        ("full", ("crm-availability", "health", "manufacturing-on-time", "no-dead-letters", "sli")),
        ("odd", ("ancient", "extreme", "letters", "low", "sli")),
        (
            "whole",
            (
                "prod.health",
                "prod.payments",
                "prod.sli",
                "staging.api-availability",
                "staging.health",
                "staging.made-on-time",
                "staging.no-dead-letters",
            ),
        ),
    ],
)
def test_proofs_of_what_the_shop_has_not_hold(
    tmp_path: Path, sla: str, names: tuple[str, ...]
) -> None:
    """Of its own kind each; the shop's are run by the command line's test of `prove`."""
    found = spec.load(SLA_FILES[sla])
    writer.write(files.files(found, "sla.yaml"), tmp_path, found.system)
    proofs = [tmp_path / files.PROOFS / f"{found.system}.{name}.test.yml" for name in names]
    verdicts = list(verify.prove(verify.find(), proofs))
    assert sorted(v.proof for v in verdicts) == [proof.name for proof in proofs]
    assert {v.proof: v.output for v in verdicts if not v.passed} == {}
