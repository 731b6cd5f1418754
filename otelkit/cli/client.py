"""Questions to a running collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from otelkit.errors import ConfigError, UnavailableError

DEFAULT: Final = "http://127.0.0.1:9465"

Address = Annotated[
    str,
    typer.Option("--collector", envvar="OTELKIT_COLLECTOR", help="Address of the collector."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="OTELKIT_TOKEN", show_envvar=True, help="Its token, if it asks for one."
    ),
]


def ask(
    address: str, token: str | None, path: str, params: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """What the collector answers; None where it knows of nothing there.

    Raises :class:`UnavailableError` if nobody answers, :class:`ConfigError` if it refuses.
    """
    import httpx

    # In bytes, since a token of the wrong kind is for the collector to refuse.
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
    try:
        answer = httpx.get(address.rstrip("/") + path, params=params, headers=headers, timeout=10)
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnavailableError(
            f"no collector answers at {address} ({error}); start one with `otelkit collect`, "
            "or name another with --collector"
        ) from error
    known = isinstance(found, dict) and "orders" in found
    if answer.is_success or answer.status_code == httpx.codes.NOT_FOUND:
        if not known:
            raise UnavailableError(
                f"what answers at {address} is no collector; name another with --collector"
            )
        return dict(found) if answer.is_success else None
    said = found.get("error") if isinstance(found, dict) else None
    raise ConfigError(f"the collector at {address} refuses: {said or answer.status_code}")
