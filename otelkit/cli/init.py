"""``otelkit init``: an SLA file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from otelkit.errors import ConfigError

EXAMPLE: Final = "Example: otelkit init my-sla"
FILE: Final = "sla.yaml"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write sla.yaml.")],
) -> None:
    """Write a commented SLA file to start from."""
    path = folder / FILE
    text = Path(__file__).with_name("starter.yaml").read_bytes()
    if path.exists():
        raise ConfigError(f"{path} is there already; edit it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; name another folder"
        ) from error
    print(f"wrote {path}")
    print(f"next: otelkit check {path}")
