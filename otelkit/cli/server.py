"""Options that name a Prometheus."""

from __future__ import annotations

from typing import Annotated

import typer

Address = Annotated[
    str,
    typer.Option(
        "--prometheus", metavar="URL", envvar="OTELKIT_PROMETHEUS", help="Address of Prometheus."
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="OTELKIT_PROMETHEUS_TOKEN", help="Its bearer token."),
]
MaybeAddress = Annotated[
    str | None,
    typer.Option("--prometheus", metavar="URL", help="Ask this Prometheus too."),
]
