"""Options that name a Prometheus."""

from __future__ import annotations

from typing import Annotated

import typer

from otelkit.cli.address import bearer_token, http_address

Address = Annotated[
    str,
    typer.Option(
        "--prometheus",
        metavar="URL",
        envvar="OTELKIT_PROMETHEUS",
        parser=http_address,
        help="Address of Prometheus.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="OTELKIT_PROMETHEUS_TOKEN",
        parser=bearer_token,
        help="Its bearer token.",
    ),
]
MaybeAddress = Annotated[
    str | None,
    typer.Option(
        "--prometheus", metavar="URL", parser=http_address, help="Ask this Prometheus too."
    ),
]
