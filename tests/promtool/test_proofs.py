"""The proofs of what the shop has not hold on the rules that are generated with them.

That they fail on changed rules is for test_mutation.py to show.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from otelkit import spec
from otelkit.generate import files, writer
from otelkit.verify import promtool as verify

from .conftest import SLA_FILES


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize(
    ("sla", "names"),
    [
        ("full", ("crm-availability", "health", "manufacturing-on-time", "no-dead-letters", "sli")),
        ("odd", ("ancient", "extreme", "health", "letters", "low", "low.5m", "low.6h", "sli")),
        (
            "whole",
            (
                "prod.health",
                "prod.checkout.5m",
                "prod.payments",
                "prod.payments.6h",
                "prod.sli",
                "staging.api-availability",
                "staging.api-availability.5m",
                "staging.api-availability.6h",
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
    assert sorted(v.proof for v in verdicts) == sorted(proof.name for proof in proofs)
    assert {v.proof: v.output for v in verdicts if not v.passed} == {}
