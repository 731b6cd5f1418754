"""Instants as people write them on a command line."""

from __future__ import annotations

from datetime import UTC, datetime

import typer


def moment(text: str, now: datetime) -> datetime:
    """``now``, ``-7d`` before it, or an ISO time, which is UTC unless it says otherwise.

    Raises :class:`typer.BadParameter` for anything else.
    """
    from otelkit.spec.quantities import duration

    text = text.strip()
    try:
        if text == "now":
            return now
        if text.startswith("-"):
            return now - duration(text[1:])
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write one such as 2026-03-01T08:00Z, 2026-03-01, -7d or now"
        ) from None


def local(at: str) -> str:
    """An instant of the collector's, as clocks here show it."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def said(at: datetime | float) -> str:
    """``2026-03-01 08:00Z``; seconds only where there are any."""
    at = datetime.fromtimestamp(at, UTC) if isinstance(at, float) else at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at.second else f"{at:%Y-%m-%d %H:%M}Z"
