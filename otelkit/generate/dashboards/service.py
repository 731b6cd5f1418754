"""Service: requests, messages and operations of one service, and what its processes are short of.

Rate, errors and duration of what it does; utilisation, saturation and errors of what does it. A
service that otelkit instruments has all of it under names that are known, so one dashboard with a
choice of services is enough. Any other has only the requests that the SLA file names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from otelkit import names
from otelkit.generate.dashboards import frame, panels
from otelkit.generate.dashboards.panels import Json, prometheus
from otelkit.generate.rule import matchers
from otelkit.generate.scope import match_of
from otelkit.model import Service, Sla

_QUANTILES = (0.5, 0.95, 0.99)
_THIRD = panels.FULL_WIDTH // 3
_FEW = panels.thresholds((None, "text"), (1, "red"))
_CHOSEN = "service"
"""The variable whose value is what selects the series of the service that was chosen."""


@dataclass(frozen=True, slots=True)
class _Work:
    """Something that a service does: a histogram, and how its series are told apart."""

    noun: str
    histogram: str
    by: str
    good: str
    """The matcher of what did not end in an error: such series exist before the first error."""
    unit: str


_MESSAGES = _Work(
    "messages",
    names.MESSAGING_PROCESS_DURATION.name,
    "messaging_destination_name",
    'error_type=""',
    "mps",
)
_OPERATIONS = _Work(
    "operations", names.OPERATION_DURATION.name, "operation", 'error_type=""', "ops"
)


def services(sla: Sla) -> dict[str, Json]:
    """The dashboards of services by name: one of those with otelkit, one of each without."""
    own = [service for service in sla.services.values() if not service.foreign]
    found = {names.DASHBOARD_SERVICE: _own(sla, own)} if own else {}
    for service in sla.services.values():
        if service.foreign:
            name = f"{names.DASHBOARD_SERVICE}-{_part(service.name)}"
            found[name] = _foreign(sla, name, service)
    return found


def _part(name: str) -> str:
    """A service's name as a part of a file's name and of a uid, which hold no other letters."""
    kept = re.sub("[^A-Za-z0-9_-]", "_", name)
    return name if kept == name else f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _own(sla: Sla, own: list[Service]) -> Json:
    choices = {service.name: matchers(service.match)[1:-1] for service in own}
    variables = [
        frame.datasource_variable(panels.PROMETHEUS),
        frame.one_of(_CHOSEN, "Service", choices),
    ]
    about = _about(names.DASHBOARD_SERVICE, "Service", "$service")
    return frame.dashboard(sla, about, variables, _own_panels(_Series(sla, f"${_CHOSEN}"), own[0]))


def _foreign(sla: Sla, name: str, service: Service) -> Json:
    series = _Series(sla, matchers(service.match)[1:-1])
    about = _about(name, f"Service {service.name}", service.name)
    variables = [frame.datasource_variable(panels.PROMETHEUS)]
    return frame.dashboard(sla, about, variables, _work(series, _requests(service)))


def _about(name: str, title: str, service: str) -> frame.Frame:
    said = f"How much {service} does, how much of it fails, how long it takes, and what runs short."
    return frame.Frame(name, title, said, since="6h", refresh="30s")


class _Series:
    """Selects series of one service, in the environment of the SLA."""

    def __init__(self, sla: Sla, service: str) -> None:
        self._service = service
        self._environment = matchers(match_of(sla))[1:-1]

    def of(self, metric: str, *more: str) -> str:
        return f"{metric}{{{','.join(filter(None, (self._service, self._environment, *more)))}}}"

    def rate(self, metric: str, *more: str) -> str:
        return f"rate({self.of(metric, *more)}[$__rate_interval])"


def _own_panels(series: _Series, service: Service) -> Iterator[Json]:
    for work in (_requests(service), _MESSAGES, _OPERATIONS):
        yield from _work(series, work)
    yield panels.row("Processes")
    yield _processor(series)
    yield _memory(series)
    yield _files(series)
    yield _threads(series)
    yield _event_loop(series)
    yield _garbage(series)
    yield panels.row("Telemetry")
    yield _dropped(series)


# --- rate, errors, duration ----------------------------------------------------------------


def _requests(service: Service) -> _Work:
    http = service.http
    return _Work("requests", http.duration, http.route, f'{http.status}!~"5.."', "reqps")


def _work(series: _Series, work: _Work) -> Iterator[Json]:
    yield panels.row(work.noun.capitalize())
    yield _rate(series, work)
    yield _errors(series, work)
    yield _duration(series, work)


def _rate(series: _Series, work: _Work) -> Json:
    every = series.rate(f"{work.histogram}_count")
    return panels.timeseries(
        f"Rate of {work.noun}",
        f"Finished {work.noun} per second.",
        [prometheus(f"sum by ({work.by}) ({every})", _legend(work))],
        unit=work.unit,
        width=_THIRD,
        floor=0,
    )


def _errors(series: _Series, work: _Work) -> Json:
    good, every = (
        f"sum by ({work.by}) ({series.rate(f'{work.histogram}_count', *more)})"
        for more in ((work.good,), ())
    )
    return panels.timeseries(
        f"Failed {work.noun}",
        f"Share of {work.noun} that ended in an error. No line where there were none at all.",
        [prometheus(f"1 - ({good} or 0 * {every}) / ({every} > 0)", _legend(work))],
        unit="percentunit",
        width=_THIRD,
        floor=0,
    )


def _duration(series: _Series, work: _Work) -> Json:
    within = f"sum by (le) ({series.rate(f'{work.histogram}_bucket')})"
    return panels.timeseries(
        f"Duration of {work.noun}",
        f"Half, 95 % and 99 % of the {work.noun} took at most so long.",
        [
            prometheus(f"histogram_quantile({quantile}, {within})", f"{quantile:.0%}")
            for quantile in _QUANTILES
        ],
        unit="s",
        width=_THIRD,
        floor=0,
    )


def _legend(work: _Work) -> str:
    return f"{{{{{work.by}}}}}"


# --- utilisation, saturation ---------------------------------------------------------------


def _of_each(title: str, description: str, expr: str, unit: str) -> Json:
    """A line for each process of the service."""
    target = prometheus(expr, "{{instance}}")
    return panels.timeseries(title, description, [target], unit=unit, width=_THIRD, floor=0)


def _processor(series: _Series) -> Json:
    used = series.rate(names.PROCESS_CPU.name)
    said = "Processor cores in use. Python code runs on one core of each process at a time."
    return _of_each("Processor", said, used, "short")


def _memory(series: _Series) -> Json:
    used = series.of(names.PROCESS_MEMORY.name)
    return _of_each("Memory", "Resident memory of each process.", used, "bytes")


def _files(series: _Series) -> Json:
    used, most = (
        series.of(one.name) for one in (names.PROCESS_OPEN_FILES, names.PROCESS_MAX_FILES)
    )
    said = "Share of the open files and sockets that the system allows a process."
    return _of_each("Open files", said, f"{used} / {most}", "percentunit")


def _threads(series: _Series) -> Json:
    threads = series.of(names.PROCESS_THREADS.name)
    return _of_each(
        "Threads", "Threads of each process; a line that only rises leaks.", threads, "short"
    )


def _event_loop(series: _Series) -> Json:
    late = series.rate(f"{names.EVENT_LOOP_LAG.name}_bucket")
    worst = f"histogram_quantile(0.99, sum by (instance, le) ({late}))"
    said = (
        "99 % of the looks at the event loop came at most so late: it was busy with code that does "
        "not yield. No line where there is no event loop."
    )
    return _of_each("Event-loop lag", said, worst, "s")


def _garbage(series: _Series) -> Json:
    paused = f"sum by (instance) ({series.rate(names.GC_PAUSES.name)})"
    said = "Share of the time for which garbage collection stopped the process."
    return _of_each("Garbage collection", said, paused, "percentunit")


def _dropped(series: _Series) -> Json:
    lost = f"increase({series.of(names.TELEMETRY_DROPPED.name)}[$__rate_interval])"
    return panels.bars(
        "Telemetry that was lost",
        "Spans, log records, order events and scrapes of a collector that were lost, by reason.",
        [prometheus(f"sum by (signal, reason) ({lost})", "{{signal}}: {{reason}}")],
        unit="short",
        limits=_FEW,
        floor=0,
    )
