"""``otelkit schema``: JSON Schemas for editors and for services in other languages."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from otelkit.cli.output import print_json

EXAMPLE: Final = "Example: otelkit schema > sla.schema.json"


def schema(
    event: Annotated[
        bool, typer.Option("--event", help="The order event instead of the SLA file.")
    ] = False,
) -> None:
    """Print the JSON Schema of the SLA file, or of the order event."""
    from otelkit import events, spec

    print_json(events.json_schema() if event else spec.json_schema())
