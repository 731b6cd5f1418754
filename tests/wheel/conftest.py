"""One wheel for all tests here, and one environment in which everything of it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

import wheels
from wheels import Demo


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with all extras, and with what the shop itself needs."""
    return wheels.install(tmp_path_factory.mktemp("installed"), f"{wheel}[all]", "fastapi")


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Demo:
    empty = tmp_path / "empty"
    empty.mkdir()
    return Demo(installed, empty)
