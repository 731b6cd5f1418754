"""Any valid SLA file yields files that Prometheus and Alertmanager take, always the same ones."""

from __future__ import annotations

import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings

from conftest import missing
from otelkit import spec
from otelkit.generate import files
from otelkit.generate.form import Form
from otelkit.generate.rule import rule_file
from otelkit.model import Sla
from shop.servers import MissingServerError, find_program

from .sla_files import documents

READERS = (
    ("prometheus", ("promtool", "check", "rules", "--lint=all", "--lint-fatal"), "*.rules.yml"),
    ("prometheus", ("promtool", "check", "config", "--syntax-only"), "prometheus.yml"),
    ("prometheus-alertmanager", ("amtool", "check-config"), "alertmanager.yml"),
)
"""Debian's package, the program that reads a kind of file, and which ones."""


def made(sla: Sla) -> dict[str, str]:
    """Everything that is generated but the proofs, which take longer than all the rest."""
    found = files.files(sla, "sla.yaml", whole_stack=True, form=Form.OPERATOR)
    for file in files.rule_files(sla):
        path = f"{files.RULES}/{file.group.name}.rules.yml"
        found[path] = rule_file(file.group, source="sla.yaml", purpose=file.purpose)
    return found


def written(document: dict[str, Any], folder: Path) -> Path:
    """The SLA file on disk; parts of it stand in a file that it includes."""
    folder.mkdir()
    parts = {key: document[key] for key in ("owners", "calendars", "alerting") if key in document}
    (folder / "parts.yaml").write_text(yaml.safe_dump(parts))
    rest = {key: value for key, value in document.items() if key not in parts}
    path = folder / "sla.yaml"
    path.write_text(yaml.safe_dump(rest | {"include": "parts.yaml"}, sort_keys=False))
    return path


def check(examples: int, number: int, folder: Path) -> None:
    """Each program reads the files of all examples at once: its start takes longer than a file."""
    numbers = count()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(documents())
    def generate(document: dict[str, Any]) -> None:
        path = written(document, folder / str(next(numbers)))
        found = made(spec.load(path))
        assert found == made(spec.load(path))
        for name, text in found.items():
            (path.parent / name).parent.mkdir(exist_ok=True)
            (path.parent / name).write_text(text)

    generate()
    for package, command, pattern in READERS:
        read = sorted(map(str, folder.rglob(pattern)))
        assert len(read) >= examples
        try:
            program = find_program(command[0], package)
        except MissingServerError as error:
            missing(error)
        done = subprocess.run(
            [program, *command[1:], *read], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"see the SLA files beside these:\n{done.stderr}"


def test_any_valid_file_generates_what_the_programs_accept(tmp_path: Path) -> None:
    check(200, 1, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(2, 22))
def test_thousands_of_valid_files_do(number: int, tmp_path: Path) -> None:
    check(500, number, tmp_path)
