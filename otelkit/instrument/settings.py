"""What ``init`` is told: arguments, overridden by the environment."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

T = TypeVar("T")
DEFAULT_SPOOL_LIMIT: Final = 100_000
"""Events: a day without a broker at one event a second, some 40 MB."""
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds for one export: what OpenTelemetry's own exporters take."""
_PROTOCOL: Final = "http/protobuf"


NOWHERE: Final = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process. ``None`` switches a part off."""

    service: str
    events: str | None = None
    """Where order events go: an ``amqp(s)://`` or the collector's ``http(s)://`` address.

    :data:`NOWHERE` for one that was wrong: they wait for a process that knows a right one.
    """
    events_token: str | None = None
    """Bearer token for a collector that asks for one."""
    metrics_port: int | None = None
    """Port of ``/metrics``; 0 takes a free one."""
    metrics_host: str = "127.0.0.1"
    endpoint: str | None = None
    """OTLP over HTTP, for spans and logs; without the path ``/v1/traces``."""
    traces_endpoint: str | None = None
    """For spans alone, with its path: a Tempo that is none for logs."""
    logs_endpoint: str | None = None
    """For logs alone, with its path, such as a Loki's ``/otlp/v1/logs``."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each export, for an endpoint that asks who we are."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that one export may take."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the process on all that it emits, such as ``deployment.environment.name``."""
    propagate_to: tuple[str, ...] = ()
    """Hosts to which the order goes along with a request; ``*.example.com`` are all below one."""
    instrument: tuple[str, ...] = ()
    """Libraries whose ``opentelemetry-instrumentation-*`` package shall be used; or ``all``."""
    loki: str | None = None
    """A Loki that takes no OTLP, for logs."""
    redact: tuple[str, ...] | None = ()
    """Regular expressions of what is hidden besides the defaults; None hides nothing."""
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

    def check(name: str, convert: Callable[[str], str], value: str | None) -> str | None:
        try:
            return None if value is None else convert(value)
        except ValueError as error:
            problems.append(f"{name}= has no effect: {error}")
            return None

    def read(name: str, convert: Callable[[str], T], otherwise: T) -> T:
        text = environ.get(name, "").strip()
        if not text:
            return otherwise
        try:
            return convert(text)
        except ValueError as error:
            problems.append(f"{name} has no effect: {error}")
            return otherwise

    if given.events is not None or environ.get("OTELKIT_EVENTS", "").strip():
        events = check("events", _events_address, given.events) or NOWHERE
    else:
        events = None
    endpoint = read(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        _http_address,
        check("endpoint", _http_address, given.endpoint),
    )

    def of_signal(name: str, signal: str, argument: str, given: str | None) -> str | None:
        own = read(name, _http_address, check(argument, _http_address, given))
        return own or (endpoint and f"{endpoint.rstrip('/')}/v1/{signal}")

    loki = check("loki", _http_address, given.loki)
    redact = given.redact
    if redact is not None:
        checked = (check("redact", _expression, pattern) for pattern in redact)
        redact = tuple(pattern for pattern in checked if pattern is not None)

    if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", _PROTOCOL) != _PROTOCOL:
        problems.append(f"OTEL_EXPORTER_OTLP_PROTOCOL has no effect: otelkit speaks {_PROTOCOL}")
    settings = Settings(
        service=read("OTEL_SERVICE_NAME", str, given.service),
        events=read("OTELKIT_EVENTS", _events_address, events),
        events_token=read("OTELKIT_EVENTS_TOKEN", str, given.events_token),
        metrics_port=read("OTELKIT_METRICS_PORT", _port, given.metrics_port),
        metrics_host=read("OTELKIT_METRICS_HOST", str, given.metrics_host),
        endpoint=endpoint,
        traces_endpoint=of_signal(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "traces", "traces_endpoint", given.traces_endpoint
        ),
        logs_endpoint=of_signal(
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "logs", "logs_endpoint", given.logs_endpoint
        ),
        headers={**given.headers, **read("OTEL_EXPORTER_OTLP_HEADERS", _pairs, {})},
        timeout=read("OTEL_EXPORTER_OTLP_TIMEOUT", _seconds, given.timeout),
        resource={**given.resource, **read("OTEL_RESOURCE_ATTRIBUTES", _pairs, {})},
        propagate_to=read("OTELKIT_PROPAGATE_TO", _names, given.propagate_to),
        instrument=read("OTELKIT_INSTRUMENT", _names, given.instrument),
        loki=read("OTELKIT_LOKI", _http_address, loki),
        redact=read("OTELKIT_REDACT", lambda text: (_expression(text),), redact),
        spool=read("OTELKIT_SPOOL", Path, given.spool),
        spool_limit=read("OTELKIT_SPOOL_LIMIT", _limit, given.spool_limit),
        fsync=read("OTELKIT_FSYNC", _boolean, given.fsync),
        logs=read("OTELKIT_LOGS", _boolean, given.logs),
        disabled=read("OTEL_SDK_DISABLED", _boolean, given.disabled),
    )
    return settings, problems


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


def _events_address(text: str) -> str:
    return _address(text, "amqp", "amqps", "http", "https")


def _http_address(text: str) -> str:
    return _address(text, "http", "https")


def _address(text: str, *schemes: str) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme in schemes and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        right = False
    if not right:
        # What was given may hold a password, so it is not repeated.
        raise ValueError(f"write an address such as {schemes[0]}://host ({', '.join(schemes)})")
    return text


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"write a regular expression, not {text!r} ({error})") from error
    return text


def _port(text: str) -> int:
    port = _whole(text)
    if port is None or port > 65535:
        raise ValueError(f"write a port from 0 to 65535, not {text!r}")
    return port


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else 0.0
    if not seconds:
        raise ValueError(f"write seconds above 0, not {text!r}")
    return seconds


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for pair in _names(text):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals):
            # What was given may hold a token, so it is not repeated.
            raise ValueError("write name=value, and commas between several")
        found[unquote(name)] = unquote(value)
    return found


def _limit(text: str) -> int:
    limit = _whole(text)
    if not limit:
        raise ValueError(f"write a whole number of events above 0, not {text!r}")
    return limit


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise ValueError(f"write true or false, not {text!r}")
    return values[text.lower()]
