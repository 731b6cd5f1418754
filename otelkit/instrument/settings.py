"""What ``init`` is told: arguments, overridden by the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from otelkit.errors import ConfigError

T = TypeVar("T")
DEFAULT_SPOOL_LIMIT: Final = 100_000
"""Events: a day without a broker at one event a second, some 40 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process. ``None`` switches a part off."""

    service: str
    events: str | None = None
    """Where order events go: an ``amqp(s)://`` or the collector's ``http(s)://`` address."""
    events_token: str | None = None
    """Bearer token for a collector that asks for one."""
    metrics_port: int | None = None
    """Port of ``/metrics``; 0 takes a free one."""
    metrics_host: str = "127.0.0.1"
    endpoint: str | None = None
    """OTLP over HTTP, for spans and logs; without the path ``/v1/traces``."""
    spool: Path | None = None
    """Folder of the spool; None is a folder of the service's own in the user's state folder."""
    spool_limit: int = DEFAULT_SPOOL_LIMIT
    fsync: bool = False
    """Whether a spooled event also survives a loss of power."""
    logs: bool = True
    """Whether the root logger writes JSON lines to standard output."""
    disabled: bool = False


def from_environment(given: Settings, environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings that hold, and a sentence for each value that is wrong and was left out."""
    problems: list[str] = []

    def read(name: str, convert: Callable[[str], T], otherwise: T) -> T:
        text = environ.get(name, "").strip()
        if not text:
            return otherwise
        try:
            return convert(text)
        except ValueError:
            problems.append(f"{name}={text!r} is not understood and has no effect; correct it")
            return otherwise

    settings = Settings(
        service=read("OTEL_SERVICE_NAME", str, given.service),
        events=read("OTELKIT_EVENTS", str, given.events),
        events_token=read("OTELKIT_EVENTS_TOKEN", str, given.events_token),
        metrics_port=read("OTELKIT_METRICS_PORT", int, given.metrics_port),
        metrics_host=read("OTELKIT_METRICS_HOST", str, given.metrics_host),
        endpoint=read("OTEL_EXPORTER_OTLP_ENDPOINT", str, given.endpoint),
        spool=read("OTELKIT_SPOOL", Path, given.spool),
        spool_limit=read("OTELKIT_SPOOL_LIMIT", int, given.spool_limit),
        fsync=read("OTELKIT_FSYNC", _boolean, given.fsync),
        logs=read("OTELKIT_LOGS", _boolean, given.logs),
        disabled=read("OTEL_SDK_DISABLED", _boolean, given.disabled),
    )
    return settings, problems


def scheme(url: str, allowed: tuple[str, ...], what: str) -> str:
    """The scheme of an address. Raises :class:`ConfigError` for any other or a broken one."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in allowed and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        known = False
    if not known:
        # The address itself may hold a password, so it is not repeated.
        raise ConfigError(f"the address of {what} is not one of {', '.join(allowed)}; correct it")
    return parts.scheme


def spool_folder(settings: Settings, environ: Mapping[str, str]) -> Path:
    """The folder of the spool, which all processes of a service on this host share."""
    if settings.spool is not None:
        return settings.spool
    state = environ.get("XDG_STATE_HOME", "")
    home = environ.get("HOME", "")
    base = Path(state) if state else Path(home, ".local", "state") if home else None
    if base is None or not os.access(_existing(base), os.W_OK):
        base = Path(tempfile.gettempdir())
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in settings.service)
    return base / "otelkit" / safe


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]
