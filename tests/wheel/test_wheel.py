"""What is in the wheel, and what of it a service has to install."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

import wheels


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and no extra."""
    return wheels.install(tmp_path_factory.mktemp("bare"), str(wheel))


def run(python: Path, program: str) -> str:
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"otelkit", f"otelkit-{wheel.name.split('-')[1]}.dist-info"}
    assert {"otelkit/py.typed", "otelkit/cli/starter.yaml"} <= names
    assert any(name.startswith("otelkit/generate/templates/") for name in names)


def test_it_asks_for_stable_opentelemetry_in_ranges_and_for_no_instrumentation(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (n for n in opened.namelist() if n.endswith(".dist-info/METADATA"))
        said = opened.read(name).decode()
    asked = re.findall(r"^Requires-Dist: (\S+?)([<>=~!].*)$", said, re.MULTILINE)
    telemetry = {package: versions for package, versions in asked if "opentelemetry" in package}
    assert set(telemetry) == {"opentelemetry-sdk", "opentelemetry-exporter-otlp"}
    for versions in telemetry.values():
        assert re.fullmatch(r"<2,>=1\.\d+", versions), "what pins others forces old ones on them"


def test_a_service_needs_no_extra(bare: Path) -> None:
    program = """
import sys, otelkit
otelkit.init(service="crm", metrics_port=0, logs=False)
@otelkit.observe
def price(): return 7
with otelkit.order("A-1") as order:
    assert price() == 7
print(sorted(m for m in ("yaml", "typer", "jinja2", "msgspec", "pika") if m in sys.modules))
"""
    assert run(bare, program) == "[]\n"


def test_a_missing_extra_is_named(bare: Path) -> None:
    done = subprocess.run(
        [bare.with_name("otelkit"), "check", "sla.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'otelkit[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
