"""What a proof expects an alert to say, put together without the templates that make it say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from otelkit.generate.proof import ExpectAlert
from otelkit.generate.scope import dashboard_uid
from otelkit.model import Sla


@dataclass(frozen=True, slots=True)
class Said:
    """The text of an alert as a person reads it; ``variables`` end the dashboard's address."""

    summary: str
    description: str
    dashboard: str
    variables: str = ""


def told(sla: Sla, alert: str, minute: int, labels: Mapping[str, str], said: Said) -> ExpectAlert:
    """Exactly one alert fires in this minute, with these labels and this text."""
    return ExpectAlert(alert, minute, ((labels, texts(sla, alert, minute, said)),))


def texts(sla: Sla, alert: str, minute: int, said: Said) -> Mapping[str, str]:
    """What an alert says that fires in this minute, with its links."""
    found = {"summary": said.summary, "description": said.description}
    if sla.links.runbook is not None:
        found["runbook_url"] = sla.links.runbook.replace("{alert}", alert)
    if sla.links.grafana is not None:
        board = f"{sla.links.grafana.rstrip('/')}/d/{dashboard_uid(sla, said.dashboard)}"
        now = minute * 60_000
        found["dashboard_url"] = f"{board}?from={now - 3_600_000}&to={now}{said.variables}"
    return found


def in_words(duration: timedelta) -> str:
    """A duration in its largest whole unit: ``90m``, ``1h``, ``15s``."""
    seconds = round(duration.total_seconds())
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    unit = next(name for name, size in units.items() if seconds % size == 0)
    return f"{seconds // units[unit]}{unit}"


def spoken_seconds(seconds: int) -> str:
    """So many seconds, a minute at least, as ``humanizeDuration`` says them: ``1h 2m 3s``."""
    sizes = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    spoken = [f"{size}{unit}" for size, unit in zip(sizes, "dhms", strict=True)]
    return " ".join(spoken[next(at for at, size in enumerate(sizes) if size) :])


def humanized(value: float) -> str:
    """A number as ``humanize`` says it: four digits, and a prefix for thousands or thousandths."""
    larger, smaller = list("GMk"), list("num")
    prefix = ""
    while abs(value) >= 1000 and larger:
        prefix, value = larger.pop(), value / 1000
    while 0 < abs(value) < 1 and smaller and prefix in ("", "m", "u"):
        prefix, value = smaller.pop(), value * 1000
    return f"{value:.4g}{prefix}"
