"""Addresses of servers, and tokens for them, as people write them on a command line."""

from __future__ import annotations

from urllib.parse import urlsplit

import typer


def http_address(text: str) -> str:
    """An address as it stands. Raises :class:`typer.BadParameter` where it is none of HTTP."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits:
        # It may hold a password, so it is not repeated.
        raise typer.BadParameter("this is no address; write one such as http://host:9090")
    return text


def bearer_token(text: str) -> str:
    """A token, without the line break of the file that it comes from.

    Raises :class:`typer.BadParameter` where no header can hold it.
    """
    token = text.strip()
    if not token.isprintable():
        # It is not repeated; nor would a client that finds out itself keep it to itself.
        raise typer.BadParameter("this is no token; write one without line breaks")
    return token
