"""What otelkit is compared with, in an environment of its own: the project needs none of it."""

from __future__ import annotations

import subprocess
import venv
from hashlib import sha256
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "build" / "peers"
REQUIREMENTS: Final = (
    "slokit-sre==1.0.1",
    "typer==0.29.2",
    "logfire==5.4.0",
    # What otelkit runs on, to be measured beside logfire in one process.
    "opentelemetry-exporter-otlp==1.45.1",
    "prometheus-client==0.26.0",
    "pika==1.4.4",
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "opentelemetry-instrumentation-fastapi==0.66b1",
    "opentelemetry-instrumentation-pika==0.66b1",
    "matplotlib==3.11.2",
)
EMPTY_APP: Final = """
import typer
app = typer.Typer()
@app.command()
def nothing() -> None: ...
app()
"""


def program(name: str) -> str:
    """A program of the peers' environment, which is made when it is first asked for."""
    mark = FOLDER / sha256("\n".join(REQUIREMENTS).encode()).hexdigest()
    if not mark.exists():
        print(f"installing {', '.join(REQUIREMENTS)} to compare with ...", flush=True)
        venv.create(FOLDER, with_pip=True, clear=True, symlinks=True)
        python = str(FOLDER / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        mark.touch()
    return str(FOLDER / "bin" / name)
