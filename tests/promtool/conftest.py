"""Generated stacks on disk, and the programs that read them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import missing
from otelkit import spec
from otelkit.generate import files, writer
from shop.servers import MissingServerError, find_program

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "unit" / "data"
SLA_FILES = {
    "shop": ROOT / "examples" / "shop" / "sla.yaml",
    "full": DATA / "full.yaml",
    "odd": DATA / "odd.yaml",
    "whole": DATA / "whole.yaml",
}
Program = Callable[..., subprocess.CompletedProcess[str]]


def program(name: str, package: str) -> Program:
    try:
        path = find_program(name, package)
    except MissingServerError as error:
        missing(error)

    def run(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, *arguments], cwd=folder, check=False, capture_output=True, text=True
        )

    return run


@pytest.fixture(scope="session")
def promtool() -> Program:
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def amtool() -> Program:
    return program("amtool", "prometheus-alertmanager")


@pytest.fixture(scope="session", params=SLA_FILES)
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """An SLA file, and the folder with all that `generate --stack` makes of it."""
    path = SLA_FILES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    sla = spec.load(path)
    writer.write(files.files(sla, path.name, whole_stack=True), folder, sla.system)
    return path, folder
