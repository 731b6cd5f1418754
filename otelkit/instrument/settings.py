"""What ``init`` is told: arguments, overridden by the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from otelkit.instrument import exports, values
from otelkit.instrument.exports import Export

T = TypeVar("T")
DEFAULT_SPOOL_LIMIT: Final = 100_000
"""Events: a day without a broker at one event a second, some 40 MB."""
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds for one export: what OpenTelemetry's own exporters take."""
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
    traces: Export | None = None
    """How spans go over OTLP, and ``lines`` how log records do: by the settings above and the
    environment."""
    lines: Export | None = None


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
        events = check("events", values.events_address, given.events) or NOWHERE
    else:
        events = None
    events_token = check("events_token", values.token, given.events_token)
    every = exports.of_all(
        read,
        Export(
            endpoint=check("endpoint", values.http_address, given.endpoint) or "",
            headers={},
            timeout=given.timeout,
        ),
    )

    def one(signal: str, argument: str, endpoint: str | None) -> Export | None:
        own = check(argument, values.http_address, endpoint)
        found = exports.of_one(signal, read, every, own)
        return found and replace(found, headers={**given.headers, **found.headers})

    traces = one("traces", "traces_endpoint", given.traces_endpoint)
    lines = one("logs", "logs_endpoint", given.logs_endpoint)
    loki = check("loki", values.http_address, given.loki)
    redact = given.redact
    if redact is not None:
        checked = (check("redact", values.expression, pattern) for pattern in redact)
        redact = tuple(pattern for pattern in checked if pattern is not None)
    settings = Settings(
        service=read("OTEL_SERVICE_NAME", str, given.service),
        events=read("OTELKIT_EVENTS", values.events_address, events),
        events_token=read("OTELKIT_EVENTS_TOKEN", values.token, events_token),
        metrics_port=read("OTELKIT_METRICS_PORT", values.port, given.metrics_port),
        metrics_host=read("OTELKIT_METRICS_HOST", str, given.metrics_host),
        endpoint=every.endpoint or None,
        traces_endpoint=traces.endpoint if traces else None,
        logs_endpoint=lines.endpoint if lines else None,
        headers={**given.headers, **every.headers},
        timeout=every.timeout,
        resource={**given.resource, **read("OTEL_RESOURCE_ATTRIBUTES", values.pairs, {})},
        propagate_to=read("OTELKIT_PROPAGATE_TO", values.names, given.propagate_to),
        instrument=read("OTELKIT_INSTRUMENT", values.names, given.instrument),
        loki=read("OTELKIT_LOKI", values.http_address, loki),
        redact=read("OTELKIT_REDACT", lambda text: (values.expression(text),), redact),
        spool=read("OTELKIT_SPOOL", Path, given.spool),
        spool_limit=read("OTELKIT_SPOOL_LIMIT", values.limit, given.spool_limit),
        fsync=read("OTELKIT_FSYNC", values.boolean, given.fsync),
        logs=read("OTELKIT_LOGS", values.boolean, given.logs),
        disabled=read("OTEL_SDK_DISABLED", values.boolean, given.disabled),
        traces=traces,
        lines=lines,
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
